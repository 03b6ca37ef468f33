//! `config`: prints what can be configured.

use super::end::End;
use super::init::without_schema;
use super::kinds::kinds;
use super::setup;
use crate::config;

/// The arguments of `config`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator config reference > reference.toml  # every setting, with its default and a comment")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the whole reference: every setting with its default and a comment
    #[command(after_long_help = "\
Examples:
  flashback-rotator config reference | grep -A 3 max_rps  # what a setting means, and its default")]
    Reference,
}

pub fn run(args: &Args) -> End {
    match args.what {
        What::Reference => {
            let reference = config::reference(kinds());
            setup::print(without_schema(&reference).trim_end());
        }
    }
    End::Done
}
