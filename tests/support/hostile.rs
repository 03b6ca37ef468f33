//! A server with harmful answers: they never end, never begin, or are far too large.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A way in which an answer is harmful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A chunked body that never ends.
    Endless,
    /// A body of a gigabyte, with its `Content-Length`.
    Gigabyte,
    /// A body of seven megabytes that decompresses to more than a gigabyte.
    Packed,
    /// A body of one byte a second.
    Drip,
    /// A body that is announced but never begins.
    Silent,
    /// Headers that never end.
    Headers,
    /// Informational responses (103) that never end.
    Preliminary,
    /// JSON with 100,000 nested arrays.
    Deep,
    /// JSON with a number of a million digits.
    Number,
}

impl Harm {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Endless,
        Self::Gigabyte,
        Self::Packed,
        Self::Drip,
        Self::Silent,
        Self::Headers,
        Self::Preliminary,
        Self::Deep,
        Self::Number,
    ];

    /// Returns its name in lower case.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Returns the beginning of the answer, and the part that is repeated after it.
    fn parts(self) -> (Vec<u8>, Vec<u8>) {
        let ok = "HTTP/1.1 200 OK\r\n";
        let typed = format!("{ok}Content-Type: application/json\r\n");
        let whole = |body: &str| {
            let length = body.len();
            format!("{typed}Content-Length: {length}\r\n\r\n{body}").into_bytes()
        };
        let spaces = " ".repeat(64 << 10);
        match self {
            Self::Endless => (
                format!("{typed}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
                format!("10000\r\n{spaces}\r\n").into_bytes(),
            ),
            Self::Gigabyte => (
                format!("{typed}Content-Length: {}\r\n\r\n", 1 << 30).into_bytes(),
                spaces.into_bytes(),
            ),
            Self::Packed => {
                let body = bomb();
                let length = body.len();
                let head =
                    format!("{typed}Content-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n");
                ([head.into_bytes(), body].concat(), Vec::new())
            }
            Self::Drip => (
                format!("{typed}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
                b"1\r\n \r\n".to_vec(),
            ),
            Self::Silent => (
                format!("{typed}Content-Length: 100\r\n\r\n").into_bytes(),
                Vec::new(),
            ),
            Self::Headers => {
                let mut lines = String::new();
                for number in 0..500 {
                    let _ = write!(lines, "X-{number}: {}\r\n", "x".repeat(100));
                }
                (ok.into(), lines.into_bytes())
            }
            Self::Preliminary => (
                Vec::new(),
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(200),
            ),
            Self::Deep => (whole(&"[".repeat(100_000)), Vec::new()),
            Self::Number => (whole(&"9".repeat(1_000_000)), Vec::new()),
        }
    }

    /// Returns whether the answer goes on until the client ends it.
    pub fn is_endless(self) -> bool {
        !matches!(self, Self::Packed | Self::Deep | Self::Number)
    }
}

/// Returns a gzip stream of zeros: one literal, followed by the code for "repeat the last byte 258 times",
/// which takes 13 bits, over and over. Eight such codes take thirteen bytes.
fn bomb() -> Vec<u8> {
    // The header of a last block with fixed codes, and the literal 0.
    let bits = ["11000110000", &"1100010100000".repeat(16)].concat();
    let bytes = bits.as_bytes().chunks_exact(8);
    let bytes: Vec<u8> = bytes
        .map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit & 1)))
        .collect();
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&header, &bytes[..2], &bytes[2..15].repeat(525_000)].concat()
}

/// A proxy in front of a server that gives harmful answers to some requests, until it is dropped.
pub struct Hostile {
    url: String,
    inner: Arc<Inner>,
    serves: JoinHandle<()>,
}

struct Inner {
    /// `HOST:PORT` of the server behind it.
    upstream: String,
    /// The text that the head of a request must contain to be answered harmfully.
    aim: &'static str,
    harm: Mutex<Option<Harm>>,
    /// The durations of the harmful answers that have ended.
    over: Mutex<Vec<Duration>>,
}

impl Hostile {
    /// Starts a proxy in front of the server at `upstream`. Requests whose head contains `aim` are answered
    /// with `harm`; all others pass.
    pub async fn before(upstream: &str, aim: &'static str, harm: Option<Harm>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let inner = Arc::new(Inner {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            aim,
            harm: Mutex::new(harm),
            over: Mutex::default(),
        });
        let serving = Arc::clone(&inner);
        let serves = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&serving).converse(client));
            }
        });
        Self { url, inner, serves }
    }

    /// Returns its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes the harm; `None` lets every request pass.
    pub fn set(&self, harm: Option<Harm>) {
        *self.inner.harm.lock() = harm;
    }

    /// Returns the durations of the harmful answers that have ended.
    pub fn over(&self) -> Vec<Duration> {
        self.inner.over.lock().clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

impl Inner {
    /// Answers one request and closes the connection.
    async fn converse(self: Arc<Self>, mut client: TcpStream) {
        let mut request = Vec::new();
        let head = loop {
            let mut buffer = [0; 16 << 10];
            let Ok(length @ 1..) = client.read(&mut buffer).await else {
                return;
            };
            request.extend(&buffer[..length]);
            let end = request.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break String::from_utf8_lossy(&request[..end + 2]).into_owned();
            }
        };
        let harm = *self.harm.lock();
        match harm.filter(|_| head.contains(self.aim)) {
            Some(harm) => {
                let began = Instant::now();
                answer(&mut client, harm).await;
                self.over.lock().push(began.elapsed());
            }
            None => self.pass(client, &request).await,
        }
    }

    async fn pass(&self, mut client: TcpStream, request: &[u8]) {
        let Ok(mut server) = TcpStream::connect(&self.upstream).await else {
            return;
        };
        // A second request on the same connection would not be compared with `aim`.
        let line = request.iter().position(|byte| *byte == b'\n');
        let (line, rest) = request.split_at(line.map_or(0, |at| at + 1));
        for part in [line, b"Connection: close\r\n", rest] {
            if server.write_all(part).await.is_err() {
                return;
            }
        }
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

/// Gives a harmful answer, until it is complete or the client closes the connection.
async fn answer(client: &mut TcpStream, harm: Harm) {
    let (first, again) = harm.parts();
    let (mut from, mut to) = client.split();
    let writes = async {
        to.write_all(&first).await?;
        while !again.is_empty() {
            to.write_all(&again).await?;
            if harm == Harm::Drip {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        // An answer that ends is complete; for the others, wait for the client.
        if harm.is_endless() {
            std::future::pending::<()>().await;
        }
        to.shutdown().await
    };
    let mut buffer = [0; 16 << 10];
    let leaves = async { while let Ok(1..) = from.read(&mut buffer).await {} };
    tokio::select! {
        _ = writes => {}
        () = leaves => {}
    }
}
