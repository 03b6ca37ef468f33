//! What systemd is told, over a socket that stands for its own.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use flashback_rotator::flashback::sandbox::{Operation, Options, Rule};
use parking_lot::Mutex;

use crate::support::configuration::key;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::{eventually, get};

/// Where the daemon's notifications end.
struct Ear {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Ear {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_nonblocking(true).expect("not blocking");
        Self {
            socket,
            heard: Vec::new(),
        }
    }

    fn listen(&mut self) {
        let mut buffer = [0; 8 << 10];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            assert!(!text.contains("canary"), "{text}");
            self.heard.push(text);
        }
    }

    /// Waits for a message after the first `after` that `is_it`; gives its number.
    async fn hears(&mut self, what: &str, after: usize, is_it: impl Fn(&str) -> bool) -> usize {
        let ear = Mutex::new(self);
        eventually(what, || async {
            let mut ear = ear.lock();
            ear.listen();
            let mut heard = ear.heard.iter().enumerate().skip(after);
            heard.find(|(_, text)| is_it(text)).map(|(at, _)| at)
        })
        .await
    }
}

fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = message.lines().filter_map(|line| line.split_once('='));
    lines.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn started(sandbox: &str, rest: &str, watchdog_usec: &str) -> (Rotator, Ear) {
    started_with(sandbox, rest, watchdog_usec, &[])
}

fn started_with(
    sandbox: &str,
    rest: &str,
    watchdog_usec: &str,
    environment: &[(&str, &str)],
) -> (Rotator, Ear) {
    let mut rotator = Rotator::new(sandbox, rest);
    let socket = rotator.path().join("notify");
    let ear = Ear::at(&socket);
    rotator.put("a", "sk-canary");
    let socket = socket.display().to_string();
    let told = [
        ("NOTIFY_SOCKET", &*socket),
        ("WATCHDOG_USEC", watchdog_usec),
    ];
    rotator.start_with(&[&told, environment].concat());
    (rotator, ear)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_follows_the_daemon_through_its_life() {
    let sandbox = sandbox(Options::default()).await;
    let good = format!("{QUICK}{}", file_key("a"));
    let (mut rotator, mut ear) = started(&sandbox.url(), &good, "400000");
    let ready = ear.hears("READY=1", 0, |text| field(text, "READY") == Some("1"));
    assert_eq!(ready.await, 0, "the first word");
    let status = |expected: &'static str| move |text: &str| field(text, "STATUS") == Some(expected);
    let well = "1 key: 1 in sync; Flashback up; files up";
    ear.hears(well, 0, status(well)).await;
    let alive = |text: &str| field(text, "WATCHDOG") == Some("1");
    let mut at = 0;
    for _ in 0..5 {
        at = ear.hears("WATCHDOG=1", at + 1, alive).await;
    }

    // A reload that succeeds, by signal …
    let reloading = |text: &str| field(text, "RELOADING") == Some("1");
    let again = |text: &str| field(text, "READY") == Some("1");
    rotator.configure(
        &sandbox.url(),
        &format!("{good}{}enabled = false\n", file_key("b")),
    );
    rotator.signal("HUP");
    at = ear.hears("RELOADING=1", at, reloading).await;
    let when = field(&ear.heard[at], "MONOTONIC_USEC").expect("a time");
    assert!(when.parse::<u64>().is_ok_and(|when| when > 0), "{when}");
    // The change of the file may be noticed before the signal: then that makes two of them.
    let ready = |is_it: fn(&str) -> bool| {
        move |text: &str| again(text) && field(text, "STATUS").is_some_and(is_it)
    };
    let both = ready(|now| now.starts_with("2 keys: 1 in sync, 1 disabled; "));
    at = ear.hears("ready with both keys", at, both).await;

    // … and one that is refused: it ends all the same, and the status says so until it is mended.
    rotator.configure(
        &sandbox.url(),
        &format!("{good}[keys.canary]\nai_type = \"x\"\n"),
    );
    at = ear.hears("RELOADING=1", at, reloading).await;
    let refused =
        ready(|now| now.ends_with("; the new configuration is refused, the old one goes on"));
    at = ear.hears("ready with the old ones", at, refused).await;
    rotator.configure(&sandbox.url(), &good);
    ear.hears("mended", at, status(well)).await;

    // A key that fails is counted once it fails.
    sandbox.fail(Rule::status(400).on(Operation::Update));
    rotator.put("a", "sk-canary-2");
    let failing = "1 key: 1 failing; Flashback up; files up";
    ear.hears(failing, at, status(failing)).await;

    rotator.signal("TERM");
    let stopping = |text: &str| field(text, "STOPPING") == Some("1");
    let at = ear.hears("STOPPING=1", at, stopping).await;
    let now = field(&ear.heard[at], "STATUS").expect("a status");
    assert!(now.starts_with("SIGTERM"), "{now}");
    assert!(rotator.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_waits_for_no_outage_and_the_status_names_it() {
    let sandbox = sandbox(Options::default()).await;
    sandbox.fail(Rule::status(503));
    let rest = format!(
        "{QUICK}[sources.gone]\ntype = \"file\"\ndir = \"{{dir}}/gone\"\n{}{}",
        file_key("a"),
        key("b", "gone", "b")
    );
    let (rotator, mut ear) = started(&sandbox.url(), &rest, "60000000");
    let ready = ear.hears("READY=1", 0, |text| field(text, "READY") == Some("1"));
    assert_eq!(ready.await, 0);
    let away = "2 keys: 2 failing; Flashback down; files up, gone down";
    ear.hears(away, 0, |text| field(text, "STATUS") == Some(away))
        .await;
    sandbox.heal();
    arrives(&sandbox, "a", "sk-canary").await;
    let back = "2 keys: 1 in sync, 1 failing; Flashback up; files up, gone down";
    ear.hears(back, 0, |text| field(text, "STATUS") == Some(back))
        .await;
    assert!(!rotator.log().contains("systemd"), "{}", rotator.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_hangs_ends_the_watchdogs_trust() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}{}", file_key("a"), file_key("b"));
    let hang = [
        ("FLASHBACK_ROTATOR_HANG_AT", "check_begun:4"),
        ("FLASHBACK_ROTATOR_STALLED_AFTER_MS", "3000"),
    ];
    let (mut rotator, mut ear) = started_with(&sandbox.url(), &rest, "400000", &hang);
    rotator.put("b", "sk-canary-b");
    let alive = |text: &str| field(text, "WATCHDOG") == Some("1");
    ear.hears("WATCHDOG=1", 0, alive).await;
    let url = format!("{}/livez", rotator.http().await);
    let listening = Mutex::new(&mut ear);
    let said = eventually("not alive", || async {
        listening.lock().listen();
        let answer = get(&url).await.ok()?;
        (answer.status() == 503).then_some(answer.text().await.ok()?)
    })
    .await;
    let hung = match said.as_str() {
        "the check of `a` hangs\n" => "a",
        "the check of `b` hangs\n" => "b",
        _ => panic!("{said}"),
    };
    let lines = rotator.log();
    let lines: Vec<_> = lines
        .lines()
        .filter(|line| line.contains(" hangs: "))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(&format!("\"key\":\"{hung}\"")),
        "{lines:?}"
    );

    // Five of its periods; nothing comes that would say that it is alive.
    ear.listen();
    let after = ear.heard.len();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    ear.listen();
    let heard: Vec<_> = ear.heard[after..]
        .iter()
        .filter(|text| alive(text))
        .collect();
    assert!(heard.is_empty(), "{heard:?}");

    // The other key is none the worse for it, and the end comes in time.
    let other = if hung == "a" { "b" } else { "a" };
    rotator.put(other, "sk-canary-2");
    arrives(&sandbox, other, "sk-canary-2").await;
    assert!(rotator.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_not_suspected_for_time_in_which_the_process_stood_still() {
    let sandbox = sandbox(Options::default()).await;
    let rest = format!("{QUICK}{}", file_key("a"));
    let soon = [("FLASHBACK_ROTATOR_STALLED_AFTER_MS", "3000")];
    let (mut rotator, _ear) = started_with(&sandbox.url(), &rest, "400000", &soon);
    arrives(&sandbox, "a", "sk-canary").await;
    sandbox.change(|switches| switches.latency_ms = 1_000);
    rotator.put("a", "sk-canary-2");
    let second = |line: &serde_json::Value| line["previous_version"].is_string();
    rotator.event("push_started", second).await;
    rotator.signal("STOP");
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    rotator.signal("CONT");
    arrives(&sandbox, "a", "sk-canary-2").await;
    assert!(rotator.stop().await.success());
    let log = rotator.log();
    assert!(!log.contains(" hangs: "), "{log}");
}
