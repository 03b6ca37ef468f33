//! The signals that end a command's work.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::end::say;

/// The message after a second signal.
pub const STOPPED_AT_ONCE: &str =
    "stopped at once; what was in flight is found out about at the next look";

/// Waits for two signals. The first cancels `stop`, so that pushes in flight are finished and nothing else is
/// begun; this returns after the second.
pub async fn second_signal(stop: &CancellationToken) {
    let both = signal(SignalKind::interrupt()).and_then(|interrupt| {
        let terminate = signal(SignalKind::terminate())?;
        Ok((interrupt, terminate))
    });
    let Ok((mut interrupt, mut terminate)) = both else {
        // A signal then ends the process, as it does by default.
        return std::future::pending().await;
    };
    let mut signalled = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    signalled().await;
    stop.cancel();
    say("finishing what is in flight; once more stops at once");
    signalled().await;
}
