//! `status KEY`, and what a rollback leaves of a key.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_of_a_named_key_shows_it_in_full() {
    let (_sandbox, rotator) = well().await;
    let output = rotator.command(&["status", "a"]).await;
    assert_eq!(output.status.code(), Some(0));
    let screen = text(&output.stdout);
    for part in [
        "running since",
        "live version",
        "workspace",
        "next check",
        "first push",
    ] {
        assert!(screen.contains(part), "{part} in {screen}");
    }
    assert!(!screen.contains("canary"), "{screen}");
    let (document, _) = document(&rotator, &["a"]).await;
    assert_eq!(document["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(document["keys"][0]["key"], "a");
    let output = rotator.command(&["status", "aa"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean `a`?"));
}

/// The source keeps no version but the latest, so that there is nothing to go back to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_rollback_changes_nothing_about_the_key() {
    let (_sandbox, rotator) = well().await;
    std::fs::remove_file(rotator.path().join("secrets/b")).expect("removed");
    let missing = eventually("the error of b", || async {
        let (document, _) = document(&rotator, &["b"]).await;
        let error = document["keys"][0]["error"].as_str()?.to_owned();
        Some(error)
    })
    .await;
    for (key, state, error) in [("a", "in_sync", None), ("b", "missing", Some(missing))] {
        let output = rotator.command(&["rollback", key]).await;
        assert_eq!(output.status.code(), Some(1), "{key}");
        let said = text(&output.stderr);
        assert!(said.contains("cannot roll back"), "{said}");
        // Before the next check could have put it right.
        let (document, _) = document(&rotator, &[key]).await;
        let row = &document["keys"][0];
        assert_eq!(row["state"], state, "{row}");
        assert_eq!(row["error"].as_str(), error.as_deref(), "{row}");
    }
    assert_eq!(
        rotator.json(&["history"]).await["events"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}
