//! Promise 10: a changed configuration takes effect without a restart, and a broken one is
//! refused with its errors while the old one goes on.

use flashback_rotator::flashback::sandbox::Options;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::configuration::{app_role, key, token_in, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};
use crate::support::{eventually, get};

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

    let broken =
        format!("{good}\n[keys.c]\nai_type = \"canary-type\"\nsource = \"nowhere\"\ncolour = 1\n");
    rotator.configure(&sandbox.url(), &broken);
    let rejected = rotator.event("config_rejected", |_| true).await;
    let error = rejected["error"].as_str().expect("the report");
    for mistake in ["config.toml:", "ai_type", "source", "path", "colour"] {
        assert!(error.contains(mistake), "no {mistake} in {error}");
    }
    assert!(!error.contains("canary"), "{error}");
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    let metrics = get(format!("{}/metrics", rotator.http().await))
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_edited_in_place_and_a_directory_of_files_are_noticed() {
    let sandbox = sandbox(Options::default()).await;
    let good = format!("{QUICK}{}", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &good);
    for key in ["a", "b", "c"] {
        rotator.put(key, &format!("sk-{key}"));
    }
    rotator.start();
    arrives(&sandbox, "a", "sk-a").await;
    let text = std::fs::read_to_string(rotator.config()).expect("the configuration");
    // As an editor that keeps the inode: emptied, then written.
    std::fs::write(rotator.config(), text.clone() + &file_key("b")).expect("written");
    arrives(&sandbox, "b", "sk-b").await;
    rotator.stop().await;

    // The same as a directory.
    std::fs::remove_file(rotator.config()).expect("removed");
    std::fs::create_dir(rotator.config()).expect("a directory");
    let part = |name: &str| rotator.config().join(name);
    let (common, b, c) = (part("10-common.toml"), part("20-b.toml"), part("30-c.toml"));
    std::fs::write(common, text).expect("written");
    std::fs::write(&b, file_key("b")).expect("written");
    rotator.start();
    rotator.ready().await;
    assert_eq!(writes(&sandbox), 2, "nothing is new");
    std::fs::write(c, file_key("c")).expect("written");
    arrives(&sandbox, "c", "sk-c").await;
    std::fs::remove_file(b).expect("removed");
    rotator
        .event("config_reloaded", |line| line["removed"] == 1)
        .await;
    assert_eq!(rotator.count("config_rejected"), 0, "{}", rotator.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_armed_anew_and_a_push_under_way_finishes() {
    let sandbox = sandbox(Options::default()).await;
    let slow = QUICK.replace("check = \"1s\"", "check = \"1h\"");
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{slow}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    rotator.put("a", "sk-two");
    for (round, check) in ["1s", "* * * * * *", "1h", "1s"].into_iter().enumerate() {
        let quick = QUICK.replace("check = \"1s\"", &format!("check = \"{check}\""));
        let rest = format!("{quick}{}{}", file_key("a"), "#".repeat(round));
        rotator.configure(&sandbox.url(), &rest);
        eventually("a reload", || async {
            (rotator.count("config_reloaded") > round).then_some(())
        })
        .await;
        if check != "1h" {
            rotator.put("a", &format!("sk-{round}"));
            arrives(&sandbox, "a", &format!("sk-{round}")).await;
        }
    }

    // The key leaves the configuration while its push is under way.
    sandbox.change(|switches| switches.latency_ms = 3_000);
    let before = writes(&sandbox);
    rotator.put("a", "sk-last");
    eventually("a push begins", || async {
        (writes(&sandbox) > before).then_some(())
    })
    .await;
    rotator.configure(&sandbox.url(), &format!("{QUICK}{}", file_key("b")));
    rotator.signal("HUP");
    rotator
        .event("config_reloaded", |line| line["removed"] == 1)
        .await;
    arrives(&sandbox, "a", "sk-last").await;
    eventually("the push is finished", || async {
        (rotator.count("push_succeeded") == before + 1).then_some(())
    })
    .await;
    let metrics = format!("{}/metrics", rotator.http().await);
    assert_eq!(writes(&sandbox), before + 1);
    eventually("its series are gone", || async {
        let text = get(&metrics).await.ok()?.text().await.ok()?;
        let series = ["key_in_sync", "key_last_push", "key_last_check"];
        let has = |name: &str| {
            text.lines()
                .any(|line| line.contains(name) && line.contains("{key=\"a\"}"))
        };
        (!series.iter().any(|name| has(name))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_source_that_changed_is_made_again() {
    let (sandbox, bao) = (sandbox(Options::default()).await, OpenBao::shared().await);
    bao.mount_kv("reload-sources", 2).await;
    bao.put_kv2("reload-sources", "k", json!({"v": "sk-1"}))
        .await;
    let (role_id, secret_id) = bao
        .app_role("reload-sources", json!({"token_policies": "default"}))
        .await;
    let rules = "path \"reload-sources/*\" { capabilities = [\"read\"] }";
    bao.write_policy("default-reload-sources", rules).await;
    let role = "auth/reload-sources/role/rotator";
    let policies = json!({"token_policies": ["default", "default-reload-sources"]});
    bao.ok("POST", role, policies).await;
    let source = |id: &str, max_rps: u32| {
        let settings = format!("mount = \"reload-sources\"\nmax_rps = {max_rps}");
        let auth = app_role("reload-sources", &role_id);
        vault(id, &bao.address, &settings, &auth) + &key(&format!("of-{id}"), id, "k")
    };
    let config = |one, two, more: &str| {
        let (one, two) = (source("one", one), source("two", two));
        format!("{QUICK}{one}{two}{more}")
    };
    let mut rotator = Rotator::new(&sandbox.url(), &config(50, 50, ""));
    std::fs::write(rotator.path().join("secret-id"), &secret_id).expect("written");
    rotator.start();
    arrives(&sandbox, "of-one", "sk-1").await;
    arrives(&sandbox, "of-two", "sk-1").await;
    let signed_in = |id: &str| {
        let events = rotator.events();
        let of_it =
            |line: &&serde_json::Value| line["event"] == "signed_in" && line["source"] == id;
        events.iter().filter(of_it).count()
    };
    assert_eq!((signed_in("one"), signed_in("two")), (1, 1));

    rotator.configure(&sandbox.url(), &config(50, 50, &file_key("a")));
    rotator.put("a", "sk-a");
    arrives(&sandbox, "a", "sk-a").await;
    rotator.configure(&sandbox.url(), &config(50, 60, &file_key("a")));
    eventually("the changed source signs in", || async {
        (signed_in("two") == 2).then_some(())
    })
    .await;
    bao.put_kv2("reload-sources", "k", json!({"v": "sk-2"}))
        .await;
    arrives(&sandbox, "of-one", "sk-2").await;
    arrives(&sandbox, "of-two", "sk-2").await;
    assert_eq!((signed_in("one"), signed_in("two")), (1, 2));
}

/// Answers nobody, until it is told to drop them all.
async fn silence() -> (String, tokio::sync::oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (drop_them, mut dropped) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            tokio::select! {
                Ok((connection, _)) = listener.accept() => kept.push(connection),
                _ = &mut dropped => return,
            }
        }
    });
    (format!("http://{address}"), drop_them)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_of_a_replaced_source_are_not_reported_for_the_new_one() {
    let (sandbox, bao) = (sandbox(Options::default()).await, OpenBao::shared().await);
    bao.mount_kv("reload-limits", 2).await;
    bao.put_kv2("reload-limits", "k", json!({"v": "sk-1"}))
        .await;
    let (silent, drop_them) = silence().await;
    let source = |id: &str, address: &str| {
        let mount = "mount = \"reload-limits\"";
        vault(id, address, mount, &token_in("root")) + &key(id, id, "k")
    };
    let both = format!(
        "{QUICK}{}{}",
        source("moved", &silent),
        source("left", &silent)
    );
    let mut rotator = Rotator::new(&sandbox.url(), &both);
    std::fs::write(rotator.path().join("root"), ROOT).expect("written");
    rotator.start();
    rotator.http().await;
    // Calls hang at both. One source moves to where there is an answer, the other is removed.
    let moved = format!("{QUICK}{}", source("moved", &bao.address));
    rotator.configure(&sandbox.url(), &moved);
    rotator.signal("HUP");
    rotator.event("config_reloaded", |_| true).await;
    let _ = drop_them.send(());
    arrives(&sandbox, "moved", "sk-1").await;
    // Its next look is past the old one's end: a key is looked at by one at a time.
    bao.put_kv2("reload-limits", "k", json!({"v": "sk-2"}))
        .await;
    arrives(&sandbox, "moved", "sk-2").await;
    let metrics = format!("{}/metrics", rotator.http().await);
    let metrics = get(metrics).await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    assert!(
        metrics.contains("source_up{source=\"moved\"} 1"),
        "{metrics}"
    );
    assert!(!metrics.contains("source_up{source=\"left\"}"), "{metrics}");
    let events = rotator.events();
    let after = events
        .iter()
        .skip_while(|line| line["event"] != "config_reloaded");
    let told: Vec<_> = after
        .filter(|line| line["event"] == "source_unavailable")
        .collect();
    assert!(told.is_empty(), "{told:?}");
}
