//! When a key is looked at next.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Record, Repair, Verification};
use crate::reconcile::Rest;

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When the schedule says. Either all is well, or nobody waits for what is still to come.
    OnSchedule,
    /// After this long: the round goes on.
    In(Duration),
}

impl Next {
    /// Sooner, if that is sooner than what is planned. Without a plan nobody waits for it.
    pub fn not_later_than(self, wait: Option<Duration>, planned: Option<DateTime<Utc>>) -> Self {
        let (Some(wait), Some(planned)) = (wait, planned) else {
            return self;
        };
        match self {
            Self::In(other) => Self::In(other.min(wait)),
            Self::OnSchedule if planned > Utc::now() + wait => Self::In(wait),
            Self::OnSchedule => self,
        }
    }
}

/// What was refused is tried again after its time, and what has to prove itself is asked about, also
/// where the schedule's next look is a day away. A schedule that is sooner finds a newer version
/// meanwhile, and comes by here again. A repair that is to come is made when it is due; one that is
/// due and could not be made has met what is asked about again anyway. Without a schedule (`sync`)
/// only those questions are waited for whose answers decide what becomes of a push.
pub fn next_after(
    rest: &Rest,
    record: &Record,
    grace: Duration,
    planned: Option<DateTime<Utc>>,
) -> Next {
    let now = Utc::now();
    let refused = match rest {
        Rest::Refused { until, .. } => Some(*until),
        _ => None,
    };
    let probing = matches!(rest, Rest::Probing(_));
    let candidate = record.candidate.as_ref().filter(|_| probing);
    let waiting = |verification: &&Verification| verification.waits(now);
    let verifications = [record.verification.as_ref(), candidate];
    let verifications = || verifications.into_iter().flatten().filter(waiting);
    let to_come = |repair: &Repair| !repair.done && !repair.is_due();
    let repair = record.repair.filter(to_come);
    let repair = repair.map(|repair| now + repair.due_in);
    let until = match planned {
        Some(planned) => verifications()
            .map(|verification| verification.next_at)
            .chain(refused)
            .chain(repair)
            .min()
            .filter(|until| planned > *until),
        None => verifications()
            .filter(|verification| !verification.pace(grace, now).1)
            .map(|verification| verification.next_at)
            .min(),
    };
    match until {
        Some(until) => Next::In((until - now).to_std().unwrap_or_default()),
        None => Next::OnSchedule,
    }
}
