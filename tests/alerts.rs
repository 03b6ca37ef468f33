//! The alert rules, the dashboard and the runbooks belong together, and to what `/metrics` tells.
//! Whether the alerts fire is proven by `tests/alerts/run`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::Utc;
use flashback_rotator::flashback::sandbox::{Operation, Options, Rule};
use flashback_rotator::model::{KeyId, ProviderId};
use flashback_rotator::telemetry::metrics::{Metrics, RotationStanding, Standing, service_of};
use serde_json::Value;

use crate::support::page::{Page, blocks};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::{eventually, get, place_file};

const RULES: &str = "deploy/prometheus/rules.yaml";

/// Labels that Prometheus itself and its operator give, and that its histograms have.
const GIVEN: [&str; 5] = ["cluster", "namespace", "job", "instance", "le"];

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rules without their comments.
fn rules() -> String {
    let text = file(RULES);
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn dashboard() -> Value {
    serde_json::from_str(&file("deploy/grafana/dashboard.json")).expect("JSON")
}

/// The values of `name: value` lines.
fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let marks = format!("{name}: ");
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
    lines.filter_map(|line| line.strip_prefix(&marks)).collect()
}

fn alerts() -> BTreeSet<String> {
    let rules = rules();
    let named: Vec<&str> = values(&rules, "alert");
    let alerts: BTreeSet<String> = named.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(alerts.len(), named.len(), "a name is given twice");
    assert!(alerts.len() >= 10, "{alerts:?}");
    alerts
}

/// What a PromQL expression names.
#[derive(Debug, Default)]
struct Names {
    /// Each metric, with the labels it is selected by.
    metrics: Vec<(String, Vec<String>)>,
    /// The labels results are grouped and matched by.
    labels: Vec<String>,
}

impl Names {
    fn of(expression: &str) -> Self {
        let mut names = Self::default();
        let mut rest = expression;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || "_:\"".contains(c)) {
            rest = &rest[start..];
            if let Some(text) = rest.strip_prefix('"') {
                rest = text.split_once('"').map_or("", |(_, after)| after);
                continue;
            }
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            match word {
                "by" | "on" | "ignoring" | "without" | "group_left" => {
                    if let Some(list) = rest.trim_start().strip_prefix('(') {
                        let list = list.split(')').next().unwrap_or_default();
                        let labels = list.split(',').map(|label| label.trim().to_owned());
                        names.labels.extend(labels);
                    }
                }
                _ if word.contains("flashback_rotator_") || word.starts_with("process_") => {
                    let selector = rest
                        .strip_prefix('{')
                        .and_then(|rest| rest.split('}').next());
                    let matchers = selector
                        .into_iter()
                        .flat_map(|selector| selector.split(", "));
                    let labels = matchers.map(|matcher| {
                        let end = matcher.find(['=', '!']).expect("a matcher");
                        matcher[..end].to_owned()
                    });
                    names.metrics.push((word.to_owned(), labels.collect()));
                }
                _ => {}
            }
        }
        names
    }
}

/// Every expression: of the rules, as one text, and of the dashboard.
fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let mut found = vec![rules()];
    let panels = dashboard["panels"].as_array().expect("panels");
    for target in panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
    {
        found.push(target["expr"].as_str().expect("an expression").to_owned());
    }
    let annotations = dashboard["annotations"]["list"].as_array().expect("a list");
    found.extend(
        annotations
            .iter()
            .filter_map(|one| Some(one["expr"].as_str()?.to_owned())),
    );
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    found.extend(
        variables
            .iter()
            .filter_map(|one| Some(one["definition"].as_str()?.to_owned())),
    );
    found
}

/// The metrics of a real process that has met good and bad days, each with its labels.
async fn told() -> BTreeMap<String, BTreeSet<String>> {
    let sandbox = sandbox(Options::default()).await;
    let notify = "[notify.ops]\nurl = { file = \"{dir}/hook\" }\nformat = \"slack\"\n";
    let key = format!("{}max_age = \"90d\"\n", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{notify}{key}"));
    place_file(rotator.path().join("hook"), "http://127.0.0.1:1/hook");
    let text = std::fs::read_to_string(rotator.config()).expect("a configuration");
    rotator.write_config(&text.replace("watch = false", "watch = true"));
    rotator.put("a", "sk-a");
    sandbox.fail(Rule::status(503).on(Operation::Create).times(2));
    rotator.start();
    arrives(&sandbox, "a", "sk-a").await;
    let url = format!("{}/metrics", rotator.http().await);
    eventually("the events are heard", || async {
        let text = get(&url).await.ok()?.text().await.ok()?;
        text.contains("source_events_up{source=\"files\"} 1\n")
            .then_some(())
    })
    .await;
    rotator.put("a", "sk-a2");
    arrives(&sandbox, "a", "sk-a2").await;
    let text = eventually("a key in step", || async {
        let text = get(&url).await.ok()?.text().await.ok()?;
        // The last that a look leaves.
        let last = [
            "key_in_sync{key=\"a\"} 1\n",
            "key_held{key=\"a\"} 0\n",
            "event_delay_seconds_count{source=\"files\"}",
        ];
        last.iter().all(|one| text.contains(one)).then_some(text)
    })
    .await;
    let text = format!("{text}{}", of_rotations());
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let names = line.split('{').next().unwrap_or_default();
        let name = names.split(' ').next().unwrap_or_default();
        let labels = line.split(['{', ',']).skip(1);
        let labels = labels.filter_map(|label| label.split("=\"").next());
        let known = told.entry(name.to_owned()).or_default();
        known.extend(labels.map(str::to_owned));
    }
    told
}

/// What is told of a key that is rotated and of its provider, beside what that process tells.
fn of_rotations() -> String {
    let metrics = Metrics::new();
    let now = Some(Utc::now());
    let standing = Standing {
        in_sync: true,
        held: false,
        verified: true,
        pushed_at: now,
        created_at: now,
        max_age: None,
        rotation: Some(RotationStanding {
            stage: "draining",
            due_at: now,
            overlap_ends_at: now,
        }),
    };
    metrics.stands(&KeyId::new("a"), &standing);
    metrics.service_up(&service_of(&ProviderId::new("p")), true);
    metrics.render()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_dashboard_name_metrics_and_labels_that_exist() {
    let told = told().await;
    let rules = rules();
    let recorded: BTreeSet<&str> = values(&rules, "record").into_iter().collect();
    let every_label: BTreeSet<&str> = told.values().flatten().map(String::as_str).collect();
    let mut named = BTreeSet::new();
    for expression in expressions() {
        let names = Names::of(&expression);
        for (metric, labels) in names.metrics {
            // A recorded one begins with the labels it is summed up to.
            if let Some((level, _)) = metric.split_once(':') {
                assert!(recorded.contains(metric.as_str()), "{metric}");
                for label in labels {
                    assert!(level.contains(&label), "{metric} has no {label}");
                }
                continue;
            }
            let known = told.get(&metric);
            let known = known.unwrap_or_else(|| panic!("there is no {metric}: {expression}"));
            for label in labels {
                let there = known.contains(&label) || GIVEN.contains(&label.as_str());
                assert!(there, "{metric} has no label {label}: {expression}");
            }
            named.insert(metric);
        }
        for label in names.labels {
            let there = every_label.contains(label.as_str()) || GIVEN.contains(&label.as_str());
            assert!(there, "no metric has a label {label}: {expression}");
        }
    }
    // What nobody looks at need not be measured.
    let parts = ["_sum", "_count", "_bucket"];
    for metric in told.keys() {
        let whole = parts.iter().find_map(|part| metric.strip_suffix(part));
        let whole = whole.unwrap_or(metric);
        assert!(
            named.iter().any(|name| name.starts_with(whole)),
            "neither a rule nor the dashboard has {metric}"
        );
    }
}

#[test]
fn each_alert_has_its_runbook_and_its_tests() {
    let alerts = alerts();
    let page = Page::read("docs/operations.md");
    let sections = page.sections("###");
    let named: BTreeSet<String> = sections
        .iter()
        .map(|(heading, _)| heading.clone())
        .filter(|heading| heading.starts_with("FlashbackRotator"))
        .collect();
    assert_eq!(named, alerts);
    for (heading, text) in &sections {
        if alerts.contains(heading) {
            for part in [
                "**What it means.**",
                "**What users notice.**",
                "**Look.**",
                "**Mend.**",
            ] {
                assert!(text.contains(part), "{heading} has no {part}");
            }
            assert!(
                !blocks(text, "console").is_empty(),
                "{heading} has no command"
            );
        }
    }
    let rules = rules();
    let links: BTreeSet<&str> = values(&rules, "runbook_url").into_iter().collect();
    let tests = ["rules", "handover", "replicas"];
    let tests = tests.map(|name| file(&format!("tests/alerts/{name}.test.yaml")));
    for alert in &alerts {
        let link = format!("docs/operations.md#{}", alert.to_lowercase());
        assert!(
            links.contains(link.as_str()),
            "{alert} has no runbook_url {link}"
        );
        let marks = format!("alertname: {alert}\n");
        let tested = tests.iter().any(|test| test.contains(&marks));
        assert!(tested, "{alert} has no test");
    }
    assert_eq!(links.len(), alerts.len());
    for severity in values(&rules, "severity") {
        assert!(["critical", "warning"].contains(&severity), "{severity}");
    }
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    assert!(
        dashboard["id"].is_null(),
        "an id is the importing Grafana's to give"
    );
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        let number = |name: &str| panel["gridPos"][name].as_u64().expect(title);
        assert!(number("x") + number("w") <= 24, "{title} sticks out");
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                assert!(taken.insert((x, y)), "{title} covers another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(!description.is_empty(), "{title} is not explained");
        let targets = panel["targets"].as_array().expect(title);
        let refs: BTreeSet<&str> = targets
            .iter()
            .filter_map(|one| one["refId"].as_str())
            .collect();
        assert_eq!(refs.len(), targets.len(), "{title}");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let names: Vec<&str> = variables
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["datasource", "job", "instance", "source", "key"]);
}
