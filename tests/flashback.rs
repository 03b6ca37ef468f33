//! The client of Flashback and the sandbox, held against each other and against the contract.

mod answers;
mod contract;
mod faults;
mod odd_answers;
mod official_client;
mod sandbox;
mod second_factor;
mod sign_in;
mod sign_in_log;
mod stored_keys;
