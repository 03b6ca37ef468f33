//! Namespaces of Linux: a test that has the network to itself, and a daemon with an `/etc/hosts` of
//! its own.

use std::path::Path;
use std::process::Command;

/// Set in the process that a test runs itself again in.
const INSIDE: &str = "FLASHBACK_ROTATOR_TEST_INSIDE";

/// Without root, a user namespace gives the right to make the others.
fn unshare() -> Vec<String> {
    let root = rustix::process::geteuid().is_root();
    let words = ["unshare", "--map-root-user"];
    let words = words.iter().take(if root { 1 } else { 2 });
    words.map(|word| (*word).to_owned()).collect()
}

/// Runs `test` (its path in this binary) once more, in a process in a network of its own, where only
/// the loopback device is, with these addresses besides its own. Returns `true` there, where the test
/// goes on, and `false` to the caller after it passed.
pub fn alone_in_a_network(test: &str, addresses: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/loopback.py");
    let words = unshare();
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(["--net", "--"])
        .arg(super::venv().join("bin/python3"))
        .arg(script)
        .args(addresses)
        .arg("--")
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("`unshare` of util-linux runs");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // A name that fits no test would pass, too.
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{test} in a network of its own:\n{out}\n{err}"
    );
    false
}

/// What to put before a command for it to find `hosts` as its `/etc/hosts`. The file may be written
/// anew, but not replaced.
pub fn with_hosts(hosts: &Path) -> Vec<String> {
    let mut words = unshare();
    let mount = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
    let rest = ["--mount", "--", "sh", "-c", mount];
    words.extend(rest.map(str::to_owned));
    words.push(hosts.display().to_string());
    words
}
