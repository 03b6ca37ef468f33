//! `completions` and `man`: what shells and manuals are told of the commands, made from the same
//! definitions as `--help`.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use super::{End, desk, fail};

/// What `completions` takes.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// What `man` takes.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Where the pages are written: one for the program and one for each command
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub fn completions(mut command: Command, args: &CompletionsArgs) -> End {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    desk::print(String::from_utf8_lossy(&script).trim_end());
    End::Done
}

pub fn man(command: Command, args: &ManArgs) -> End {
    let written = std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(command, &args.dir));
    match written {
        Ok(()) => End::Done,
        Err(error) => fail(format!("cannot write to {}: {error}", args.dir.display())),
    }
}
