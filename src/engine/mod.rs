//! One look at one key.
