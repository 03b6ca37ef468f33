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
        rotation: Some(RotationStanding {
            stage: "draining",
            due_at: DateTime::from_timestamp(1_700_000_000, 0),
            overlap_ends_at: DateTime::from_timestamp(1_600_000_000, 0),
        }),
    };
    metrics.stands(&key, &standing);
    metrics.verification("after", "works");
    metrics.next_check(&key, Utc::now(), Duration::from_secs(30));
    metrics.service_up("s", true);
    metrics.service_up(&service_of(&ProviderId::new("p")), false);
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
        "rotation_stage{key=\"k\",stage=\"draining\"} 1",
        "key_age_seconds{key=\"k\"} ",
        "rotation_due_timestamp_seconds{key=\"k\"} 1700000000",
        "old_key_overlap_end_timestamp_seconds{key=\"k\"} 1600000000",
        "retries_total{target=\"s\"} 1",
        "source_up{source=\"s\"} 1",
        "provider_up{provider=\"p\"} 0",
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

#[test]
fn keys_that_are_not_rotated_have_no_series_of_rotations() {
    let metrics = Metrics::new();
    let standing = Standing {
        in_sync: true,
        held: false,
        verified: true,
        pushed_at: Some(Utc::now()),
        created_at: Some(Utc::now()),
        max_age: None,
        rotation: None,
    };
    metrics.stands(&KeyId::new("k"), &standing);
    let text = metrics.render();
    for name in [
        "rotation_stage",
        "key_age_seconds",
        "rotation_due",
        "old_key",
    ] {
        assert!(!text.contains(name), "{text}");
    }
}

#[test]
fn a_rotation_has_a_series_for_its_stage_alone() {
    let metrics = Metrics::new();
    let mut standing = Standing {
        in_sync: true,
        held: false,
        verified: true,
        pushed_at: None,
        created_at: None,
        max_age: None,
        rotation: None,
    };
    for stage in ["minting", "idle"] {
        standing.rotation = Some(RotationStanding {
            stage,
            due_at: None,
            overlap_ends_at: None,
        });
        metrics.stands(&KeyId::new("k"), &standing);
    }
    let text = metrics.render();
    let lines = text.lines().filter(|line| line.contains("rotation_stage{"));
    let lines: Vec<&str> = lines.collect();
    let expected = "flashback_rotator_rotation_stage{key=\"k\",stage=\"idle\"} 1";
    assert_eq!(lines, [expected]);
}

#[test]
fn a_receiver_and_a_provider_are_no_sources() {
    let metrics = Metrics::new();
    let provider = service_of(&ProviderId::new("p"));
    for service in [PROVIDER, RECEIVER, &provider] {
        metrics.service_up(service, false);
    }
    let text = metrics.render();
    assert!(!text.contains("source_up{"), "{text}");
    metrics.forget_source(&SourceId::new(provider));
    assert!(!metrics.render().contains("provider_up{"));
}
