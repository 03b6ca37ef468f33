//! Listens for the notifications by which replicas tell each other that something was left for them.
//!
//! A session that listens has a connection of its own, beside those of the pool. It is replaced as often as those: a
//! server that was replaced and lives on would stay silent for ever. A pooler in transaction mode takes a `LISTEN` and
//! hands nothing on, so each connection first has to hear a notification that was sent on another one.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::connect::{Connection, Connector};
use super::own_replica::OwnReplica;
use super::pool::{LIMIT, Pool};
use super::value::text;
use crate::retry::{Limits, wait};
use crate::state::StateError;

/// The channel of the notifications. The payload is the number of the replica that they are for.
pub(super) const CHANNEL: &str = "flashback_rotator_wakeups";

/// The age at which the connection is replaced.
const LIFE: Duration = Duration::from_secs(60);

/// The time within which a notification must have come.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// The wait before another connection is tried where none came.
const DEAF: Duration = Duration::from_secs(300);

/// The waits before a connection that failed is made again.
const AGAIN: Limits = Limits {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    give_up_after: Duration::MAX,
};

/// Keeps a connection on which notifications for this process come.
pub(super) struct Listener {
    connector: Connector,
    pool: Pool,
    own_replica: Arc<OwnReplica>,
    /// `true` once it was logged that no notifications come.
    told: AtomicBool,
}

/// A connection that listens. Nothing more is `heard` once it has ended.
struct Listening {
    /// Listening ends when this is dropped.
    _connection: Connection,
    heard: mpsc::Receiver<()>,
}

impl Listener {
    pub(super) fn new(connector: Connector, pool: Pool, own_replica: Arc<OwnReplica>) -> Self {
        Self {
            connector,
            pool,
            own_replica,
            told: AtomicBool::new(false),
        }
    }

    /// Notifies `came` of each notification for this process, and whenever some may have been missed.
    pub(super) async fn listen(&self, came: Arc<Notify>) -> Infallible {
        let mut listening: Option<Listening> = None;
        let mut tries = 0;
        loop {
            let pause = match self.begin(&came).await {
                Ok(Some(new)) => {
                    let current = listening.insert(new);
                    // What was left before this connection listened was told to nobody.
                    came.notify_one();
                    tries = 0;
                    if timeout(LIFE, until_over(&mut current.heard)).await.is_ok() {
                        listening = None;
                        wait(AGAIN, tries, None)
                    } else {
                        // It goes on listening until the next one does.
                        Duration::ZERO
                    }
                }
                Ok(None) => {
                    listening = None;
                    self.tell();
                    DEAF
                }
                Err(error) => {
                    tracing::debug!(%error, "the database cannot be listened to for now");
                    tries += 1;
                    wait(AGAIN, tries, None)
                }
            };
            sleep(pause).await;
        }
    }

    /// Opens a connection that listens. Returns `None` if no notification comes on it.
    async fn begin(&self, came: &Arc<Notify>) -> Result<Option<Listening>, StateError> {
        let probe = format!("probe {:016x}", rand::random::<u64>());
        let (hears, mut heard) = mpsc::channel(1);
        let (sent, came, own) = (
            probe.clone(),
            Arc::clone(came),
            Arc::clone(&self.own_replica),
        );
        let connector = self.connector.hearing(move |payload| {
            if payload == sent {
                // One that is there already says the same.
                let _ = hears.try_send(());
            } else if own.replica().is_some_and(|own| payload.parse() == Ok(own)) {
                came.notify_one();
            }
        });
        let connection = connector.connect().await?;
        // What hears is the connection's alone now, and goes with it.
        drop(connector);
        let place = self.pool.place();
        let listen = format!("LISTEN {CHANNEL}");
        timeout(LIMIT, connection.client.batch_execute(&listen))
            .await
            .map_err(|_| place.no_answer(LIMIT))?
            .map_err(|error| place.explain(&error))?;
        self.send(&probe).await?;
        match timeout(HEARD_WITHIN, heard.recv()).await {
            Ok(Some(())) => Ok(Some(Listening {
                _connection: connection,
                heard,
            })),
            Ok(None) => Err(place.failed("the connection was closed by the server")),
            Err(_) => Ok(None),
        }
    }

    /// Sends a notification on a connection of the pool.
    async fn send(&self, payload: &str) -> Result<(), StateError> {
        let mut session = self.pool.session().await?;
        let notify = "SELECT pg_notify($1, $2)";
        let parameters = [text(CHANNEL), text(payload)];
        session.query(notify, &parameters).await.map(drop)
    }

    /// Says once that no notifications come.
    fn tell(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                state = %self.pool.place(),
                "the database's notifications do not come through, as behind a pooler in transaction mode: what another replica hears of for a key of this one is seen up to half a second later"
            );
        }
    }
}

/// Waits until the connection has ended.
async fn until_over(heard: &mut mpsc::Receiver<()>) {
    while heard.recv().await.is_some() {}
}
