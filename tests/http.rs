//! What is told over HTTP, and that nobody who connects can keep it from others.

mod crowd;
mod page;
mod page_rotation;
mod page_rules;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flashback_rotator::http::page::{Key, Overview};
use flashback_rotator::http::{Notice, NoticeTaker, Refusal, StatusSource, serve};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::LONG;

#[derive(Default)]
struct Fake {
    dead: AtomicBool,
    ready: AtomicBool,
    state_away: AtomicBool,
    keys: Mutex<Vec<Key>>,
    asked: AtomicUsize,
}

#[async_trait]
impl StatusSource for Fake {
    fn live(&self) -> Result<(), String> {
        match self.dead.load(Ordering::Relaxed) {
            true => Err("the check of `a` hangs".to_owned()),
            false => Ok(()),
        }
    }

    fn state(&self) -> Result<(), String> {
        match self.state_away.load(Ordering::Relaxed) {
            true => Err("the state is away".to_owned()),
            false => Ok(()),
        }
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        match self.ready.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(vec!["not signed in".to_owned(), "2 keys to go".to_owned()]),
        }
    }

    fn metrics(&self) -> String {
        "flashback_rotator_build_info 1\n".to_owned()
    }

    async fn status(&self) -> Result<Value, String> {
        match self.state_away.load(Ordering::Relaxed) {
            true => Err("the state is away".to_owned()),
            false => Ok(json!({ "keys": [] })),
        }
    }

    async fn overview(&self) -> Result<Overview, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        // As long as a store may take, so that those who ask meanwhile are there together.
        tokio::time::sleep(Duration::from_millis(100)).await;
        match self.state_away.load(Ordering::Relaxed) {
            true => Err("the state <is> away".to_owned()),
            false => Ok(page::overview(self.keys.lock().clone())),
        }
    }
}

#[async_trait]
impl NoticeTaker for Fake {
    async fn take(&self, _: Option<&str>, _: Notice) -> Result<(), Refusal> {
        Err(Refusal::Off)
    }
}

struct Page {
    status_source: Arc<Fake>,
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Page {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (status_source, stop) = (Arc::new(Fake::default()), CancellationToken::new());
        let served = tokio::spawn(serve(
            listener,
            status_source.clone(),
            status_source.clone(),
            stop.clone(),
        ));
        Self {
            status_source,
            address,
            stop,
            served,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    async fn ask(&self, method: reqwest::Method, path: &str) -> reqwest::Response {
        reqwest::Client::builder()
            .timeout(LONG)
            .build()
            .expect("a client")
            .request(method, format!("http://{}{path}", self.address))
            .send()
            .await
            .expect("an answer")
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask(reqwest::Method::GET, path).await;
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(LONG, self.served).await;
        ended.expect("it ends").expect("without a panic");
    }
}

/// Reads until the other side closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes));
    let _ = read.await.expect("it is closed in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text of a document without its tags, style and script.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let end = ["style>", "script>"]
            .into_iter()
            .find(|tag| after.starts_with(tag));
        let after = end.map_or(after, |tag| {
            after.split_once(&format!("</{tag}")).expect("an end").1
        });
        rest = if end.is_some() {
            after
        } else {
            after.split_once('>').expect("a tag's end").1
        };
        text.push(' ');
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn livez_and_readyz_report_health() {
    let page = Page::start().await;
    assert_eq!(page.get("/livez").await.0, 200);
    page.status_source.dead.store(true, Ordering::Relaxed);
    let hangs = (503, "the check of `a` hangs\n".to_owned());
    assert_eq!(page.get("/livez").await, hangs);
    let not_ready = (503, "not signed in\n2 keys to go\n".to_owned());
    assert_eq!(page.get("/readyz").await, not_ready);
    page.status_source.ready.store(true, Ordering::Relaxed);
    assert_eq!(page.get("/readyz").await.0, 200);
    page.end().await;
}

#[tokio::test]
async fn serves_metrics_and_status() {
    let page = Page::start().await;
    let answer = page.ask(reqwest::Method::GET, "/metrics").await;
    let header = |name: &str| {
        let value = answer.headers().get(name).expect("a header");
        value.to_str().expect("text").to_owned()
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(header("content-type"), kind);
    assert_eq!(header("cache-control"), "no-store");
    let text = answer.text().await.expect("text");
    assert_eq!(text, "flashback_rotator_build_info 1\n");

    let answer = page.ask(reqwest::Method::GET, "/status").await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document: Value = answer.json().await.expect("JSON");
    assert_eq!(document, json!({ "keys": [] }));
    page.status_source.state_away.store(true, Ordering::Relaxed);
    let away = (503, "the state is away\n".to_owned());
    assert_eq!(page.get("/status").await, away);
    page.end().await;
}

#[tokio::test]
async fn nothing_else_is_there() {
    let page = Page::start().await;
    for path in ["/livez/", "/metrics/x", "/index.html", "/..%2fetc/passwd"] {
        assert_eq!(page.get(path).await.0, 404, "{path}");
    }
    for method in [reqwest::Method::POST, reqwest::Method::DELETE] {
        for path in ["/", "/status"] {
            let answer = page.ask(method.clone(), path).await;
            assert_eq!(answer.status(), 405);
            assert_eq!(answer.headers()["allow"], "GET,HEAD");
        }
    }
    for path in ["/", "/metrics"] {
        let answer = page.ask(reqwest::Method::HEAD, path).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.expect("text").is_empty());
    }
    page.end().await;
}

#[tokio::test]
async fn a_head_that_trickles_or_never_ends_is_cut_off() {
    let page = Page::start().await;
    let mut trickles = page.connect().await;
    let started = Instant::now();
    let trickle = async {
        let mut sent = trickles.write_all(b"GET /livez HTTP/1.1\r\n").await;
        while sent.is_ok() && started.elapsed() < LONG {
            tokio::time::sleep(Duration::from_millis(100)).await;
            sent = trickles.write_all(b"X: y\r\n").await;
        }
    };
    trickle.await;
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());

    let mut huge = page.connect().await;
    let head = format!("GET /livez HTTP/1.1\r\nX: {}", "y".repeat(1 << 20));
    let _ = huge.write_all(head.as_bytes()).await;
    let answer = until_closed(&mut huge).await;
    assert!(!answer.contains("200"), "{answer}");
    assert_eq!(page.get("/livez").await.0, 200);
    page.end().await;
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let page = Page::start().await;
    let mut stream = page.connect().await;
    let head = "POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    page.end().await;
}

#[tokio::test]
async fn the_end_waits_for_nobody_idle() {
    let page = Page::start().await;
    let mut idle = page.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut byte = [0];
    idle.read_exact(&mut byte).await.expect("an answer");
    let address = page.address;
    page.end().await;
    until_closed(&mut idle).await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}
