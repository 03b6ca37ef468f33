//! Start, reload, drain, stop.
