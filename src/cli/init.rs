//! `init`: prints a small configuration to begin with.

use super::end::End;
use super::setup;

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator init > config.toml                 # one that needs no server
  flashback-rotator init --source vault > config.toml  # for HashiCorp Vault or OpenBao")]
pub struct Args {
    /// Where the keys are rotated. `file` needs no server, and is the quickest way to try things
    #[arg(long, value_enum, default_value_t = Source::File)]
    source: Source,
}

/// The kinds of source for which the repository has an example.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Source {
    /// HashiCorp Vault or OpenBao
    Vault,
    /// AWS Secrets Manager
    Aws,
    /// A directory of files
    File,
}

impl Source {
    fn example(self) -> &'static str {
        match self {
            Self::Vault => include_str!("../../config/examples/vault-approle.toml"),
            Self::Aws => include_str!("../../config/examples/aws-role.toml"),
            Self::File => include_str!("../../config/examples/mounted-files.toml"),
        }
    }
}

pub fn run(args: &Args) -> End {
    setup::print(without_schema(args.source.example()).trim_end());
    End::Done
}

/// Returns a file of the repository without its first line, if that names the schema beside it.
pub fn without_schema(text: &str) -> &str {
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#:schema") => rest,
        _ => text,
    }
}
