//! A wire that is listened in on: what goes over it in plain text is how a test learns the secrets
//! that servers make up, and how it knows that the others were really used.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A way to a server on this machine that keeps all that passes.
pub struct Tap {
    address: String,
    heard: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Tap {
    /// To `url`, scheme, host and port.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let server = url.trim_start_matches("http://").to_owned();
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let ear = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, ear) = (server.clone(), Arc::clone(&ear));
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else {
                        return;
                    };
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::join!(
                        pass(from_client, to_server, &ear),
                        pass(from_server, to_client, &ear)
                    );
                });
            }
        });
        Self {
            address,
            heard,
            task,
        }
    }

    pub fn url(&self) -> &str {
        &self.address
    }

    /// All that passed, both ways.
    pub fn heard(&self) -> String {
        let heard = self.heard.lock();
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Every text between `before` and `after`, once.
    pub fn all_between(&self, before: &str, after: &str) -> Vec<String> {
        let heard = self.heard();
        let mut found: Vec<_> = heard
            .split(before)
            .skip(1)
            .filter_map(|rest| rest.split(after).next())
            .map(str::to_owned)
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    ear: &Mutex<Vec<u8>>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        ear.lock().extend(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
