//! Events: a change that is told arrives at once, whatever the schedule says.

mod audit;
mod check;
mod faults;
mod notify;
mod queue;
mod replicas;
mod watch;
