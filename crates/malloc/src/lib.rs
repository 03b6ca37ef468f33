//! How the C library keeps freed memory. No library wraps these calls, so they have the only unsafe code of the
//! program, in a crate of its own.
//!
//! The C library keeps what is freed for the next use, in a heap for each thread. After a start, a reload or a
//! `status` of many keys that is as much as all that is in use.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no library wraps these calls")]
mod glibc {
    use std::ffi::c_int;

    // SAFETY: as `man 3 mallopt` and `man 3 malloc_trim` declare them. Each may be called by any thread at any time,
    // with any number.
    unsafe extern "C" {
        pub safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
        pub safe fn malloc_trim(pad: usize) -> c_int;
    }

    /// The parameter that limits the number of heaps, as `malloc.h` has it.
    pub const M_ARENA_MAX: c_int = -8;
}

/// Lets all threads share two heaps. A heap that a thread already has stays, so this comes first in the program.
/// `MALLOC_ARENA_MAX` in the environment goes before it.
pub fn share_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        glibc::mallopt(glibc::M_ARENA_MAX, 2);
    }
}

/// Gives memory that is not in use back to the system. It takes a millisecond or two where tens of megabytes are in
/// use. Another C library than glibc does it by itself.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::malloc_trim(0);
}
