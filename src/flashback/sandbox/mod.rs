//! A local Flashback.
