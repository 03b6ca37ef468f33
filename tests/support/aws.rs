//! AWS, twice.
