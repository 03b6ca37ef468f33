//! Keys that the daemon itself rotates: made at a provider, stored in the source, delivered, verified, and the old one
//! revoked.

mod account;
mod commands;
mod crashes;
mod harm;
mod kills;
mod month;
mod place;
mod replicas;
mod secrecy;
mod watch;
mod world;
