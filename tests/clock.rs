//! A clock that was wrong for a while.

use flashback_rotator::flashback::sandbox::Options;
use serde_json::Value;

use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};

/// What was pushed while the clock was a year ahead is not taken for fresh through the year after it was set back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_does_not_wait_for_a_time_that_a_wrong_clock_wrote_down() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-a");
    rotator.start();
    arrives(&sandbox, "a", "sk-a").await;
    rotator.event("push_succeeded", |_| true).await;
    assert!(rotator.stop().await.success());
    let state = rusqlite::Connection::open(rotator.path().join("state.db")).expect("opened");
    let ahead = "UPDATE keys SET document = json_set(document, '$.record.live.pushed_at',
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 year'))";
    assert_eq!(state.execute(ahead, []).expect("changed"), 1);
    let ahead = "UPDATE looks SET note = json_set(note,
        '$.checked_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 year'),
        '$.next_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 year'))";
    assert_eq!(state.execute(ahead, []).expect("changed"), 1);
    drop(state);

    rotator.start();
    eventually("it is written again", || async {
        (writes(&sandbox) == 2).then_some(())
    })
    .await;
    // Once: what it wrote down now is right.
    for _ in 0..3 {
        let looked: Value = rotator.json(&["sync"]).await;
        assert_eq!(looked["keys"][0]["action"], "none", "{looked}");
    }
    assert_eq!(writes(&sandbox), 2);
}
