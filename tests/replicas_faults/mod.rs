//! Several replicas under faults: one dies, is stopped, is cut off, is replaced; the state goes away.
//! Real processes of the real binary on a real PostgreSQL, between a real OpenBao and a sandbox.

mod kill;
mod lost_answers;
mod outage;
pub mod replica;
mod rounds;
mod stop;
mod upgrade;

use std::net::{IpAddr, Ipv4Addr};

/// Where all the servers are.
pub const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
