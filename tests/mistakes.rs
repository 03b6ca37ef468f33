//! The mistakes of a new user, and what is said of each.

mod connect;
