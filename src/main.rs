//! Arguments in, exit code out.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is freed. Whatever a library has copied of a secret, into a buffer, a header
/// or a parsed document, goes with the copy.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    flashback_rotator::cli::main()
}
