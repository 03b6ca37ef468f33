//! A Vault as the source: polled, and heard in each way.

use std::time::Duration;

use tokio::time::sleep;

use super::rotations;
use super::row::Row;
use crate::common::store::{Role, Store, name};
use crate::common::support::postgres::Postgres;
use crate::contest::{PATIENCE, SETTLING};
use crate::daemon::{Daemon, Setting, command};
use crate::flashback::Flashback;
use crate::length::Length;
use crate::replicas::{RULES, SETTINGS};

/// The token for `POST /notify`.
const TOKEN: &str = "notify-token-0123456789";

/// The number of replicas.
const REPLICAS: usize = 3;

/// A way in which a rotation is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Every key is checked at this interval.
    Poll(&'static str),
    /// The daemon follows the file of an audit device.
    File,
    /// An audit device sends to the daemon's socket.
    Socket,
    /// Whoever writes the secret tells the daemon.
    Notify,
    /// Of several replicas one follows the file.
    Replicas,
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Poll("30s") => "polling, `check = \"30s\"` (the default)".to_owned(),
            Self::Poll(check) => format!("polling, `check = \"{check}\"`"),
            Self::File => "`audit-file`".to_owned(),
            Self::Socket => "`audit-socket`".to_owned(),
            Self::Notify => "`POST /notify` after the write".to_owned(),
            Self::Replicas => {
                format!("`audit-file` of one of {REPLICAS} replicas, PostgreSQL")
            }
        }
    }

    /// Returns the table that makes a daemon hear.
    fn events(self, store: &Store) -> String {
        match self {
            Self::Poll(_) | Self::Notify => String::new(),
            Self::File | Self::Replicas => format!(
                "[sources.vault.events]\ntype = \"audit-file\"\npath = \"{}\"\n",
                store.log().display()
            ),
            Self::Socket => format!(
                "[sources.vault.events]\ntype = \"audit-socket\"\nlisten = \"unix:{}\"\n",
                store.socket().display()
            ),
        }
    }

    fn expected(self) -> Option<(Duration, Option<Duration>)> {
        let median = match self {
            Self::Poll(_) => return None,
            Self::File | Self::Socket | Self::Notify => 15,
            Self::Replicas => 40,
        };
        Some((
            Duration::from_millis(median),
            Some(Duration::from_millis(50)),
        ))
    }
}

/// Measures one way.
pub async fn measure(way: Way, store: &Store, role: &Role, length: &Length) -> Row {
    let keys = length.events.0;
    let tag = format!("{}", rand::random::<u32>());
    store.fill(keys, &tag).await;
    let flashback = Flashback::with(keys).await;
    let postgres = match way {
        Way::Replicas => Some(Postgres::start(SETTINGS, RULES).await),
        _ => None,
    };
    let state = match &postgres {
        Some(postgres) => Some(postgres.database().await.url()),
        None => None,
    };
    let daemons = daemons(way, &tag, store, role, &flashback, state.as_deref(), keys).await;
    let http = reqwest::Client::builder().tls_certs_only(Vec::new());
    let http = http.build().expect("a client");
    let notify = format!("{}/notify", daemons[0].url());
    let mark = store.audit.mark();
    let pids: Vec<u32> = daemons.iter().map(Daemon::pid).collect();
    let write = async |key: usize, secret: &str| {
        store.write(key, secret).await;
        if way == Way::Notify {
            let body = serde_json::json!({"source": "vault", "path": format!("llm/{}", name(key))});
            let request = http.post(&notify).bearer_auth(TOKEN).json(&body);
            let answer = request.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{}", answer.status());
        }
    };
    let (made, used) = rotations::make_beside(&pids, length, write).await;
    let calls = store.audit.since(mark);
    let calls = calls.iter().filter(|call| call.who == role.mount).count();
    let latency = rotations::arrive(&flashback, &made).await;
    for daemon in &daemons {
        daemon.stop().await;
    }
    Row {
        name: way.name(),
        latency,
        calls: Some(calls as f64 / keys as f64 / used.minutes),
        cpu: used.cpu,
        expected: way.expected(),
    }
}

/// Starts the daemons of a way, and returns once they hear.
async fn daemons(
    way: Way,
    tag: &str,
    store: &Store,
    role: &Role,
    flashback: &Flashback,
    state: Option<&str>,
    keys: usize,
) -> Vec<Daemon> {
    let events = way.events(store);
    let check = match way {
        Way::Poll(check) => check,
        _ => "10m",
    };
    let setting = |more| Setting {
        store,
        role,
        flashback,
        state,
        check,
        keys,
        more,
    };
    let mut daemons = vec![start(&setting(&events))];
    if state.is_some() {
        daemons.extend((1..REPLICAS).map(|_| Daemon::start(&setting(""))));
    }
    let filled = flashback.filled(keys, tag, PATIENCE);
    let stale = daemons[0].until(filled).await;
    assert_eq!(stale, 0, "{way:?}: not every key arrives at first");
    for daemon in &daemons {
        daemon.ready().await;
    }
    if !events.is_empty() {
        daemons[0].hears().await;
    }
    sleep(SETTLING).await;
    daemons
}

/// Starts a daemon that takes `POST /notify`.
fn start(setting: &Setting<'_>) -> Daemon {
    Daemon::start_as(|directory, http| {
        // The address is the last line of `[http]`.
        let http = format!("{http}\"\nnotify_token = {{ env = \"NOTIFY_TOKEN\" }}\n#");
        let mut command = command(directory, &http, setting);
        command.env("NOTIFY_TOKEN", TOKEN);
        command
    })
}
