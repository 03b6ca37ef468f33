//! Helpers for the tests: real servers on free ports, temporary directories, and waiting for a condition.

pub mod aws;
pub mod configuration;
pub mod durable;
pub mod flood;
pub mod front;
pub mod hostile;
pub mod iam;
pub mod namespaces;
pub mod openbao;
pub mod page;
pub mod pki;
pub mod policies;
pub mod postgres;
pub mod process_memory;
pub mod providers;
pub mod proxy;
pub mod queue;
pub mod queued;
pub mod reader;
pub mod receiver;
pub mod replicas;
pub mod rotator;
pub mod sandbox;
pub mod shaken;
pub mod test_bed;
pub mod triggers;
pub mod upstreams;
pub mod writes;

use std::fs::{File, FileTimes};
use std::future::Future;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The time after which a test gives up waiting. It is far longer than any condition needs, and is only
/// reached when the condition will never hold.
pub const LONG: Duration = Duration::from_secs(120);

/// The number of ports from which [`free_port`] takes one.
const PORTS: u32 = 5_000;

/// Returns the virtual environment with the test servers.
pub fn venv() -> PathBuf {
    let path = std::env::var_os("FLASHBACK_ROTATOR_TEST_VENV").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv"),
        PathBuf::from,
    );
    assert!(
        path.join("bin/python3").exists(),
        "no test servers in {}: run the tests with `tests/run`, which installs them",
        path.display()
    );
    path
}

/// Returns a port on which nobody listens, for a server that is yet to start, or for none.
///
/// It lies below the range from which the kernel gives ports to connections, and to listeners that ask for any: it
/// could give away a port of that range again before the server is up. A process is given each port once, and the one
/// above it is given to nobody: OpenBao takes it for its cluster.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let range = range.expect("the range of the kernel's ports");
    let end = range.split_whitespace().next().expect("its first port");
    let end: u32 = end.parse().expect("a port");
    // Where that range begins so low that there is no room below it, a port of it has to do.
    let end = end.max(4 * PORTS);
    // Two processes begin far from each other.
    let own = std::process::id().wrapping_mul(389);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = (0..PORTS).map(|_| {
        let number = own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(end - 2 * (1 + number % PORTS)).expect("a port")
    });
    ports.find(is_free).expect("a free port")
}

/// Returns an HTTP client for the servers of a test. It reads no authorities, which without optimization takes
/// longer than most requests, and keeps no connections, because each test has a runtime of its own.
pub fn client() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .tls_certs_only(Vec::new())
            .build()
            .expect("a client")
    });
    CLIENT.clone()
}

/// Asks for what is at `url`.
pub async fn get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    client().get(url).send().await
}

/// Polls `condition` until it returns a value.
///
/// # Panics
/// After [`LONG`], with `what` in the message.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes a file that counts as complete at once, as if it had been finished before it was renamed into
/// place: its modification time lies before its last change. Only the owner may read it.
pub fn place_file(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).expect("opened");
    file.write_all(content.as_ref()).expect("written");
    let before = SystemTime::now() - Duration::from_secs(60);
    let times = FileTimes::new().set_modified(before);
    file.set_times(times).expect("its times are set");
}

/// Sends the log of this thread to `subscriber`.
///
/// It also sets a global subscriber. Without one, the first test to reach a log line may decide for all
/// threads that the line is disabled.
pub fn log_to(
    subscriber: impl tracing::Subscriber + Send + Sync + 'static,
) -> tracing::subscriber::DefaultGuard {
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    tracing::subscriber::set_default(subscriber)
}

/// A server process that ends with the test, however the test ends.
pub struct Server {
    leash: Child,
}

impl Server {
    /// Starts `command` through `leash.py`, with its output in `log`.
    pub fn start(command: &Command, log: &Path) -> Self {
        let out = File::create(log).expect("a log file");
        let mut leash = Command::new(venv().join("bin/python3"));
        leash
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/leash.py"))
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(out.try_clone().expect("a second handle"))
            .stderr(out);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leash.env(name, value),
                None => leash.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            leash.current_dir(directory);
        }
        Self {
            leash: leash.spawn().expect("the server starts"),
        }
    }

    /// Returns the process id of the server itself.
    pub fn pid(&self) -> u32 {
        let leash = self.leash.id();
        let children = std::fs::read_to_string(format!("/proc/{leash}/task/{leash}/children"));
        let children = children.expect("the leash's children");
        children.trim().parse().expect("one child")
    }

    /// Sends the server itself a signal by name (`STOP`, `HUP`).
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        let _ = self.leash.wait();
    }
}
