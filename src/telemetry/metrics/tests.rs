use super::*;

#[test]
fn renders_the_promised_names() {
    let metrics = Metrics::new();
    let (key, source) = (KeyId::new("k"), SourceId::new("s"));
    metrics.check(&key, &source, "unchanged", Utc::now());
    metrics.push(
        &key,
        Action::Update,
        Outcome::Succeeded,
        Duration::from_millis(3),
    );
    metrics.propagation(Duration::from_secs(1));
    metrics.key(&key, &source, &WorkspaceId::new("w"));
    let standing = Standing {
        in_sync: true,
        held: false,
        verified: true,
        pushed_at: Some(Utc::now()),
        created_at: Some(Utc::now()),
        max_age: Some(Duration::from_secs(60)),
    };
    metrics.stands(&key, &standing);
    metrics.verification("after", "works");
    metrics.next_check(&key, Utc::now(), Duration::from_secs(30));
    metrics.service_up("s", true);
    metrics.sign_in("s", false);
    metrics.retry("s");
    metrics.api_request("s", "read", "ok", Duration::from_millis(2));
    metrics.reload("accepted");
    let text = metrics.render();
    for name in [
        "checks_total{source=\"s\",outcome=\"unchanged\"} 1",
        "pushes_total{key=\"k\",action=\"update\",outcome=\"succeeded\"} 1",
        "push_duration_seconds_count 1",
        "propagation_seconds_count 1",
        "key_info{key=\"k\",source=\"s\",workspace_id=\"w\"} 1",
        "key_in_sync{key=\"k\"} 1",
        "key_held{key=\"k\"} 0",
        "key_verified{key=\"k\"} 1",
        "verifications_total{stage=\"after\",outcome=\"works\"} 1",
        "key_next_check_timestamp_seconds{key=\"k\"}",
        "key_check_interval_seconds{key=\"k\"} 30",
        "key_version_created_timestamp_seconds{key=\"k\"}",
        "key_max_age_seconds{key=\"k\"} 60",
        "key_last_push_timestamp_seconds{key=\"k\"}",
        "key_last_check_timestamp_seconds{key=\"k\"}",
        "retries_total{target=\"s\"} 1",
        "source_up{source=\"s\"} 1",
        "flashback_up 0",
        "signed_in{service=\"s\"} 0",
        "sign_ins_total{service=\"s\",outcome=\"failed\"} 1",
        "api_requests_total{service=\"s\",operation=\"read\",status=\"ok\"} 1",
        "api_request_duration_seconds_count{service=\"s\",operation=\"read\"} 1",
        "config_reloads_total{outcome=\"accepted\"} 1",
        "config_reloads_total{outcome=\"rejected\"} 0",
        "config_last_reload_successful 1",
        "build_info{version=",
    ] {
        let line = format!("flashback_rotator_{name}");
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
    metrics.forget_key(&key);
    metrics.key_was(&key, &source, &WorkspaceId::new("w"));
    let text = metrics.render();
    assert!(!text.contains("key=\"k\""), "{text}");
}
