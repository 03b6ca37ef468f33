//! The time of a key's next check.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Record, Repair, Verification};
use crate::reconcile::Rest;

/// The time of a key's next check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At the next time of the schedule.
    OnSchedule,
    /// After this time.
    In(Duration),
}

impl Next {
    /// Returns the earlier of this time and `wait` from now. Without a planned check, `wait` is ignored.
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

/// Returns the time of the next check after one that ended with `rest`.
///
/// A refused write is tried again after its wait, a value that is being verified is asked about when its question is
/// due, and a repair is made when it is due, even if the next check by the schedule is a day away. Without a
/// schedule (`sync`), only the questions within the grace are waited for: their answers decide what becomes of a
/// push.
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
