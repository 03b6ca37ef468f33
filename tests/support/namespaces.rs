//! Linux namespaces: a network for one test alone, and an `/etc/hosts` for one daemon.

use std::path::Path;
use std::process::Command;

/// The environment variable that is set in the process in which a test runs itself again.
const INSIDE: &str = "FLASHBACK_ROTATOR_TEST_INSIDE";

/// Returns the `unshare` command. A process that is not root needs a user namespace to create the others.
fn unshare() -> Vec<String> {
    let root = rustix::process::geteuid().is_root();
    let words = ["unshare", "--map-root-user"];
    let words = words.iter().take(if root { 1 } else { 2 });
    words.map(|word| (*word).to_owned()).collect()
}

/// Runs `test` (its path in this binary) again, in a process with a network of its own that has only the
/// loopback device, with these addresses in addition to its own. Returns `true` in that process, in which the
/// test continues, and `false` in the caller once the test has passed.
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
    // A name that matches no test would succeed, too.
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{test} in a network of its own:\n{out}\n{err}"
    );
    false
}

/// Returns the words to put before a command so that it finds `hosts` as its `/etc/hosts`. The file may be
/// rewritten, but not replaced.
pub fn with_hosts(hosts: &Path) -> Vec<String> {
    let mut words = unshare();
    let mount = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
    let rest = ["--mount", "--", "sh", "-c", mount];
    words.extend(rest.map(str::to_owned));
    words.push(hosts.display().to_string());
    words
}
