//! A file that is being written is never taken for what it is to become: no half of a key reaches
//! Flashback, whoever writes it and however, and every whole one does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use flashback_rotator::secret::Secret;

use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

/// Between two steps of a writer.
const STEP: Duration = Duration::from_millis(600);

/// Rotations of each key.
const ROUNDS: usize = 12;

type Writer = fn(&Path, &str);

/// Every way to replace what a file holds, by the id of the key that is written so.
const WRITERS: [(&str, Writer); 10] = [
    ("copied", copied),
    ("overwritten", overwritten),
    ("piped", piped),
    ("emptied", emptied),
    ("appended", appended),
    ("made-anew", made_anew),
    ("made-in-parts", made_in_parts),
    ("moved", moved),
    ("swapped", swapped),
    ("hurried", hurried),
];

fn halves(text: &str) -> (&[u8], &[u8]) {
    text.as_bytes().split_at(text.len() / 2)
}

fn write_in_steps(mut file: File, text: &str) {
    let (first, second) = halves(text);
    file.write_all(first).expect("written");
    sleep(STEP);
    file.write_all(second).expect("written");
}

/// As scp does.
fn copied(path: &Path, text: &str) {
    write_in_steps(File::create(path).expect("opened"), text);
}

/// As `rsync --inplace` does.
fn overwritten(path: &Path, text: &str) {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(path);
    let file = file.expect("opened");
    write_in_steps(file.try_clone().expect("a second handle"), text);
    file.set_len(text.len() as u64).expect("cut");
}

/// As a shell does, from a program that takes its time.
fn piped(path: &Path, text: &str) {
    let (first, second) = text.split_at(text.len() / 2);
    let script = "{ printf %s \"$1\"; sleep 0.6; printf %s \"$2\"; } > \"$3\"";
    let ended = Command::new("sh")
        .args(["-c", script, "sh", first, second])
        .arg(path)
        .status();
    assert!(ended.expect("sh runs").success());
}

/// First made empty, then written by somebody else.
fn emptied(path: &Path, text: &str) {
    File::create(path).expect("opened");
    sleep(STEP);
    fs::write(path, text).expect("written");
}

/// Each half with a handle of its own.
fn appended(path: &Path, text: &str) {
    let (first, second) = halves(text);
    fs::write(path, first).expect("written");
    sleep(STEP);
    let file = File::options().append(true).open(path);
    file.and_then(|mut file| file.write_all(second))
        .expect("written");
}

/// Removed, and made again in steps.
fn made_anew(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    copied(path, text);
}

/// Removed, and made again, each half with a handle of its own.
fn made_in_parts(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    appended(path, text);
}

/// Written elsewhere in steps, and moved into its place.
fn moved(path: &Path, text: &str) {
    let next = path.with_extension("next");
    copied(&next, text);
    fs::rename(next, path).expect("moved");
}

/// As Kubernetes does: `NAME/..data` is a link to a directory, and is swapped for another.
fn swapped(path: &Path, text: &str) {
    let home = path.parent().expect("a directory");
    fs::create_dir_all(home).expect("made");
    let generation = home.join(format!("..{}", sha256_hex(text)));
    fs::create_dir(&generation).expect("made");
    copied(&generation.join("key"), text);
    let link = |target: &Path, at: &Path| {
        let fresh = home.join("..fresh");
        std::os::unix::fs::symlink(target, &fresh).expect("linked");
        fs::rename(fresh, at).expect("swapped");
    };
    link(&generation, &home.join("..data"));
    link(Path::new("..data/key"), path);
}

/// In place again and again, without a pause between the halves, so that looks fall between them.
fn hurried(path: &Path, text: &str) {
    for _ in 0..30 {
        let mut file = File::create(path).expect("opened");
        let (first, second) = halves(text);
        file.write_all(first).expect("written");
        file.write_all(second).expect("written");
        sleep(Duration::from_millis(20));
    }
}

/// What is in a key's file in a round: of another length each time, and JSON every third.
fn content(id: &str, round: usize) -> (String, String) {
    let key = format!("sk-{id}-{}-{round:04}", "x7".repeat(round));
    let text = match round % 3 {
        0 => format!("{{\"api_key\":\"{key}\"}}\n"),
        _ => key.clone(),
    };
    (key, text)
}

/// Where a key is, below `secrets`.
fn path_of(id: &str) -> String {
    match id {
        "swapped" => "swapped/key".to_owned(),
        _ => id.to_owned(),
    }
}

/// Fails with every secret that was sent and is none of `whole`.
fn only_whole_ones(sandbox: &Sandbox, whole: &BTreeSet<String>) {
    let sent = sandbox.journal().into_iter();
    let halves: Vec<_> = sent
        .filter(|entry| {
            let secret = entry.secret_sha256.as_ref();
            secret.is_some_and(|secret| !whole.contains(secret))
        })
        .collect();
    assert!(halves.is_empty(), "{halves:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_half_of_a_key_arrives_and_every_whole_one_does() {
    let sandbox = sandbox(Options::default()).await;
    let keys = WRITERS.map(|(id, _)| {
        file_key(id).replace(
            &format!("path = \"{id}\""),
            &format!("path = \"{}\"", path_of(id)),
        )
    });
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", keys.concat()));
    let secrets = rotator.path().join("secrets");
    let mut whole = BTreeSet::new();
    for round in 0..=ROUNDS {
        let writers = WRITERS.map(|(id, write)| {
            let (path, (key, text)) = (secrets.join(path_of(id)), content(id, round));
            whole.insert(sha256_hex(&key));
            std::thread::spawn(move || write(&path, &text))
        });
        if round == 0 {
            // The first look finds each of them half written.
            sleep(STEP / 2);
            rotator.start();
        }
        for (id, _) in WRITERS {
            arrives(&sandbox, id, &content(id, round).0).await;
        }
        for writer in writers {
            writer.join().expect("written");
        }
    }
    only_whole_ones(&sandbox, &whole);
    assert_eq!(rotator.count("secret_malformed"), 0, "{}", rotator.log());
}

/// Its own token, and its configuration at the start and at a reload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_written_tokens_and_configurations_are_not_used() {
    let token = "canary-token-of-the-rotator";
    let sandbox = sandbox(Options {
        token: Some(Secret::new(token.to_owned())),
        ..Options::default()
    })
    .await;
    // Cut between two keys, the first half is a configuration of its own.
    let both = format!("{QUICK}{}{}", file_key("a"), file_key("b"));
    let mut rotator = Rotator::new(&sandbox.url(), &both);
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.put("c", "sk-c");
    let text = fs::read_to_string(rotator.config()).expect("a configuration");
    let config = rotator.config();
    let in_two = |at: &'static str, text: String| {
        let config = config.clone();
        std::thread::spawn(move || {
            let (first, second) = text.split_at(text.find(at).expect("it is there"));
            fs::write(&config, first).expect("written");
            sleep(STEP);
            let file = File::options().append(true).open(&config);
            file.and_then(|mut file| file.write_all(second.as_bytes()))
                .expect("written");
        })
    };
    let at = rotator.path().join("token");
    let writers = [
        in_two("[keys.b]", text.clone()),
        std::thread::spawn(move || copied(&at, token)),
    ];
    sleep(STEP / 2);
    rotator.start();
    arrives(&sandbox, "a", "sk-a").await;
    arrives(&sandbox, "b", "sk-b").await;
    for writer in writers {
        writer.join().expect("written");
    }
    let more = text + &file_key("c");
    in_two("[keys.a]", more).join().expect("written");
    arrives(&sandbox, "c", "sk-c").await;
    for event in ["sign_in_failed", "config_rejected", "push_failed"] {
        assert_eq!(rotator.count(event), 0, "{}", rotator.log());
    }
    assert_eq!(rotator.count("config_reloaded"), 1, "{}", rotator.log());
}
