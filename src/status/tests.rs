use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::*;
use crate::model::{
    ConfigurationReport, DaemonReport, KnownDaemon, LastReport, ProviderId, Rejected, ServiceHealth,
};

fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn down(since: i64, error: &str) -> ServiceHealth {
    ServiceHealth {
        status: ServiceStatus::Down,
        since: Some(ago(since)),
        error: Some(error.to_owned()),
        events: None,
    }
}

fn up(since: i64) -> ServiceHealth {
    ServiceHealth {
        status: ServiceStatus::Up,
        since: Some(ago(since)),
        error: None,
        events: None,
    }
}

/// Returns a daemon that started long ago and wrote this report a moment ago.
fn daemon(name: &str, alive: bool, flashback: ServiceHealth) -> KnownDaemon {
    let report = DaemonReport {
        discovery: Vec::new(),
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        started_at: ago(1_000),
        listen: "127.0.0.1:9464".parse().expect("an address"),
        configuration: ConfigurationReport {
            path: "/etc/config.toml".into(),
            loaded_at: ago(1_000),
            rejected: None,
        },
        flashback,
        providers: BTreeMap::from([(ProviderId::new("openai"), up(800))]),
        sources: BTreeMap::from([(SourceId::new("vault"), up(900))]),
    };
    KnownDaemon {
        name: name.to_owned(),
        alive,
        keys: Some(3),
        last: Some(LastReport {
            report,
            at: ago(5),
            stopped: false,
        }),
    }
}

fn status(all: Vec<KnownDaemon>) -> Status {
    Status::new(Parts {
        state: State {
            url: "sqlite:///state.db".to_owned(),
            exists: true,
        },
        path: "/etc/config.toml".into(),
        error: None,
        sources: vec![SourceId::new("files")],
        daemons: Daemons { now: now(), all },
        rows: Vec::new(),
    })
}

#[test]
fn a_service_down_for_any_replica_is_shown_as_down() {
    let well = status(vec![daemon("a", true, up(60)), daemon("b", true, up(90))]);
    assert!(well.is_well());
    assert_eq!(well.flashback.health, up(90));
    assert_eq!(well.daemon.since, Some(ago(1_000)));
    let names: Vec<_> = well.sources.iter().map(|one| one.source.as_str()).collect();
    assert_eq!(
        names,
        ["files", "vault"],
        "those that are configured here, and there"
    );
    assert_eq!(well.sources[0].service.health, ServiceHealth::default());

    let one = status(vec![
        daemon("a", true, up(60)),
        daemon("b", true, down(9, "503")),
    ]);
    assert_eq!(one.flashback.health, down(9, "503"));
    assert_eq!(one.flashback.down_at, Some(1));
    assert!(!one.is_well());
    let all = status(vec![
        daemon("a", true, down(30, "500")),
        daemon("b", true, down(9, "503")),
    ]);
    assert_eq!(all.flashback.health, down(30, "500"));
    assert_eq!(all.flashback.down_at, None);
}

#[test]
fn a_provider_down_for_any_replica_is_shown_as_down() {
    let mut one = daemon("a", true, up(60));
    let report = &mut one.last.as_mut().expect("there").report;
    let id = ProviderId::new("openai");
    report.providers.insert(id.clone(), down(9, "503"));
    let found = status(vec![one, daemon("b", true, up(60))]);
    let [provider] = &found.providers[..] else {
        panic!("{:?}", found.providers);
    };
    assert_eq!(
        (&provider.provider, provider.service.down_at),
        (&id, Some(1))
    );
    assert_eq!(provider.service.health, down(9, "503"));
    assert!(!found.is_well());
    let json = serde_json::to_value(&found).expect("JSON");
    assert_eq!(json["providers"][0]["provider"], "openai");
    assert_eq!(json["providers"][0]["status"], "down");
    let none = serde_json::to_value(status(Vec::new())).expect("JSON");
    assert!(none.get("providers").is_none(), "where there are none");
}

#[test]
fn a_daemon_that_is_expected_and_gone_is_not_well() {
    assert!(status(Vec::new()).is_well(), "none is expected");
    let dead = status(vec![daemon("a", false, down(30, "503"))]);
    assert_eq!(dead.daemon.status, DaemonStatus::Dead);
    assert_eq!(dead.daemon.since, Some(ago(5)), "when it was last heard of");
    assert_eq!(dead.flashback.health.status, ServiceStatus::Unknown);
    assert_eq!(dead.flashback.health.error.as_deref(), Some("503"));
    assert!(!dead.is_well());
    let one = status(vec![daemon("a", true, up(1)), daemon("b", false, up(1))]);
    assert_eq!(one.daemon.status, DaemonStatus::Running);
    assert!(!one.is_well(), "a replica is missing");

    let mut stopped = daemon("a", false, up(1));
    stopped.last.as_mut().expect("there").stopped = true;
    let mut killed = daemon("b", false, up(1));
    killed.last.as_mut().expect("there").at = ago(50);
    let both = status(vec![stopped.clone(), killed.clone()]);
    assert_eq!(
        both.daemon.status,
        DaemonStatus::Dead,
        "the one may have lived longer"
    );
    killed.last.as_mut().expect("there").at = ago(5_000);
    for all in [vec![stopped.clone()], vec![stopped, killed]] {
        let stopped = status(all);
        assert_eq!(stopped.daemon.status, DaemonStatus::Stopped);
        assert_eq!(stopped.daemon.since, Some(ago(5)));
        assert!(!stopped.is_well());
    }
}

#[test]
fn a_live_replica_without_recent_reports_is_silent() {
    let mut silent = daemon("a", true, up(1));
    silent.last.as_mut().expect("there").at = ago(181);
    let status = status(vec![silent]);
    assert!(status.daemon.replicas[0].silent && !status.is_well());
}

#[test]
fn the_configuration_that_is_refused_is_the_one_that_matters() {
    let mut refusing = daemon("b", true, up(1));
    let last = refusing.last.as_mut().expect("there");
    last.report.configuration.rejected = Some(Rejected {
        since: ago(20),
        error: "line 3".to_owned(),
    });
    let status = status(vec![daemon("a", true, up(1)), refusing]);
    assert_eq!(status.configuration.rejected_since, Some(ago(20)));
    assert_eq!(status.configuration.error.as_deref(), Some("line 3"));
    assert_eq!(status.configuration.other_path, None);
    assert!(status.is_well(), "the keys are none the worse for it");
}

#[test]
fn a_check_of_the_daemon_is_a_sign_of_its_life_and_a_later_one_is_not() {
    let known = Daemons {
        now: now(),
        all: vec![daemon("a", false, up(1))],
    };
    for (checked, last) in [(vec![ago(40), ago(3)], ago(3)), (vec![ago(-600)], ago(5))] {
        assert_eq!(Daemon::new(&known, &checked).since, Some(last));
    }
}
