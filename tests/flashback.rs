//! The client of Flashback and the sandbox, held against each other and against the contract.

mod contract;
mod faults;
mod sandbox;
mod sign_in;
mod sign_in_log;
