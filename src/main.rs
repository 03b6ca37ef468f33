//! The entry point of the program; everything else is in the library.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is freed, and so the copies that a library makes of a secret in a buffer, a header or
/// a parsed document.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    flashback_rotator_malloc::share_heaps();
    flashback_rotator::cli::main(std::env::args_os(), flashback_rotator::config::KINDS)
}
