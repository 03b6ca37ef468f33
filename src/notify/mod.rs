//! Tells people, and the programs they use, what happens to keys and what is wrong.
//!
//! There are *states*, which last (a key fails, a source is away) and are told once they have lasted
//! for the receiver's `after`, and *changes*, which happen (a key was rotated) and are told at once.
//! The [`Ledger`] decides what a receiver is told next; it is pure. A [`Notice`] is what is told, a
//! [`Format`] how it is written, a [`Receiver`] where it goes. Who watches the keys and services, and keeps
//! what was told in the state, is the daemon's `notifier`.
//!
//! Nothing here can hold up a push: a change is left where the notifier finds it, and dropped where
//! nobody takes it in time. No secret value gets here: a notice is made of what `status` shows.

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
