//! A TCP proxy that can cut connections, delay traffic or drop answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A mode of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Everything passes.
    Open,
    /// Connections are closed, new ones at once.
    Cut,
    /// Nothing passes and no connection is closed. What was sent arrives in the mode [`Open`](Self::Open),
    /// even if its sender is gone by then.
    Held,
    /// `PUT` requests are delayed as in [`Held`](Self::Held), and everything else passes.
    UpdatesHeld,
    /// Requests arrive, but the connection is closed instead of returning the answer.
    Deaf,
}

impl Way {
    fn holds(self, update: bool) -> bool {
        self == Self::Held || (self == Self::UpdatesHeld && update)
    }
}

/// The delay before the server is shown that the client of a delayed request is gone, so that it carries the
/// request out.
const LINGER: Duration = Duration::from_millis(500);

/// A proxy between clients and a server, on a port of its own of 127.0.0.1.
pub struct Proxy {
    /// Its port.
    pub port: u16,
    way: watch::Sender<Way>,
    upstream: Arc<AtomicU16>,
    updates: Arc<AtomicUsize>,
    serves: JoinHandle<()>,
}

/// The handling of one direction of a connection.
struct Toll {
    way: watch::Receiver<Way>,
    updates: Arc<AtomicUsize>,
    answers: bool,
}

impl Proxy {
    /// Starts a proxy to this port of 127.0.0.1, in the mode [`Way::Open`].
    pub async fn to(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let way = watch::Sender::new(Way::Open);
        let updates = Arc::default();
        let upstream = Arc::new(AtomicU16::new(upstream));
        let serves = serve(
            listener,
            Arc::clone(&upstream),
            way.subscribe(),
            Arc::clone(&updates),
        );
        Self {
            port,
            way,
            upstream,
            updates,
            serves: tokio::spawn(serves),
        }
    }

    /// Returns how many `PUT` requests have been delayed so far.
    pub fn held_up(&self) -> usize {
        self.updates.load(Ordering::Relaxed)
    }

    /// Directs new connections to another port; existing ones stay.
    pub fn lead_to(&self, upstream: u16) {
        self.upstream.store(upstream, Ordering::Relaxed);
    }

    /// Changes the mode.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Way::Cut);
        self.serves.abort();
    }
}

async fn serve(
    listener: TcpListener,
    upstream: Arc<AtomicU16>,
    way: watch::Receiver<Way>,
    updates: Arc<AtomicUsize>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let toll = |answers| Toll {
            way: way.clone(),
            updates: Arc::clone(&updates),
            answers,
        };
        let (mut asks, answers) = (toll(false), toll(true));
        let upstream = upstream.load(Ordering::Relaxed);
        tokio::spawn(async move {
            if !asks.passes(false).await {
                return;
            }
            let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else {
                return;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::join!(
                asks.carry(from_client, to_server),
                answers.carry(from_server, to_client),
            );
        });
    }
}

impl Toll {
    /// Copies the bytes of this direction until it ends or is cut.
    async fn carry(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut was_held = false;
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                _ = self.way.wait_for(|way| *way == Way::Cut) => return,
            };
            let Ok(length @ 1..) = read else { break };
            let data = &buffer[..length];
            let update = !self.answers && data.starts_with(b"PUT ");
            if self.way.borrow().holds(update) {
                was_held = true;
                self.updates
                    .fetch_add(usize::from(update), Ordering::Relaxed);
            }
            if !self.passes(update).await || to.write_all(data).await.is_err() {
                return;
            }
        }
        if was_held && !self.answers {
            tokio::time::sleep(LINGER).await;
        }
        let _ = to.shutdown().await;
    }

    /// Waits while traffic is delayed, and returns whether it may pass then.
    async fn passes(&mut self, update: bool) -> bool {
        let way = self.way.wait_for(|way| !way.holds(update)).await;
        match way.as_deref() {
            Ok(Way::Cut) | Err(_) => false,
            Ok(Way::Deaf) => !self.answers,
            Ok(Way::Open | Way::Held | Way::UpdatesHeld) => true,
        }
    }
}
