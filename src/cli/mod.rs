//! The commands, one file for each; what they share is in [`end`], [`setup`] and [`beside`].

mod answers;
mod beside;
mod check;
mod demo;
mod discover;
mod end;
mod health;
mod history;
mod init;
mod kinds;
mod limit;
mod manual;
mod pages;
mod plan;
mod reference;
mod replicas;
mod rollback;
mod rotate;
mod rotation;
mod run;
mod sandbox;
mod setup;
mod signals;
mod status;
mod sync;
mod table;
mod work;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::end::fail;
use self::kinds::{kinds, set_kinds};
use crate::config::Kinds;

/// Keeps the LLM provider keys in Flashback in step with the store where they are rotated.
#[derive(Debug, Parser)]
#[command(
    name = "flashback-rotator",
    version,
    max_term_width = 100,
    after_long_help = "\
Examples:
  flashback-rotator demo             # see rotations, with nothing to set up
  flashback-rotator check --connect  # whether the configuration works, and all it points at
  flashback-rotator run              # the daemon
  flashback-rotator status           # how each key stands"
)]
struct Cli {
    /// The configuration: a TOML file, or a directory of them. Default:
    /// $FLASHBACK_ROTATOR_CONFIG, then /etc/flashback-rotator/config.toml
    #[arg(long, global = true, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    #[command(after_long_help = "\
Examples:
  flashback-rotator run                                         # until SIGTERM or Ctrl-C
  flashback-rotator run --config ./config.toml                  # with this configuration
  flashback-rotator run --config /etc/flashback-rotator/conf.d  # with every *.toml of a directory")]
    Run,
    /// Print a small configuration to begin with
    Init(init::Args),
    /// Print what there is to configure
    Config(reference::Args),
    /// Validate the configuration
    Check(check::Args),
    /// Show what a sync would do now, and why; changes nothing
    Plan(plan::Args),
    /// Make one pass over the keys now
    Sync(sync::Args),
    /// Show how each key stands
    Status(status::Args),
    /// Show the audit trail
    History(history::Args),
    /// Put a key's previous version back, and hold the newer one until it changes again
    Rollback(rollback::Args),
    /// Make a new key at the provider now, and revoke the old one
    Rotate(rotate::Args),
    /// Run a local Flashback to try things on
    Sandbox(sandbox::Args),
    /// Show rotations before your eyes, with nothing to set up
    #[command(after_long_help = "\
Examples:
  flashback-rotator demo  # takes some seconds, and leaves nothing behind")]
    Demo,
    /// Ask the running daemon whether it is well: exit code 0 if so, 1 if not
    Health(health::Args),
    /// Print a script that completes commands and options in a shell
    Completions(pages::CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Man(pages::ManArgs),
}

/// The size of a thread's stack. A sign-in to AWS within a reconcile run nests so deep that tokio's 2 MiB are
/// not enough for a build without optimizations. What is not touched takes no memory.
const STACK: usize = 8 * 1024 * 1024;

/// Reads the arguments, of which the first is the program's name, runs the command, and returns the exit code.
/// `kinds` are the kinds of source that there are.
pub fn main(arguments: impl IntoIterator<Item = OsString>, kinds: Kinds) -> ExitCode {
    forbid_core_dumps();
    std::panic::set_hook(Box::new(say_where));
    set_kinds(kinds);
    let cli = match Cli::from_arg_matches(&command().get_matches_from(arguments)) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().min(4)))
        .thread_stack_size(STACK)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(format!("cannot start: {error}")).into(),
    };
    let end = runtime.block_on(async {
        let config = cli.config.as_deref();
        match cli.command {
            Command::Run => run::run(config).await,
            Command::Init(args) => init::run(&args),
            Command::Config(args) => Ok(reference::run(&args)),
            Command::Check(args) => check::run(config, &args).await,
            Command::Plan(args) => plan::run(config, &args).await,
            Command::Sync(args) => sync::run(config, &args).await,
            Command::Status(args) => status::run(config, &args).await,
            Command::History(args) => history::run(config, &args).await,
            Command::Rollback(args) => rollback::run(config, &args).await,
            Command::Rotate(args) => rotate::run(config, &args).await,
            Command::Sandbox(args) => sandbox::run(args).await,
            Command::Demo => demo::run().await,
            Command::Health(args) => health::run(config, &args).await,
            Command::Completions(args) => Ok(pages::completions(&command(), &args)),
            Command::Man(args) => Ok(pages::man(command(), &args)),
        }
    });
    let (Ok(end) | Err(end)) = end;
    // A blocking read that hangs (a dead network mount) must not keep the process alive.
    runtime.shutdown_background();
    end.into()
}

/// Returns the commands, and what they take.
fn command() -> clap::Command {
    init::offer(Cli::command(), kinds())
}

/// Disables core dumps, which would hold every secret in memory.
fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    // Also keeps other processes of the same user from reading the memory.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Prints where a panic happened, as long as there is no log. Its message is left out: it can hold a secret.
fn say_where(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    fail(format!(
        "the program panicked at {}: this is a bug",
        place.as_deref().unwrap_or("an unknown place")
    ));
}
