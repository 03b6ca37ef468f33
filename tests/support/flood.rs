//! A TLS server that answers over HTTP/2 with endless frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The frames that never end.
#[derive(Clone, Copy, Debug)]
pub enum Frames {
    /// A header block that is continued forever.
    Continuations,
    /// Settings, which must be acknowledged.
    Settings,
    /// Pings, which must be answered.
    Pings,
    /// Empty pieces of a body.
    EmptyData,
}

impl Frames {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Continuations,
        Self::Settings,
        Self::Pings,
        Self::EmptyData,
    ];

    /// Returns the beginning of an answer, and the part that is repeated after it.
    fn parts(self, stream: u32) -> (Vec<u8>, Vec<u8>) {
        let head = |flags| frame(1, flags, stream, &[0x88]);
        match self {
            Self::Continuations => {
                // A literal header without indexing: the name `x`, and a value of 100 letters.
                let header = [&[0, 1, b'x', 100][..], &[b'a'; 100]].concat();
                (head(0), frame(9, 0, stream, &header.repeat(50)))
            }
            Self::Settings => (
                Vec::new(),
                frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(100),
            ),
            Self::Pings => (Vec::new(), frame(6, 0, 0, &[7; 8]).repeat(100)),
            Self::EmptyData => (head(4), frame(0, 0, stream, &[]).repeat(100)),
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    let head = [
        &length.to_be_bytes()[1..],
        &[kind, flags],
        &stream.to_be_bytes(),
    ]
    .concat();
    [&head[..], payload].concat()
}

/// The server. It listens on a port of its own until it is dropped.
pub struct Flood {
    /// Its URL.
    pub url: String,
    over: Arc<Mutex<Vec<Duration>>>,
    serves: JoinHandle<()>,
}

impl Flood {
    /// Starts a server that answers every request with these frames.
    pub async fn start(frames: Frames, tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let over = Arc::<Mutex<Vec<Duration>>>::default();
        let noted = Arc::clone(&over);
        let serves = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (tls, noted) = (TlsAcceptor::from(Arc::clone(&tls)), Arc::clone(&noted));
                connections.spawn(async move {
                    if let Some(took) = answer(client, tls, frames).await {
                        let mut noted = noted.lock();
                        noted.push(took);
                    }
                });
            }
        });
        Self { url, over, serves }
    }

    /// Returns how long each flood lasted that the client has ended.
    pub fn over(&self) -> Vec<Duration> {
        let over = self.over.lock();
        over.clone()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

/// Answers the first request of a connection until the client closes it, and returns how long that took.
/// Returns `None` if there was no request.
async fn answer(client: TcpStream, tls: TlsAcceptor, frames: Frames) -> Option<Duration> {
    let stream = tls.accept(client).await.ok()?;
    let (mut from, mut to) = tokio::io::split(stream);
    to.write_all(&frame(4, 0, 0, &[])).await.ok()?;
    let stream = request(&mut from).await?;
    let began = Instant::now();
    let (first, again) = frames.parts(stream);
    let writes = async {
        let mut next = &first;
        while to.write_all(next).await.is_ok() && to.flush().await.is_ok() {
            next = &again;
        }
    };
    let mut buffer = [0; 16 << 10];
    let leaves = async { while let Ok(1..) = from.read(&mut buffer).await {} };
    tokio::select! {
        () = writes => {}
        () = leaves => {}
    }
    Some(began.elapsed())
}

/// Reads up to a request's header block and returns the number of its stream.
async fn request(from: &mut (impl AsyncRead + Unpin)) -> Option<u32> {
    // The connection preface of HTTP/2.
    let mut preface = [0; 24];
    from.read_exact(&mut preface).await.ok()?;
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).ok()?];
        from.read_exact(&mut payload).await.ok()?;
        if head[3] == 1 {
            return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}
