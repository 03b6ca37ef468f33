//! Gives memory that is not in use back to the system.
//!
//! The C library keeps what is freed for the next use, in a heap for each thread. After a start, a reload or a
//! `status` of many keys that is as much as all that is in use.

/// Gives back what is free. It takes a millisecond or two where tens of megabytes are in use.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no library wraps this call")]
pub fn give_back() {
    // SAFETY: as `man 3 malloc_trim` declares it. It may be called by any thread at any time.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    malloc_trim(0);
}

/// Does nothing where the C library gives back what is freed by itself.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
