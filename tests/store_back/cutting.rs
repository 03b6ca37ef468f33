//! A proxy that takes a request to the server and its answer to nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A proxy in front of a server on this machine.
pub struct Cutting {
    /// Its address.
    pub url: String,
    cut: Arc<AtomicUsize>,
    serves: JoinHandle<()>,
}

impl Cutting {
    /// Starts it in front of `upstream`, an address. It cuts the answers to the first `times` requests in which `mark`
    /// stands, once they have been carried out.
    pub async fn start(upstream: &str, mark: &'static str, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let cut = Arc::new(AtomicUsize::new(times));
        let left = Arc::clone(&cut);
        let serves = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&upstream).await.expect("a server");
                tokio::spawn(pass(client, server, mark, Arc::clone(&left)));
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            cut,
            serves,
        }
    }

    /// Returns how many answers are yet to be cut.
    pub fn left(&self) -> usize {
        self.cut.load(Ordering::SeqCst)
    }
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, mark: &str, left: Arc<AtomicUsize>) {
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    let mut cuts = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(length) if length > 0 => {
                    let text = String::from_utf8_lossy(&asked[..length]).to_ascii_lowercase();
                    if text.contains(&mark.to_ascii_lowercase()) {
                        let less = |left: usize| left.checked_sub(1);
                        let order = Ordering::SeqCst;
                        cuts |= left.fetch_update(order, order, less).is_ok();
                    }
                    if server.write_all(&asked[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                // The answer has begun, so the request has been carried out.
                Ok(length) if length > 0 && !cuts => {
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
