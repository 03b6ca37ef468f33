//! The client of Flashback's API.
