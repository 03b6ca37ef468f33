//! The task that wakes this replica's keys of whose changes another replica has heard.
//!
//! It learns of a wakeup when it is left, and asks about twice a second in any case: a notification is lost with its
//! connection, and a key brings its wakeups along when it changes hands. What it takes stays in the state until the
//! check has ended, so that a replica that dies in between loses none.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use crate::state::wakeups::{Receipt, Wakeup, Wakeups};

/// The time between two questions for wakeups, where nothing is told.
pub const EVERY: Duration = Duration::from_millis(500);

/// The most wakeups that one call takes or removes.
pub const BATCH: u32 = 1_000;

/// Tells keys of this process to be checked. It must not wait.
pub type Wake = Box<dyn Fn(Vec<Woken>) + Send + Sync>;

/// A wakeup of a key that this process has leased.
#[derive(Debug)]
pub struct Woken {
    /// The key, and what was heard of its change.
    pub wakeup: Wakeup,
    /// To be kept until a check of the key has ended that began after this was there.
    pub ending: Ending,
}

/// Says by its end that the check has ended for which a wakeup was left. The wakeup is then removed from the state.
#[derive(Debug)]
pub struct Ending {
    receipt: Receipt,
    of_use: bool,
    ended: mpsc::UnboundedSender<Ended>,
}

/// What became of a wakeup.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Checked(Receipt),
    GivenBack(Receipt),
}

impl Ending {
    /// Leaves the wakeup in the state, for this process or another that has leased the key then.
    pub fn give_back(mut self) {
        self.of_use = false;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let ended = match self.of_use {
            true => Ended::Checked(self.receipt),
            false => Ended::GivenBack(self.receipt),
        };
        // Without the task nothing is removed, and the next one finds the wakeup again.
        let _ = self.ended.send(ended);
    }
}

/// Takes the wakeups of this replica's keys.
pub struct WakeupTask {
    wakeups: Arc<dyn Wakeups>,
    wake: Wake,
    every: Duration,
    /// What was taken and is not removed yet.
    in_hand: HashSet<Receipt>,
    /// Those of them whose checks have ended.
    checked: Vec<Receipt>,
    /// A copy goes with each [`Ending`].
    ending: mpsc::UnboundedSender<Ended>,
    ended: mpsc::UnboundedReceiver<Ended>,
}

impl WakeupTask {
    /// Creates a task that gives wakeups to `wake`, and asks for them at least once in `every`: [`EVERY`], other than in
    /// tests.
    pub fn new(wakeups: Arc<dyn Wakeups>, every: Duration, wake: Wake) -> Self {
        let (ending, ended) = mpsc::unbounded_channel();
        Self {
            wakeups,
            wake,
            every,
            in_hand: HashSet::new(),
            checked: Vec::new(),
            ending,
            ended,
        }
    }

    /// Takes wakeups until the future is dropped.
    pub async fn run(&mut self) {
        let came = Arc::new(Notify::new());
        let wakeups = Arc::clone(&self.wakeups);
        let never = select! {
            never = wakeups.listen(Arc::clone(&came)) => never,
            never = self.take_all(&came) => never,
        };
        match never {}
    }

    async fn take_all(&mut self, came: &Notify) -> Infallible {
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                () = came.notified() => {}
                // Removing waits for the tick, so that many are removed at once.
                _ = tick.tick() => self.remove().await,
            }
            self.take().await;
        }
    }

    /// Takes what was left. A state that does not answer is asked again at the next tick; the membership reports it.
    async fn take(&mut self) {
        loop {
            let in_hand: Vec<Receipt> = self.in_hand.iter().copied().collect();
            let Ok(pending) = self.wakeups.pending(&in_hand, BATCH).await else {
                return;
            };
            let is_last = pending.len() < BATCH as usize;
            if pending.is_empty() {
                return;
            }
            self.in_hand
                .extend(pending.iter().map(|(_, receipt)| *receipt));
            let woken = |(wakeup, receipt)| Woken {
                wakeup,
                ending: Ending {
                    receipt,
                    of_use: true,
                    ended: self.ending.clone(),
                },
            };
            (self.wake)(pending.into_iter().map(woken).collect());
            if is_last {
                return;
            }
        }
    }

    /// Removes those whose checks have ended.
    async fn remove(&mut self) {
        while let Ok(ended) = self.ended.try_recv() {
            match ended {
                Ended::Checked(receipt) => self.checked.push(receipt),
                Ended::GivenBack(receipt) => drop(self.in_hand.remove(&receipt)),
            }
        }
        while !self.checked.is_empty() {
            let some = self.checked.len().min(BATCH as usize);
            let first = self.checked.len() - some;
            if self.wakeups.done(&self.checked[first..]).await.is_err() {
                return;
            }
            for receipt in self.checked.drain(first..) {
                self.in_hand.remove(&receipt);
            }
        }
    }
}
