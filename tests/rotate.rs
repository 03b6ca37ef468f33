//! Keys that the daemon itself rotates: made at a provider, stored in the source, delivered, verified, and the old one
//! revoked.

mod commands;
mod crashes;
mod kills;
mod month;
mod world;
