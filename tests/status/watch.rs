//! `status --watch`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::*;
use crate::support::rotator::binary;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_reports_a_killed_daemon_as_dead() {
    let (_sandbox, mut rotator) = well().await;
    let mut command = tokio::process::Command::from(binary());
    let command = command
        .args(["status", "--watch", "--json", "--config"])
        .arg(rotator.config())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut watch = command.spawn().expect("it starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut next = async || {
        let line = tokio::time::timeout(std::time::Duration::from_secs(60), lines.next_line());
        let line = line
            .await
            .expect("in time")
            .expect("readable")
            .expect("it goes on");
        serde_json::from_str::<Value>(&line).expect("a document a line")
    };
    assert_eq!(next().await["daemon"]["status"], "running");
    rotator.kill();
    while next().await["daemon"]["status"] != "dead" {}
}
