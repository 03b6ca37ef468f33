//! However many connect, and whatever they do then, a client that asks for something is answered.

use std::net::SocketAddr;
use std::time::Duration;

use flashback_rotator::flashback::sandbox::Options;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Page;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

/// How long an answer may take, with time to spare for a machine under load.
const SOON: Duration = Duration::from_secs(5);

/// What those do who are not there for an answer.
#[derive(Clone, Copy, Debug)]
enum Crowd {
    Nothing,
    /// Sends a head that has no end, a piece each tenth of a second.
    Trickles,
    /// Asks for much and reads nothing.
    NeverReads,
    /// Asks once and stays.
    Stays,
    /// Comes back soon after it was turned away.
    ComesBack,
}

impl Crowd {
    const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Trickles,
        Self::NeverReads,
        Self::Stays,
        Self::ComesBack,
    ];

    async fn go(self, address: SocketAddr) {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        match self {
            Self::Nothing => std::future::pending().await,
            Self::Trickles => {
                let mut piece: &[u8] = b"GET /livez HTTP/1.1\r\n";
                while stream.write_all(piece).await.is_ok() {
                    piece = b"X: y\r\n";
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Self::NeverReads => {
                let ask = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
                let _ = stream.write_all(&ask.repeat(100)).await;
            }
            Self::Stays => {
                let ask = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
                let _ = stream.write_all(ask).await;
            }
            Self::ComesBack => loop {
                let _ = stream.readable().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                if let Ok(again) = TcpStream::connect(address).await {
                    stream = again;
                }
            },
        }
        std::future::pending::<()>().await;
        drop(stream);
    }
}

/// Asks with a new connection, as a probe does.
async fn probe(url: &str) -> reqwest::StatusCode {
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .timeout(SOON)
        .build();
    let asked = client.expect("a client").get(url).send().await;
    asked
        .unwrap_or_else(|error| panic!("{url}: {error:?}"))
        .status()
}

/// Lets this process have as many file descriptors as it may; gives how many.
fn all_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).expect("its own limit");
    limit.maximum.unwrap_or(u64::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_whatever_the_others_do() {
    all_descriptors();
    for kind in Crowd::ALL {
        let page = Page::start().await;
        let mut crowd = JoinSet::new();
        for number in 0..1_000 {
            crowd.spawn(kind.go(page.address));
            if number % 100 == 99 {
                let status = probe(&format!("http://{}/livez", page.address)).await;
                assert_eq!(status, 200, "{kind:?}");
            }
        }
        for path in ["livez", "metrics", "livez", "status", "livez"] {
            let status = probe(&format!("http://{}/{path}", page.address)).await;
            assert_eq!(status, 200, "{kind:?}: {path}");
        }
        drop(crowd);
        page.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_leave_descriptors_for_the_work() {
    let many = all_descriptors().saturating_sub(1_000).min(10_000);
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.within = ["prlimit", "--nofile=1024:1024"]
        .map(str::to_owned)
        .to_vec();
    rotator.put("a", "sk-0");
    rotator.start();
    rotator.ready().await;
    let url = rotator.http().await;
    let address: SocketAddr = url
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let mut crowd = Vec::new();
    for number in 0..many {
        crowd.push(TcpStream::connect(address).await.expect("connected"));
        if number % 2_000 == 1_999 {
            assert_eq!(probe(&format!("{url}/livez")).await, 200);
            let key = format!("sk-{number}");
            rotator.put("a", &key);
            arrives(&sandbox, "a", &key).await;
        }
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", rotator.pid()));
    let open = open.expect("its descriptors").count();
    assert!(open < 512, "{open} descriptors are open");
    assert_eq!(probe(&format!("{url}/readyz")).await, 200);
    assert!(rotator.stop().await.success());
    drop(crowd);
}
