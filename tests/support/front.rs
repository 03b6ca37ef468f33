//! A reverse proxy in front of a server, like a load balancer: it terminates TLS, speaks HTTP/2, records
//! which request came over which connection, and can hang, change its certificate and drop its connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::{Request, Response, StatusCode, Version, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The proxy. It listens on a port of its own until it is dropped.
pub struct Front {
    address: SocketAddr,
    inner: Arc<Inner>,
    serves: JoinHandle<()>,
}

/// A request that passed.
#[derive(Clone, Debug)]
pub struct Came {
    /// The number of its connection.
    pub connection: usize,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Method, path and, if there is one, AWS's name of the operation.
    pub line: String,
}

/// The condition of the connections of one generation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Open,
    Frozen,
    Cut,
}

struct Inner {
    /// The TLS configuration; `None` passes bytes on unchanged.
    tls: Mutex<Option<Arc<ServerConfig>>>,
    upstream: Mutex<String>,
    /// The generations of connections. New connections belong to the last one; earlier ones keep their
    /// condition.
    generations: Mutex<Vec<watch::Sender<Stands>>>,
    came: Mutex<Vec<Came>>,
    /// For each connection so far, whether it is still open.
    connections: Mutex<Vec<bool>>,
    client: reqwest::Client,
}

impl Front {
    /// Starts a proxy on a free port of 127.0.0.1, in front of the server at `upstream` (`http://HOST:PORT`).
    pub async fn start(upstream: &str, tls: Arc<ServerConfig>) -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        Self::listen(address, upstream, Some(tls)).await
    }

    /// Starts a proxy on a free port of 127.0.0.1 that passes bytes on unchanged.
    pub async fn passing(upstream: &str) -> Self {
        Self::listen(([127, 0, 0, 1], 0).into(), upstream, None).await
    }

    /// Starts a proxy on this address.
    pub async fn listen(
        address: SocketAddr,
        upstream: &str,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only(Vec::new())
            .build();
        let inner = Arc::new(Inner {
            tls: Mutex::new(tls),
            upstream: Mutex::new(upstream.to_owned()),
            generations: Mutex::new(vec![watch::Sender::new(Stands::Open)]),
            came: Mutex::default(),
            connections: Mutex::default(),
            client: client.expect("a client"),
        });
        Self {
            address: listener.local_addr().expect("an address"),
            serves: tokio::spawn(accept(listener, Arc::clone(&inner))),
            inner,
        }
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL, for a client that trusts its certificate.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Stops all traffic without closing connections: open ones hang, and new ones are accepted and hang,
    /// too.
    pub fn freeze(&self) {
        self.stand(Stands::Frozen);
    }

    /// Resumes the traffic.
    pub fn thaw(&self) {
        self.stand(Stands::Open);
    }

    /// Makes the open connections hang forever, while new ones work: as if another server had replaced one
    /// that died without closing its connections.
    pub fn replace(&self) {
        self.inner
            .generations
            .lock()
            .push(watch::Sender::new(Stands::Open));
    }

    /// Closes the open connections; new ones work.
    pub fn cut(&self) {
        self.stand(Stands::Cut);
        self.replace();
    }

    /// Changes the certificate for new connections.
    pub fn certificate(&self, tls: Arc<ServerConfig>) {
        *self.inner.tls.lock() = Some(tls);
    }

    /// Sends new requests, or new connections if bytes are passed on unchanged, to another server.
    pub fn upstream(&self, url: &str) {
        url.clone_into(&mut self.inner.upstream.lock());
    }

    /// Returns every request so far, in order.
    pub fn came(&self) -> Vec<Came> {
        self.inner.came.lock().clone()
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        let connections = self.inner.connections.lock();
        connections.iter().filter(|open| **open).count()
    }

    /// Returns whether a connection is open.
    pub fn is_open(&self, connection: usize) -> bool {
        self.inner.connections.lock()[connection]
    }

    fn stand(&self, stands: Stands) {
        let generations = self.inner.generations.lock();
        let newest = generations.last().expect("there is one");
        newest.send_replace(stands);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let _ = client.set_nodelay(true);
        connections.spawn(connection(client, Arc::clone(&inner)));
    }
}

async fn connection(client: TcpStream, inner: Arc<Inner>) {
    let stands = inner
        .generations
        .lock()
        .last()
        .map(watch::Sender::subscribe);
    let stands = stands.expect("there is one");
    let number = {
        let mut connections = inner.connections.lock();
        connections.push(true);
        connections.len() - 1
    };
    let tls = inner.tls.lock().clone();
    match tls {
        Some(tls) => {
            let (outer, end) = tokio::io::duplex(64 << 10);
            let served = serve(end, tls, Arc::clone(&inner), number);
            tokio::join!(splice(client, outer, stands), served);
        }
        None => {
            let upstream = inner.upstream.lock().clone();
            let (_, address) = upstream.split_once("://").expect("an address");
            if let Ok(server) = TcpStream::connect(address).await {
                splice(client, server, stands).await;
            }
        }
    }
    inner.connections.lock()[number] = false;
}

/// Copies bytes in both directions until both ends are closed or the connection is cut.
async fn splice(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite,
    mut stands: watch::Receiver<Stands>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = tokio::io::split(server);
    let asks = carry(from_client, to_server, stands.clone());
    let answers = carry(from_server, to_client, stands.clone());
    tokio::select! {
        _ = async { tokio::join!(asks, answers) } => {}
        _ = stands.wait_for(|stands| *stands == Stands::Cut) => {}
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut stands: watch::Receiver<Stands>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let passes = stands
            .wait_for(|stands| *stands != Stands::Frozen)
            .await
            .is_ok();
        if !passes || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    tls: Arc<ServerConfig>,
    inner: Arc<Inner>,
    connection: usize,
) {
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request| {
        let inner = Arc::clone(&inner);
        async move { Ok::<_, Infallible>(inner.forward(connection, request).await) }
    });
    let stream = TokioIo::new(stream);
    let _ = match is_h2 {
        true => {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.serve_connection(stream, service).await
        }
        false => {
            let server = hyper::server::conn::http1::Builder::new();
            server.serve_connection(stream, service).await
        }
    };
}

impl Inner {
    async fn forward(
        &self,
        connection: usize,
        request: Request<hyper::body::Incoming>,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let operation = parts.headers.get("x-amz-target");
        let operation = operation.and_then(|value| value.to_str().ok());
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let line = format!("{} {path} {}", parts.method, operation.unwrap_or_default());
        self.came.lock().push(Came {
            connection,
            version: parts.version,
            line: line.trim_end().to_owned(),
        });
        let failed = || {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        };
        let url = format!("{}{path}", self.upstream.lock());
        let Ok(body) = to_bytes(Body::new(body), usize::MAX).await else {
            return failed();
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        let asked = self.client.request(parts.method, url);
        let Ok(answer) = asked.headers(parts.headers).body(body).send().await else {
            return failed();
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        for name in [
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
        ] {
            response.headers_mut().remove(name);
        }
        let Ok(body) = answer.bytes().await else {
            return failed();
        };
        *response.body_mut() = Body::from(body);
        response
    }
}
