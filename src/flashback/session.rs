//! Sign-in and renewal.
