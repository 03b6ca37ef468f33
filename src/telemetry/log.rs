//! The log: its format and the floor under its levels.
