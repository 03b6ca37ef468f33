//! Every integration test in one binary, so that the crate is linked once: one module for each
//! promise, against real servers and the real binary. `tests/run` runs them.

mod support;

mod adoption;
mod alerts;
mod beside;
mod commands;
mod config;
mod credentials;
mod detection;
mod drift;
mod flashback;
mod health;
mod http;
mod isolation;
mod logs;
mod matrix;
mod measures;
mod notify;
mod panics;
mod platform;
mod policies;
mod push;
mod readme;
mod reload;
mod reload_under_load;
mod replicas;
mod replicas_faults;
mod restart;
mod retry;
mod rollback;
mod rotation;
mod secrecy;
mod sign_in_pace;
mod source_aws;
mod source_aws_batch;
mod source_aws_faults;
mod source_aws_sign_in;
mod source_aws_versions;
mod source_file;
mod source_vault;
mod start;
mod store;
mod terminal;
mod tidy;
mod verify;
