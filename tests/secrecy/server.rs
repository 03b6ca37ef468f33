//! A server that answers whatever a test wants, byte by byte.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// It stops when it is dropped.
pub struct Stub {
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Stub {
    /// `answer` makes all of an answer of all of a request.
    pub async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move { converse(stream, &*answer).await });
            }
        });
        Self { url, task }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(mut stream: TcpStream, answer: &(impl Fn(&str) -> Vec<u8> + Sync)) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut buffer = [0; 16 << 10];
        let Ok(length @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        request.extend(&buffer[..length]);
    }
    let answer = answer(&String::from_utf8_lossy(&request));
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

/// Whether the head is there and the body is as long as it says.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let stated = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().expect("a length"))
    });
    body.len() >= stated.unwrap_or(0)
}

/// A whole answer.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A whole answer in JSON.
pub fn json(status: u16, body: &serde_json::Value) -> Vec<u8> {
    let headers = "Content-Type: application/json\r\n";
    answer(status, headers, &body.to_string())
}
