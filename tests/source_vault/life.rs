//! The life of a token: renewed, replaced, told apart from a policy's refusal.

use serde_json::json;

use super::*;
use crate::support::eventually;

const PATH: &str = "llm/openai";

/// A mount with a secret in it and a policy of its name that reads it.
async fn mount(name: &str) -> &'static OpenBao {
    let bao = OpenBao::shared().await;
    bao.mount_kv(name, 2).await;
    bao.put_kv2(name, PATH, json!({"key": "sk-1"})).await;
    bao.write_policy(
        name,
        &format!("path \"{name}/*\" {{ capabilities = [\"read\"] }}"),
    )
    .await;
    bao
}

async fn with_role(name: &str, role: serde_json::Value) -> (&'static OpenBao, Bench) {
    let bao = mount(name).await;
    let mut parameters = json!({ "token_policies": name });
    for (setting, value) in role.as_object().expect("an object") {
        parameters[setting] = value.clone();
    }
    let ids = bao.app_role(name, parameters).await;
    let bench = Bench::new(config(&bao.address, name), app_role(name, &ids));
    (bao, bench)
}

#[tokio::test]
async fn a_token_is_renewed_while_no_key_is_due() {
    let (_, bench) = with_role("life-renew", json!({"token_ttl": "6s"})).await;
    bench.source.connect().await.expect("signed in");
    eventually("three renewals", || async {
        (bench.calls("renew_self") >= 3).then_some(())
    })
    .await;
    assert_eq!(bench.value(PATH).await, "sk-1");
    assert_eq!(bench.calls("login"), 1, "the first token serves on");
}

#[tokio::test]
async fn a_token_at_the_end_of_all_renewals_is_replaced_before_it_dies() {
    let role = json!({"token_ttl": "4s", "token_max_ttl": "8s"});
    let (_, bench) = with_role("life-max", role).await;
    bench.source.connect().await.expect("signed in");
    eventually("another sign-in", || async {
        bench.observe(PATH).await;
        (bench.calls("login") >= 2).then_some(())
    })
    .await;
    assert!(bench.calls("renew_self") >= 1);
    assert_eq!(bench.calls("lookup_self"), 1, "no look met a dead token");
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_replaced() {
    let role = json!({"token_ttl": "2s", "token_type": "batch"});
    let (_, bench) = with_role("life-batch", role).await;
    bench.source.connect().await.expect("signed in");
    eventually("two more sign-ins", || async {
        (bench.calls("login") >= 3).then_some(())
    })
    .await;
    assert_eq!(bench.calls("renew_self"), 0);
    assert_eq!(bench.value(PATH).await, "sk-1");
}

#[tokio::test]
async fn an_outage_at_the_time_of_renewal_costs_no_token() {
    let bao = OpenBao::start().await;
    bao.put_kv2("secret", PATH, json!({"key": "sk-1"})).await;
    let rules = "path \"secret/*\" { capabilities = [\"read\"] }";
    bao.write_policy("reader", rules).await;
    let role = json!({"token_policies": "reader", "token_ttl": "20s"});
    let ids = bao.app_role("approle", role).await;
    let bench = Bench::new(config(&bao.address, "secret"), app_role("approle", &ids));
    bench.observe(PATH).await;
    bao.ok("PUT", "sys/seal", json!({})).await;
    eventually("a renewal that fails", || async {
        (bench.calls("renew_self") >= 1).then_some(())
    })
    .await;
    bao.unseal().await;
    eventually("a renewal that works", || async {
        let text = bench.metrics.render();
        text.contains("operation=\"renew_self\",status=\"ok\"")
            .then_some(())
    })
    .await;
    assert_eq!(eventually_value(&bench, PATH).await, "sk-1");
    assert_eq!(bench.calls("login"), 1);
}

#[tokio::test]
async fn many_keys_with_a_dead_token_make_one_sign_in() {
    let (bao, bench) = with_role("life-dead", json!({})).await;
    let looks = || futures_util::future::join_all((0..10).map(|_| bench.observe(PATH)));
    looks().await;
    assert_eq!(bench.calls("login"), 1);
    bao.ok(
        "POST",
        "sys/leases/revoke-prefix/auth/life-dead/login",
        json!({}),
    )
    .await;
    looks().await;
    assert_eq!(bench.calls("login"), 2);
    assert_eq!(bench.value(PATH).await, "sk-1");
    assert!(bench.outages.0.lock().is_empty());
}

#[tokio::test]
async fn a_token_for_a_few_uses_is_replaced() {
    let (_, bench) = with_role("life-uses", json!({"token_num_uses": 2})).await;
    for _ in 0..5 {
        bench.observe(PATH).await;
    }
    assert!(bench.calls("login") >= 3);
}

#[tokio::test]
async fn a_token_without_self_lookup_causes_no_repeated_logins() {
    let role = json!({"token_no_default_policy": true});
    let (_, bench) = with_role("life-blind", role).await;
    assert_eq!(bench.value(PATH).await, "sk-1");
    let said = bench.source.connect().await.expect("signed in");
    assert!(said.contains("may not look itself up"), "{said}");
    let bao = OpenBao::shared().await;
    bao.write_policy(
        "life-blind",
        "path \"elsewhere/*\" { capabilities = [\"read\"] }",
    )
    .await;
    let before = bench.calls("login");
    for key in 0..10 {
        let error = bench.source.observe(&format!("llm/{key}")).await;
        let error = error.expect_err("denied");
        assert!(matches!(error, SourceError::Denied { .. }), "{error}");
    }
    assert!(bench.calls("login") - before <= 1);
}

#[tokio::test]
async fn a_rotated_token_is_picked_up_when_the_old_one_is_refused() {
    let bao = mount("life-token").await;
    let make = || bao.create_token(json!({"policies": ["life-token"]}));
    let (first, second) = (make().await, make().await);
    let credential = Changing::new(&format!(" {first}\n\n"));
    let credentials = VaultCredentials::Token {
        token: credential.clone(),
    };
    let bench = Bench::new(config(&bao.address, "life-token"), credentials);
    assert_eq!(bench.value(PATH).await, "sk-1");
    bao.ok("POST", "auth/token/revoke", json!({ "token": first }))
        .await;
    let error = bench.source.observe(PATH).await.expect_err("a dead token");
    assert!(matches!(error, SourceError::SignIn { .. }), "{error}");
    assert!(!shown(&error).contains(&first), "{error}");
    credential.set(&second);
    assert_eq!(eventually_value(&bench, PATH).await, "sk-1");
    let seen = bench.outages.0.lock();
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn a_token_of_seconds_that_somebody_else_made_is_renewed() {
    let bao = mount("life-own").await;
    let parameters = json!({"policies": ["life-own"], "ttl": "6s", "renewable": true});
    let bench = Bench::new(
        config(&bao.address, "life-own"),
        token(&bao.create_token(parameters).await),
    );
    bench.observe(PATH).await;
    eventually("three renewals", || async {
        (bench.calls("renew_self") >= 3).then_some(())
    })
    .await;
    assert_eq!(bench.value(PATH).await, "sk-1");
}

#[tokio::test]
async fn a_refused_sign_in_does_not_stop_a_token_that_still_works() {
    let bao = mount("life-gentle").await;
    let role = json!({"token_policies": "life-gentle", "token_ttl": "15s", "token_type": "batch"});
    let (role_id, secret_id) = bao.app_role("life-gentle", role).await;
    let credential = Changing::new(&secret_id);
    let credentials = VaultCredentials::AppRole {
        mount: "life-gentle".to_owned(),
        role_id: text(&role_id),
        secret_id: Some(credential.clone()),
    };
    let bench = Bench::new(config(&bao.address, "life-gentle"), credentials);
    bench.observe(PATH).await;
    credential.set("canary-wrong");
    eventually("a refused sign-in", || async {
        bench.observe(PATH).await;
        (bench.calls("login") >= 2).then_some(())
    })
    .await;
    bench.observe(PATH).await;
    assert!(bench.outages.0.lock().is_empty());
    credential.set(&secret_id);
    assert_eq!(eventually_value(&bench, PATH).await, "sk-1");
}

#[tokio::test]
async fn a_source_that_is_dropped_renews_no_more() {
    let (_, bench) = with_role("life-drop", json!({"token_ttl": "3s"})).await;
    bench.source.connect().await.expect("signed in");
    let Bench {
        source, metrics, ..
    } = bench;
    drop(source);
    eventually("no call holds a permit", || async {
        (Arc::strong_count(&metrics) == 1).then_some(())
    })
    .await;
}
