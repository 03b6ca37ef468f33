//! What the operating system shows of the process, and what it would write when it crashes.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::canary::{Said, Search};
use crate::support::eventually;
use crate::support::rotator::{Rotator, binary};

/// The user `nobody`, for whom the kernel's answer shows.
const NOBODY: u32 = 65_534;

/// The command line and limits of the daemon, and its environment but for what it was given there.
pub fn examine(rotator: &Rotator, search: &Search, said: &mut Said) {
    let of = |name: &str| std::fs::read(format!("/proc/{}/{name}", rotator.pid()));
    said.add("its command line", of("cmdline").expect("a command line"));
    let limits = String::from_utf8(of("limits").expect("limits")).expect("text");
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<_> = core.expect("a limit").split_whitespace().collect();
    assert_eq!(core[..2], ["0", "0"], "core dumps are off");
    // Not dumpable: only root reads it.
    let Ok(environment) = of("environ") else {
        return;
    };
    let mut given = 0;
    for variable in environment.split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(variable);
        let known = rotator
            .environment
            .iter()
            .any(|(name, value)| text == format!("{name}={value}"));
        match known {
            true => given += usize::from(search.found(variable).is_some()),
            false => said.add("its environment", variable),
        }
    }
    assert!(given > 0, "the search reads environments");
}

struct Leash(Child);

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it as somebody who is not root, because root may do everything anyway.
fn start_unprivileged(mut command: Command) -> Leash {
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Leash(command.spawn().expect("it starts"))
}

fn owner(child: &Leash) -> u32 {
    let path = format!("/proc/{}/environ", child.0.id());
    std::fs::metadata(path).expect("it runs").uid()
}

/// proc(5): the files of a process that is not dumpable belong to root.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_memory_is_nobody_elses() {
    // Where the build is may not be open to others.
    let directory = tempfile::tempdir().expect("a directory");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open.clone()).expect("open");
    let program = directory.path().join("flashback-rotator");
    std::fs::copy(binary().get_program(), &program).expect("copied");
    std::fs::set_permissions(&program, open).expect("open");

    let mut other = Command::new("sleep");
    other.arg("60");
    let other = start_unprivileged(other);
    let mut own = Command::new(&program);
    own.args(["sandbox", "--listen", "127.0.0.1:0"]);
    let own = start_unprivileged(own);
    eventually("the rotator's memory belongs to root", || async {
        (owner(&own) == 0).then_some(())
    })
    .await;
    assert_ne!(owner(&other), 0, "another program's does not");
}
