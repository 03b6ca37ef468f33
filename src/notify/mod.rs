//! Notifies people, and the programs they use, of what happens to keys and of what is wrong.
//!
//! There are two kinds of events. *States* last (a key fails, a source is down) and are sent once they have
//! lasted for the receiver's `after`. *Changes* happen at one time (a key was rotated) and are sent at once.
//! The [`Ledger`] decides, without I/O, what a receiver is sent next. A [`Notice`] is one message, a
//! [`Format`] its encoding, a [`Receiver`] its destination. The daemon's `notifier` watches the keys and
//! services, and keeps in the state what was sent.
//!
//! Notifications cannot delay a push: the engine puts a change into a queue for the notifier and drops it
//! when the queue is full. They carry no secret value: a notice is made of what `status` shows.

mod event;
mod format;
mod ledger;
mod notice;
mod receiver;
mod signature;

pub use event::{Event, Subject};
pub use format::{FORMATS, Format};
pub use ledger::{Dispatch, Ledger, MOST_WAITING, Terms, What};
pub use notice::{About, Notice};
pub use receiver::{Receiver, Undelivered, Way};
