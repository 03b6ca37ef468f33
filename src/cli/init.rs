//! `init`: prints a small configuration to begin with.

use clap::Command;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::end::{End, wrong};
use super::kinds::kinds;
use super::setup;
use crate::config::Kinds;

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator init > config.toml                 # one that needs no server
  flashback-rotator init --source vault > config.toml  # for HashiCorp Vault or OpenBao")]
pub struct Args {
    /// Where the keys are rotated. `file` needs no server, and is the quickest way to try things
    #[arg(long, default_value = "file")]
    source: String,
}

/// Offers the kinds of source that there are.
pub fn offer(command: Command, kinds: Kinds) -> Command {
    let values = kinds.sources.iter().map(|kind| {
        let example = &kind.example;
        PossibleValue::new(example.name).help(example.about)
    });
    let values = PossibleValuesParser::new(values);
    command.mut_subcommand("init", |init| {
        init.mut_arg("source", |source| source.value_parser(values))
    })
}

pub fn run(args: &Args) -> Result<End, End> {
    let mut kinds = kinds().sources.iter();
    let Some(kind) = kinds.find(|kind| kind.example.name == args.source) else {
        return Err(wrong(format!(
            "no kind of source is called `{}`",
            args.source
        )));
    };
    setup::print(without_schema(kind.example.text).trim_end());
    Ok(End::Done)
}

/// Returns a file of the repository without its first line, if that names the schema beside it.
pub fn without_schema(text: &str) -> &str {
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#:schema") => rest,
        _ => text,
    }
}
