//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    flashback_rotator::cli::main()
}
