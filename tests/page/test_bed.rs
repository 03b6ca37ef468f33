//! The real binary with OpenBao, a directory and a sandbox, and a day behind it.

use chrono::{DateTime, TimeDelta, Utc};
use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use flashback_rotator::model::{Mark, Record, Timeline};
use flashback_rotator::state::StateStore as _;
use flashback_rotator::state::sqlite::Sqlite;
use serde_json::{Value, json};

use crate::support::configuration::{Configuration, token_in, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{Rotator, arrives, sandbox};
use crate::support::{eventually, free_port, get};

/// The keys in OpenBao: id, name in Flashback, type, path.
const IN_BAO: [(&str, &str, &str, &str); 4] = [
    ("openai-prod", "Production OpenAI", "OPENAI", "llm/openai"),
    ("openai-eu", "OpenAI Europe", "OPENAI", "llm/openai-eu"),
    (
        "anthropic-support",
        "Claude for support",
        "ANTHROPIC",
        "llm/anthropic",
    ),
    ("gemini-search", "Gemini for search", "GOOGLE", "llm/gemini"),
];

/// Nothing of it takes long.
const QUICKLY: &str = r#"
[schedule]
check = "2s"
[verify]
grace = "1s"
[retry]
initial = "100ms"
max = "2s"
"#;

/// A directory, and a pair of credentials in it.
const MOUNTED: &str = r#"
[sources.mounted]
type = "file"
dir = "{dir}/secrets"
[keys.bedrock]
name = "Bedrock"
ai_type = "AWS"
endpoint = "https://bedrock-runtime.eu-west-1.amazonaws.com"
source = "mounted"
path = "bedrock"
fields = { key = "AccessKeyId", secret = "SecretAccessKey" }
"#;

/// A source that nobody answers for, and a key in it.
const LOST: &str = r#"
[sources.vault-eu]
type = "vault"
address = "http://127.0.0.1:{port}"
[sources.vault-eu.auth]
method = "token"
token = { file = "{dir}/vault-token" }
[keys.azure-gpt]
name = "GPT in Europe"
ai_type = "OTHER"
endpoint = "https://llm.example.com/v1"
source = "vault-eu"
path = "llm/azure"
"#;

pub struct TestBed {
    pub bao: OpenBao,
    pub sandbox: Sandbox,
    pub rotator: Rotator,
}

impl TestBed {
    /// Every key is in Flashback, and two were rotated since.
    pub async fn start() -> Self {
        let bao = OpenBao::start().await;
        let sandbox = sandbox(Options::default()).await;
        let rotator = Rotator::new("", "");
        std::fs::write(rotator.path().join("vault-token"), ROOT).expect("written");
        let mut world = Self {
            bao,
            sandbox,
            rotator,
        };
        world.rotator.write_config(&world.configuration());
        for (id, ..) in IN_BAO {
            world.put(id, "first").await;
        }
        let pair =
            json!({"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "bedrock-first"});
        world.rotator.put("bedrock", &pair.to_string());
        world.rotator.start();
        world.rotator.ready().await;
        for (_, name, _, path) in IN_BAO {
            arrives(&world.sandbox, name, &format!("{path}-first")).await;
        }
        arrives(&world.sandbox, "Bedrock", "bedrock-first").await;
        for id in ["openai-prod", "anthropic-support", "openai-prod"] {
            world.rotate(id).await;
        }
        world
    }

    fn configuration(&self) -> String {
        let keys = IN_BAO.map(|(id, name, ai_type, path)| {
            format!(
                "[keys.{id}]\nname = \"{name}\"\nai_type = \"{ai_type}\"\nsource = \"vault-prod\"\n\
                 path = \"{path}\"\nfields = {{ secret = \"api_key\" }}\n"
            )
        });
        let token = token_in("vault-token");
        let configuration = Configuration {
            workspace: "workspace-123".to_owned(),
            ..Configuration::new(&self.sandbox.url())
        };
        configuration
            .and(QUICKLY)
            .and(vault("vault-prod", &self.bao.address, "", &token))
            .and(MOUNTED)
            .and(keys.concat())
            .text()
    }

    /// Adds a source that is away, while the daemon runs.
    pub fn lose_a_source(&self) {
        let lost = LOST.replace("{port}", &free_port().to_string());
        self.rotator
            .write_config(&format!("{}{lost}", self.configuration()));
    }

    async fn put(&self, id: &str, what: &str) {
        let known = IN_BAO.iter().find(|(known, ..)| *known == id);
        let (.., path) = known.expect("a key in OpenBao");
        let value = json!({"api_key": format!("{path}-{what}")});
        self.bao.put_kv2("secret", path, value).await;
    }

    /// Rotates a key in OpenBao, and waits until the daemon has seen it.
    pub async fn rotate(&self, id: &str) {
        let seen = || self.rotator.count("rotation_detected");
        let before = seen();
        self.put(id, &format!("rotated-{before}")).await;
        let what = format!("the rotation of {id}");
        eventually(&what, async || (seen() > before).then_some(())).await;
        // Its push is over, well or not, before anything else is done to the key.
        self.stands(id, |state| state != "pending").await;
    }

    /// Waits until `status` shows a key in such a state.
    pub async fn stands(&self, id: &str, such: impl Fn(&str) -> bool) {
        let url = format!("{}/status", self.rotator.http().await);
        eventually(
            &format!("the state of {id}; the log is\n{}", self.rotator.log()),
            async || {
                let status: Value = get(&url).await.ok()?.json().await.ok()?;
                let rows = status["keys"].as_array()?;
                let row = rows.iter().find(|row| row["key"] == id)?;
                such(row["state"].as_str()?).then_some(())
            },
        )
        .await;
    }

    /// Stops the daemon, lets `change` edit the records, and starts it again.
    async fn while_stopped(&mut self, change: impl Fn(&mut Record)) {
        self.rotator.stop().await;
        let path = self.rotator.path().join("state.db");
        {
            let store = Sqlite::open(&path, "the test").expect("opened");
            for mut record in store.load_all().await.expect("read") {
                change(&mut record);
                store.save(&record, None).await.expect("saved");
            }
        }
        backdate_history(&path);
        self.rotator.start();
        self.rotator.ready().await;
    }

    /// Gives it a day behind it, in which one key failed for an hour and a half.
    pub async fn age(&mut self) {
        self.while_stopped(age).await;
    }

    /// Rotates a key to one that its provider does not take: the version before is put back.
    pub async fn hold(&mut self, id: &str) {
        let (.., path) = IN_BAO
            .into_iter()
            .find(|(known, ..)| *known == id)
            .expect("known");
        let next = format!("{path}-rotated-{}", self.rotator.count("rotation_detected"));
        self.sandbox.change(|switches| {
            switches.refused_secrets.insert(sha256_hex(&next));
        });
        self.rotate(id).await;
        self.stands(id, |state| state == "held").await;
        self.while_stopped(age).await;
    }
}

fn age(record: &mut Record) {
    let now = Utc::now();
    let half_hours = |count: i64| now - TimeDelta::minutes(30 * count);
    let number = record.key.as_str().len() as i64;
    let mut timeline = Timeline::default();
    let (mut checked, mut next): (Option<DateTime<Utc>>, _) = (None, None);
    for ago in (1..48).rev() {
        // A maintenance window: the process was down.
        if (33..36).contains(&ago) {
            continue;
        }
        let failed = record.key.as_str() == "gemini-search" && (18..21).contains(&ago);
        let held = record.held.is_some() && ago < 7;
        let mark = match (failed, held) {
            (true, _) => Mark::Failing,
            (_, true) => Mark::Held,
            _ => Mark::InSync,
        };
        let at = half_hours(ago);
        timeline.add(checked, next, at, mark);
        (checked, next) = (Some(at), Some(at + TimeDelta::minutes(30)));
    }
    record.look.timeline = timeline;
    (record.look.checked_at, record.look.next_at) = (checked, next);
    if let Some(live) = &mut record.live {
        live.pushed_at = now - TimeDelta::minutes(37 * number);
    }
}

/// The trail has no way to be written in the past but this one.
fn backdate_history(state: &std::path::Path) {
    let trail = rusqlite::Connection::open(state).expect("opened");
    let changed = trail.execute(
        "UPDATE history SET line = json_set(line, '$.at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' ||
             (2 + 5 * ((SELECT max(id) FROM history) - id)) || ' hours', '-' || (id * 7) || ' minutes'))",
        [],
    );
    changed.expect("changed");
}
