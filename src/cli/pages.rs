//! `completions` and `man`: completion scripts and manual pages, made from the same definitions as `--help`.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use super::end::{End, fail};
use super::{manual, setup};

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator completions bash > /etc/bash_completion.d/flashback-rotator  # for every user of bash
  flashback-rotator completions zsh > ~/.zfunc/_flashback-rotator                # where fpath names ~/.zfunc
  flashback-rotator completions fish > ~/.config/fish/completions/flashback-rotator.fish  # for fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Where the pages are written: one for the program and one for each command
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

pub fn completions(command: &Command, args: &CompletionsArgs) -> End {
    let name = command.get_name().to_owned();
    // The script for bash would also complete hidden commands.
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    let mut command = Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments())
        .subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, &name, &mut script);
    let script = String::from_utf8_lossy(&script);
    // The script for bash replaces a hyphen in the program's name in two ways: one where it finds a command,
    // another where it finds its options. Unless they are the same, nothing is completed after a command.
    let found = name.replace('-', "__");
    let script = script.replace(&name.replace('-', "__subcmd__"), &found);
    setup::print(script.trim_end());
    End::Done
}

pub fn man(command: Command, args: &ManArgs) -> End {
    let written = std::fs::create_dir_all(&args.dir).and_then(|()| {
        for (name, page) in manual::pages(command)? {
            std::fs::write(args.dir.join(name), page)?;
        }
        Ok(())
    });
    match written {
        Ok(()) => End::Done,
        Err(error) => fail(format!("cannot write to {}: {error}", args.dir.display())),
    }
}
