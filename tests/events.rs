//! Events: a change that is told arrives at once, whatever the schedule says.

mod audit;
mod check;
mod faults;
mod notify;
mod replicas;
mod watch;
