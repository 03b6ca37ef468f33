//! Tests of when a file counts as complete: a table of what writers do, and reads during real writes.

use std::io::Write as _;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Now {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let past = Duration::from_secs(seconds);
    Now {
        instant: *START + past,
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000) + past,
    }
}

/// Returns the state of a file with these timestamps, in seconds on the clock of [`at`].
fn state(inode: u64, modified: i64, changed: i64, content: &'static str) -> State<&'static str> {
    State {
        place: "/dir/key".into(),
        stamp: Stamp {
            device: 1,
            inode,
            size: content.len() as u64,
            modified: (1_000 + modified, 1),
            changed: (1_000 + changed, 1),
        },
        content,
    }
}

type Step = (u64, State<&'static str>);

/// Returns for each of these observations whether it finds a complete file.
fn whole<const N: usize>(is_local: bool, looks: [Step; N]) -> [bool; N] {
    let mut before = None;
    looks.map(|(second, state)| {
        let (sighting, wait) = Sighting::next(before.as_ref(), state, at(second), is_local);
        assert_eq!(wait.is_none(), sighting.is_whole());
        assert!(wait.is_none_or(|wait| wait <= QUIET));
        before = Some(sighting);
        wait.is_none()
    })
}

#[test]
fn a_local_file_counts_when_it_was_moved_or_left_alone() {
    let local = |looks: [Step; 3]| whole(true, looks);
    let old = || (100, state(1, 0, 0, "old"));
    // The file is written in place, in two steps.
    let looks = [
        old(),
        (200, state(1, 200, 200, "ha")),
        (202, state(1, 200, 200, "ha")),
    ];
    assert_eq!(local(looks), [true, false, true]);
    let looks = [
        old(),
        (200, state(1, 200, 200, "ha")),
        (201, state(1, 201, 201, "half")),
    ];
    assert_eq!(local(looks), [true, false, false]);
    // Its modification time is set back, and the inode stays the same.
    let looks = [
        old(),
        (200, state(1, 5, 200, "ha")),
        (202, state(1, 5, 200, "ha")),
    ];
    assert_eq!(local(looks), [true, false, true]);
    // The file is created anew, or moved within the clock tick in which it was written.
    let looks = [
        old(),
        (200, state(2, 200, 200, "ha")),
        (201, state(2, 201, 201, "half")),
    ];
    assert_eq!(local(looks), [true, false, false]);
    // The file is moved there, and observed late.
    let looks = [
        old(),
        (200, state(2, 199, 200, "new")),
        (300, state(3, 210, 210, "newer")),
    ];
    assert_eq!(local(looks), [true, true, true]);
    // The file is emptied, and then written with its old content; or it is moved there while empty.
    let looks = [
        old(),
        (200, state(1, 200, 200, "")),
        (201, state(1, 201, 201, "old")),
    ];
    assert_eq!(local(looks), [true, false, true]);
    let looks = [
        (200, state(2, 199, 200, "")),
        (201, state(2, 199, 200, "")),
        (202, state(2, 199, 200, "")),
    ];
    assert_eq!(local(looks), [false, false, true]);
    // The clock that sets the timestamps runs ahead: two observations agree.
    let ahead = || state(1, 5_000, 5_000, "new");
    let looks = [(200, ahead()), (201, ahead()), (202, ahead())];
    assert_eq!(local(looks), [false, false, true]);
}

#[test]
fn a_swap_counts_at_once_wherever_it_is() {
    let swapped = |inode, place: &str, content| State {
        place: place.into(),
        ..state(inode, 200, 200, content)
    };
    for is_local in [true, false] {
        let looks = [
            (300, swapped(1, "/dir/..1/key", "old")),
            (200, swapped(2, "/dir/..2/key", "new")),
            // Only the link of one file was changed: nothing shows that its target is complete.
            (200, swapped(3, "/dir/..2/other", "newer")),
        ];
        assert_eq!(whole(is_local, looks), [true, true, false], "{is_local}");
    }
}

#[test]
fn the_clock_of_a_file_server_is_not_trusted() {
    let new = |changed| state(2, 150, changed, "new");
    let looks = [(200, new(160)), (201, new(160)), (202, new(160))];
    assert_eq!(whole(false, looks), [false, false, true]);
    let looks = [(400, new(160)), (400, state(2, 350, 350, "half"))];
    assert_eq!(whole(false, looks), [true, false]);
}

#[test]
fn times_without_a_fraction_may_be_rounded() {
    let mut stamp = state(1, 0, 0, "x").stamp;
    assert_eq!(stamp.age(at(3).time), 3 * SECOND - Duration::from_nanos(1));
    (stamp.modified.1, stamp.changed.1) = (0, 0);
    assert_eq!(stamp.age(at(3).time), SECOND);
    stamp.changed.0 += 5_000;
    assert_eq!(stamp.age(at(3).time), Duration::ZERO, "it lies ahead");
}

/// Writes `first`, pauses as a slow writer does, and writes `second`.
fn in_steps(path: &Path, append: bool, first: &'static str, second: &'static str) {
    let mut file = File::options()
        .create(true)
        .write(true)
        .append(append)
        .truncate(!append)
        .open(path)
        .expect("opened");
    file.write_all(first.as_bytes()).expect("written");
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(600));
        file.write_all(second.as_bytes()).expect("written");
    });
}

#[tokio::test]
async fn half_a_file_is_never_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    in_steps(&path, false, "first", "-whole");
    assert_eq!(**read(&path).await.expect("read"), *b"first-whole");
    in_steps(&path, false, "second", "-whole");
    let blocking = path.clone();
    let blocking = tokio::task::spawn_blocking(move || read_blocking(&blocking));
    assert_eq!(**read(&path).await.expect("read"), *b"second-whole");
    let read_blocking = blocking.await.expect("ended").expect("read");
    assert_eq!(**read_blocking, *b"second-whole");
    in_steps(&path, true, "-and", "-more");
    let appended = read(&path).await.expect("read");
    assert_eq!(**appended, *b"second-whole-and-more");
}

#[test]
fn a_file_that_never_rests_is_an_error_and_a_pipe_is_read_as_it_is() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    writer.write_all(b"piped").expect("written");
    drop(writer);
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    assert_eq!(**read_blocking(Path::new(&path)).expect("read"), *b"piped");

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    fs::write(&path, "0").expect("written");
    let restless = path.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        for line in 0.. {
            fs::write(&restless, line.to_string()).expect("written");
            let wait = stopped.recv_timeout(Duration::from_millis(100));
            if wait != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let error = read_blocking(&path).expect_err("never whole");
    assert!(error.to_string().contains("still being written"), "{error}");
    drop(stop);
    writer.join().expect("it ends");
}
