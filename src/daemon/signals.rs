//! The signals to the daemon: reload and stop.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// The signals that the daemon obeys.
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

enum Kind {
    Stop,
    Reload,
}

struct Told {
    kind: Kind,
    name: &'static str,
}

impl Signals {
    /// Has them caught from now on.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told { kind: Kind::Stop, name: "SIGTERM" },
            _ = self.interrupt.recv() => Told { kind: Kind::Stop, name: "SIGINT" },
            _ = self.hangup.recv() => Told { kind: Kind::Reload, name: "SIGHUP" },
        }
    }

    /// Waits for the next signal to stop.
    pub async fn stop(&mut self) {
        while let Kind::Reload = self.next().await.kind {}
    }

    /// Waits for the first signal to stop and returns its name; signals to reload are passed on. It waits for
    /// nothing else: a reload that hangs on a dead mount must not keep the process from stopping.
    pub async fn live(&mut self, hangups: &Notify) -> &'static str {
        loop {
            let told = self.next().await;
            match told.kind {
                Kind::Stop => return told.name,
                Kind::Reload => hangups.notify_one(),
            }
        }
    }
}
