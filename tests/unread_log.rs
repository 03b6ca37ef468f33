//! Nobody has to take the log: whatever becomes of standard error, keys are pushed, requests are
//! answered, reloads are done and the end comes when it is asked for.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use parking_lot::Mutex;
use serde_json::Value;

use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::{eventually, free_port, get};

/// A daemon whose standard error is `target`, and where it answers.
fn start(sandbox: &Sandbox, rest: &str, target: &str) -> (Rotator, String) {
    let mut rotator = Rotator::new(&sandbox.url(), rest);
    let address = format!("127.0.0.1:{}", free_port());
    listen(&rotator, &address);
    let script = format!("exec \"$@\" 2>{target}");
    rotator.within = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    rotator.put("a", "sk-a");
    (rotator, format!("http://{address}"))
}

fn listen(rotator: &Rotator, address: &str) {
    let config = std::fs::read_to_string(rotator.config()).expect("a configuration");
    rotator.write_config(&config.replace("127.0.0.1:0", address));
}

/// A named pipe, open for reading.
fn pipe(path: &Path) -> File {
    assert!(
        Command::new("mkfifo")
            .arg(path)
            .status()
            .expect("mkfifo")
            .success()
    );
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let reader = File::options().read(true).custom_flags(nonblock).open(path);
    reader.expect("the pipe")
}

/// Fills it to the last byte.
fn fill(path: &Path) {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let writer = File::options()
        .write(true)
        .custom_flags(nonblock)
        .open(path);
    let mut writer = writer.expect("the pipe");
    while writer.write(b"\n").is_ok() {}
}

async fn dropped(url: &str) -> Option<u64> {
    let text = get(format!("{url}/metrics"))
        .await
        .ok()?
        .text()
        .await
        .ok()?;
    let name = "flashback_rotator_log_lines_dropped_total ";
    let count = text.lines().find_map(|line| line.strip_prefix(name));
    count.expect(&text).parse().ok()
}

async fn is_alive(url: &str) {
    eventually("alive", || async {
        let answer = get(format!("{url}/livez")).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_and_ends_whatever_becomes_of_standard_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let full = pipe(&at("full"));
    fill(&at("full"));
    let mut closed = Some(pipe(&at("closed")));
    let target = |name| at(name).display().to_string();
    for (target, loses) in [
        (target("full"), false),
        (target("closed"), true),
        ("/dev/full".to_owned(), true),
        ("&-".to_owned(), false),
    ] {
        let sandbox = sandbox(Options::default()).await;
        let (mut rotator, url) = start(&sandbox, &format!("{QUICK}{}", file_key("a")), &target);
        rotator.start();
        is_alive(&url).await;
        if target.ends_with("closed") {
            closed = None;
        }
        arrives(&sandbox, "a", "sk-a").await;
        for number in 0..3 {
            let key = format!("sk-a-{number}");
            rotator.put("a", &key);
            arrives(&sandbox, "a", &key).await;
        }
        if loses {
            eventually("lines are counted as dropped", || async {
                (dropped(&url).await? > 0).then_some(())
            })
            .await;
        }
        is_alive(&url).await;
        assert!(rotator.stop().await.success(), "{target}");
    }
    drop((full, closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_how_many_lines_were_dropped_once_the_log_is_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    let reader = pipe(&path);
    let sandbox = sandbox(Options::default()).await;
    // Each tells of its first push in three lines: more than the queue holds.
    let long = "k".repeat(90);
    let ids: Vec<String> = (0..1_200)
        .map(|number| format!("{long}-{number}"))
        .collect();
    let keys: String = ids.iter().map(|id| file_key(id)).collect();
    let rest = format!("{QUICK}{}{keys}", file_key("a"));
    let (mut rotator, url) = start(&sandbox, &rest, &path.display().to_string());
    for id in &ids {
        rotator.put(id, "sk-many");
    }
    rotator.start();
    for id in &ids {
        arrives(&sandbox, id, "sk-many").await;
    }
    let lost = eventually("lines are dropped", || async {
        dropped(&url).await.filter(|lines| *lines > 0)
    })
    .await;

    // Meanwhile nothing has stopped.
    rotator.put("a", "sk-a-2");
    arrives(&sandbox, "a", "sk-a-2").await;
    is_alive(&url).await;
    rotator.put("b", "sk-b");
    let config = std::fs::read_to_string(rotator.config()).expect("a configuration");
    rotator.write_config(&format!("{config}{}", file_key("b")));
    rotator.signal("HUP");
    arrives(&sandbox, "b", "sk-b").await;

    // Somebody reads again. Each line is whole, and one says how many are missing.
    let (lines, read) = std::sync::mpsc::channel();
    rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::empty()).expect("blocking");
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines() {
            let _ = lines.send(line.expect("a line"));
        }
    });
    let told = Mutex::new(None);
    eventually("it says how many", || async {
        for line in read.try_iter() {
            let line: Value = serde_json::from_str(&line).expect(&line);
            if let Some(dropped) = line["dropped"].as_u64() {
                *told.lock() = Some(dropped);
            }
        }
        *told.lock()
    })
    .await;
    let told = told.lock().expect("a number");
    assert!(told >= lost, "{told} of {lost}");
    assert!(rotator.stop().await.success());
    let last: Vec<String> = read.iter().collect();
    let stopped = last.last().expect("a last line");
    assert!(stopped.contains("\"event\":\"stopped\""), "{stopped}");
}
