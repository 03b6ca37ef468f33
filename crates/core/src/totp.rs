//! The second factor `GOOGLE_AUTH`: time-based one-time passwords (RFC 6238) with SHA-1, six digits
//! and steps of 30 seconds.
//!
//! The client makes codes and the sandbox checks them. Neither reads the clock here: the time comes
//! in, so that both can be tested at any moment.

use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

/// The time for which a code is valid, in seconds.
pub const STEP: u64 = 30;

/// The seed cannot be read as base32. It does not say what stands there: that is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TOTP seed is not base32 (the letters A to Z and the digits 2 to 7)")]
pub struct NotASeed;

/// Returns the code of a moment, given in seconds of Unix time.
///
/// # Errors
/// Returns [`NotASeed`] if the seed is empty or not base32.
pub fn code(seed: &str, unix_time: u64) -> Result<String, NotASeed> {
    Ok(generator(seed)?.generate(unix_time).to_string())
}

/// Returns the number of the step whose code this is, if that is the step of the given time
/// or one next to it: clocks differ, and typing takes time. `None` for any other code.
///
/// A code may be taken only once (RFC 6238, section 5.2): the caller remembers the steps it has
/// taken.
///
/// # Errors
/// Returns [`NotASeed`] if the seed is empty or not base32.
pub fn check(seed: &str, code: &str, unix_time: u64) -> Result<Option<u64>, NotASeed> {
    Ok(generator(seed)?.check(code, unix_time))
}

/// Reads a seed as people keep it: in groups, in small letters, with or without padding. It may be
/// shorter than the RFC's 128 bits, as many a service gives out 80.
fn generator(seed: &str) -> Result<Totp, NotASeed> {
    let mut bare = Zeroizing::new(String::with_capacity(seed.len()));
    let kept = seed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-' && *c != '=');
    bare.extend(kept.map(|c| c.to_ascii_uppercase()));
    let secret = totp_rs::Secret::try_from_base32(&*bare).map_err(|_| NotASeed)?;
    if secret.as_bytes().is_empty() {
        return Err(NotASeed);
    }
    Ok(Builder::new()
        .with_secret(secret)
        .with_step_duration(STEP)
        .build_noncompliant())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The RFC's own seed, `12345678901234567890`.
    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_the_last_six_digits_of_the_rfcs_examples() {
        for (time, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(SEED, time).as_deref(), Ok(expected), "at {time}");
        }
    }

    #[test]
    fn accepts_the_step_of_the_moment_and_its_neighbours() {
        let now = 1_234_567_890;
        let step = now / STEP;
        for (off, taken) in [(-2i64, false), (-1, true), (0, true), (1, true), (2, false)] {
            let then = now.saturating_add_signed(off * 30);
            let shown = code(SEED, then).expect("a code");
            let expected = taken.then(|| step.saturating_add_signed(off));
            assert_eq!(check(SEED, &shown, now), Ok(expected), "{off} steps away");
        }
        for wrong in ["", "12345", "1234567", "+12345", "abcdef"] {
            assert_eq!(check(SEED, wrong, now), Ok(None), "{wrong}");
        }
    }

    #[test]
    fn reads_seeds_as_people_keep_them() {
        let plain = code("JBSWY3DPEHPK3PXP", 59);
        assert!(plain.is_ok(), "80 bits");
        assert_eq!(code("jbsw y3dp-ehpk 3pxp\n", 59), plain);
        assert_eq!(code("JBSWY3DPEHPK3PXP======", 59), plain);
        for wrong in ["", "  ", "0189", "é"] {
            assert_eq!(code(wrong, 59), Err(NotASeed), "{wrong}");
        }
    }
}
