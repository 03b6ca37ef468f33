//! `config`: what there is to configure.

use super::init::without_schema;
use super::{End, desk};
use crate::config;

/// What `config` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the whole reference: every setting with its default and a comment
    Reference,
}

pub fn run(args: &Args) -> End {
    match args.what {
        What::Reference => desk::print(without_schema(config::REFERENCE).trim_end()),
    }
    End::Done
}
