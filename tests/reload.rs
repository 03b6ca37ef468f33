//! Promise 10: a changed configuration takes effect without a restart, and a broken one is
//! refused with its errors while the old one goes on.

use flashback_rotator::flashback::sandbox::Options;

use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_change_and_go_while_it_runs() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.start();
    arrives(&sandbox, "a", "sk-a").await;

    rotator.configure(
        &sandbox.url(),
        &format!("{QUICK}{}{}", file_key("a"), file_key("b")),
    );
    let reloaded = rotator
        .event("config_reloaded", |line| line["keys"] == 2)
        .await;
    assert_eq!(reloaded["added"], 1);
    arrives(&sandbox, "b", "sk-b").await;
    assert_eq!(writes(&sandbox), 2, "a was not pushed again");

    rotator.configure(&sandbox.url(), &format!("{QUICK}{}", file_key("b")));
    rotator.signal("HUP");
    rotator
        .event("config_reloaded", |line| line["removed"] == 1)
        .await;
    rotator.put("a", "sk-a-2");
    rotator.put("b", "sk-b-2");
    arrives(&sandbox, "b", "sk-b-2").await;
    assert_eq!(writes(&sandbox), 3, "a is nobody's business any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_configuration_is_refused_and_the_old_one_goes_on() {
    let sandbox = sandbox(Options::default()).await;
    let good = format!("{QUICK}{}", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &good);
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;

    let broken = format!("{good}\n[keys.c]\nai_type = \"canary-type\"\nsource = \"nowhere\"\n");
    rotator.configure(&sandbox.url(), &broken);
    let rejected = rotator.event("config_rejected", |_| true).await;
    let error = rejected["error"].as_str().expect("the report");
    assert!(
        error.contains("config.toml:") && error.contains("source"),
        "{error}"
    );
    assert!(!error.contains("canary"), "{error}");
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    let metrics = reqwest::get(format!("{}/metrics", rotator.http().await))
        .await
        .expect("answer");
    let metrics = metrics.text().await.expect("text");
    assert!(
        metrics.contains("config_reloads_total{outcome=\"rejected\"} 1"),
        "{metrics}"
    );

    rotator.configure(&sandbox.url(), &format!("{good}{}", file_key("d")));
    rotator.put("d", "sk-d");
    arrives(&sandbox, "d", "sk-d").await;
    assert_eq!(rotator.count("config_rejected"), 1, "said once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_goes_away_is_reported_once() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    let elsewhere = rotator.path().join("elsewhere");
    std::fs::rename(rotator.config(), &elsewhere).expect("renamed");
    let rejected = rotator.event("config_rejected", |_| true).await;
    let error = rejected["error"].as_str().expect("the report");
    assert!(error.contains("no such file"), "{error}");
    for round in 2..5 {
        rotator.put("a", &format!("sk-{round}"));
        arrives(&sandbox, "a", &format!("sk-{round}")).await;
    }
    std::fs::rename(&elsewhere, rotator.config()).expect("renamed");
    rotator.event("config_reloaded", |_| true).await;
    assert_eq!(rotator.count("config_rejected"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_directory_that_is_swapped_is_noticed() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    // As Kubernetes mounts a ConfigMap: config.toml → ..data/config.toml, ..data → ..1.
    let path = rotator.path().to_owned();
    let text = std::fs::read_to_string(rotator.config()).expect("the configuration");
    std::fs::create_dir(path.join("..1")).expect("a directory");
    std::fs::create_dir(path.join("..2")).expect("a directory");
    std::fs::write(path.join("..1/config.toml"), &text).expect("written");
    std::fs::write(path.join("..2/config.toml"), text + &file_key("b")).expect("written");
    std::os::unix::fs::symlink("..1", path.join("..data")).expect("linked");
    std::fs::remove_file(rotator.config()).expect("removed");
    std::os::unix::fs::symlink("..data/config.toml", rotator.config()).expect("linked");
    rotator.start();
    arrives(&sandbox, "a", "sk-a").await;
    std::os::unix::fs::symlink("..2", path.join("..next")).expect("linked");
    std::fs::rename(path.join("..next"), path.join("..data")).expect("renamed");
    arrives(&sandbox, "b", "sk-b").await;
}
