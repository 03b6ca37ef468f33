//! Whether this machine's clock is that of the server.

use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::config::http::HttpResponse;

/// The difference between the clocks, in either direction, up to which a signature is valid
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>).
const MOST_SKEW: Duration = Duration::from_secs(5 * 60);

/// Returns the number of seconds by which `now` is ahead of the server's clock, if that is too much for a signature.
pub(super) fn clock_difference(raw: &HttpResponse, now: SystemTime) -> Option<i64> {
    let theirs = httpdate::parse_http_date(raw.headers().get("date")?).ok()?;
    let ahead = match now.duration_since(theirs) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok()?,
        Err(behind) => -i64::try_from(behind.duration().as_secs()).ok()?,
    };
    (ahead.unsigned_abs() > MOST_SKEW.as_secs()).then_some(ahead)
}
