//! The real binary with the keys of some cells, between OpenBao and a sandbox.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flashback_rotator::flashback::sandbox::{Entry, Operation, Options, Rule, Sandbox, sha256_hex};
use serde_json::{Value, json};

use super::cell::{Cell, End, Kill, New, Old, Provider, Tally, Validate, Which};
use super::provider::{Providers, SLOW};
use crate::support::configuration::{TOKEN_IN_VARIABLE, vault};
use crate::support::eventually;
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{QUICK, Rotator, sandbox};

/// How long a fresh key may take to work.
pub const GRACE: Duration = Duration::from_secs(2);

/// What a machine under load may need beyond that, restarts included.
const SLACK: Duration = Duration::from_secs(30);

/// What all scenes share.
pub struct Stage {
    pub bao: &'static OpenBao,
    /// Where the keys lie in it.
    pub mount: &'static str,
    pub providers: Providers,
    pub client: reqwest::Client,
}

impl Stage {
    pub async fn set(mount: &'static str) -> Self {
        let bao = OpenBao::shared().await;
        bao.mount_kv(mount, 2).await;
        let client = reqwest::Client::builder()
            .tls_certs_only(Vec::new())
            .build();
        Self {
            bao,
            mount,
            providers: Providers::start().await,
            client: client.expect("a client"),
        }
    }
}

/// A rotator with one key for each of these cells, which have the same `validate`.
pub struct Scene<'a> {
    stage: &'a Stage,
    name: String,
    cells: Vec<Cell>,
    holder: Holder,
    sandbox: Sandbox,
    rotator: Rotator,
}

/// What holds the keys in Flashback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Configuration,
    /// A stored key each, which two configurations share.
    StoredKey,
}

/// What became of a cell.
#[derive(Clone, Debug)]
pub struct Run {
    pub cell: Cell,
    pub end: End,
    pub tally: Tally,
}

impl<'a> Scene<'a> {
    /// Nothing is started yet; the previous keys are in the store.
    pub async fn set(stage: &'a Stage, name: String, cells: Vec<Cell>, holder: Holder) -> Self {
        let sandbox = sandbox(Options::default()).await;
        // So that a question takes a time in which another could overlap it.
        sandbox.change(|switches| switches.latency_ms = 20);
        let mount = format!("mount = \"{}\"", stage.mount);
        let source = vault("bao", &stage.bao.address, &mount, TOKEN_IN_VARIABLE);
        let grace = GRACE.as_secs();
        let mut config = format!("{QUICK}[verify]\ngrace = \"{grace}s\"\n{source}");
        for (index, cell) in cells.iter().enumerate() {
            let (before, endpoint) = match cell.provider {
                Provider::Unasked => ("none", "https://llm.example.com/v1".to_owned()),
                Provider::Answers => ("provider", stage.providers.answering()),
                Provider::Silent => ("provider", stage.providers.silent()),
            };
            let target = match holder {
                Holder::Configuration => String::new(),
                Holder::StoredKey => {
                    share_a_key(&sandbox, index);
                    format!("target = \"stored-key\"\ndescription = \"k{index}\"\n")
                }
            };
            config.push_str(&format!(
                "[keys.k{index}]\n{target}ai_type = \"OTHER\"\nendpoint = \"{endpoint}\"\n\
                 source = \"bao\"\npath = \"{name}/k{index}\"\n\
                 verify = {{ before = \"{before}\" }}\n"
            ));
        }
        let mut rotator = Rotator::new(&sandbox.url(), &config);
        let token = ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned());
        rotator.environment.push(token);
        let scene = Self {
            stage,
            name,
            cells,
            holder,
            sandbox,
            rotator,
        };
        for index in 0..scene.cells.len() {
            scene.store(index, &scene.previous_key(index)).await;
        }
        scene
    }

    /// Starts it, to die there, and waits until the previous keys are live and verified.
    pub async fn begin(&mut self, kill: Option<Kill>) {
        let cell = self.cells[0];
        let at = kill.map(|kill| format!("{}:{}", kill.point, kill.time + cell.passed(kill.point)));
        let at = at.map(|at| [("FLASHBACK_ROTATOR_KILL_AT", at)]);
        let environment = at.iter().flatten().map(|(name, at)| (*name, at.as_str()));
        self.rotator.start_with(&environment.collect::<Vec<_>>());
        self.stands(|_, row| row["state"] == "in_sync" && row["verified_by"] == "flashback")
            .await;
    }

    /// Some keys stop working, Flashback may stop to validate, and every key is rotated.
    pub async fn rotate(&self) {
        let digest = |key: String| sha256_hex(&key);
        self.sandbox.change(|switches| {
            for (index, cell) in self.cells.iter().enumerate() {
                if cell.old == Old::Revoked {
                    switches
                        .refused_secrets
                        .insert(digest(self.previous_key(index)));
                }
                match (cell.new, cell.provider) {
                    (New::Bad, _) => {
                        switches.refused_secrets.insert(digest(self.new_key(index)));
                    }
                    // It works by the time it gets there.
                    (New::Slow, Provider::Answers) | (New::Good, _) => {}
                    (New::Slow, _) => {
                        let slow = u64::try_from(SLOW.as_millis()).expect("it fits");
                        switches
                            .slow_secrets
                            .insert(digest(self.new_key(index)), slow);
                    }
                }
            }
        });
        let status = match self.cells[0].validate {
            Validate::There => None,
            Validate::Missing => Some(404),
            Validate::Failing => Some(500),
        };
        if let Some(status) = status {
            self.sandbox
                .fail(Rule::status(status).on(Operation::Validate));
        }
        for index in 0..self.cells.len() {
            self.store(index, &self.new_key(index)).await;
        }
    }

    /// Waits until it has died.
    pub async fn dies(&mut self, kill: Kill) {
        let status = self.rotator.ended().await;
        assert!(!status.success(), "{}: {kill:?}: {status}", self.name);
    }

    /// Starts it again, to die there or not.
    pub fn again(&mut self, kill: Option<Kill>) {
        let at = kill.map(|kill| [("FLASHBACK_ROTATOR_KILL_AT", kill.point)]);
        let environment: Vec<_> = at.into_iter().flatten().collect();
        self.rotator.start_with(&environment);
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        assert!(self.rotator.stop().await.success(), "{}", self.name);
    }

    /// Nothing is written and nobody asked any more.
    pub async fn rests(&self) {
        let before = self.calls();
        self.looked().await;
        assert_eq!(
            self.calls(),
            before,
            "{}\n{}",
            self.name,
            self.rotator.log()
        );
    }

    /// Waits until each key stands as promised, sees that it stays so, and tells what it took.
    pub async fn end(&self) -> Vec<Run> {
        let as_promised =
            |index: usize, row: &Value| self.stood(index, row) == self.cells[index].promise().0;
        self.stands(as_promised).await;
        self.looked().await;
        let rows = self.stands(as_promised).await;
        let run = |(index, row)| {
            let (cell, end, tally) = (self.cells[index], self.stood(index, row), self.tally(index));
            self.holds_the_promise(index);
            Run { cell, end, tally }
        };
        rows.iter().enumerate().map(run).collect()
    }

    /// Waits until each key was looked at from now on, twice.
    async fn looked(&self) {
        let then = Utc::now() + Duration::from_millis(1_500);
        let looked = |_: usize, row: &Value| {
            let at = row["checked_at"].as_str().and_then(|at| at.parse().ok());
            at.is_some_and(|at: DateTime<Utc>| at > then)
        };
        self.stands(looked).await;
    }

    /// Waits until the daemon's status says so of each key.
    async fn stands(&self, so: impl Fn(usize, &Value) -> bool) -> Vec<Value> {
        let url = format!("{}/status", self.rotator.http().await);
        let last = std::cell::RefCell::new(Value::Null);
        let what = format!("{}: {:?}", self.name, self.cells);
        let stands = eventually(&what, || async {
            let answer = self.stage.client.get(&url).send().await.ok()?;
            let rows = answer.json::<Value>().await.ok()?["keys"]
                .as_array()?
                .clone();
            let row = |index: usize| {
                let key = format!("k{index}");
                rows.iter().find(|row| row["key"] == key.as_str()).cloned()
            };
            let rows: Vec<Value> = (0..self.cells.len()).filter_map(row).collect();
            last.replace(json!(rows));
            let all = rows.len() == self.cells.len()
                && rows.iter().enumerate().all(|(index, row)| so(index, row));
            all.then_some(rows)
        });
        let limit = tokio::time::timeout(Duration::from_secs(50), stands);
        limit
            .await
            .unwrap_or_else(|_| panic!("{what}: {:#}\n{}", last.borrow(), self.rotator.log()))
    }

    /// How a key stands, in the sandbox and by its row.
    fn stood(&self, index: usize, row: &Value) -> End {
        let name = format!("k{index}");
        let held: Vec<String> = match self.holder {
            Holder::Configuration => {
                let all = self.sandbox.configurations().into_iter();
                let named = all.filter(|one| one.name == name);
                named.map(|one| one.secret_sha256).collect()
            }
            Holder::StoredKey => {
                let all = self.sandbox.stored_keys().into_iter();
                let described = all.filter(|key| key.description() == Some(&*name));
                described.map(|key| key.secret_sha256).collect()
            }
        };
        assert!(held.len() <= 1, "one {:?} for {name}", self.holder);
        let live = held.first();
        let is = |key: String| live == Some(&sha256_hex(&key));
        End {
            live: match (is(self.new_key(index)), is(self.previous_key(index))) {
                (true, _) => Some(Which::New),
                (_, true) => Some(Which::Previous),
                _ => None,
            },
            state: row["state"].as_str().unwrap_or_default().to_owned(),
            new_is_held: row["held_version"] == "2",
            verified_by: row["verified_by"].as_str().map(str::to_owned),
        }
    }

    fn tally(&self, index: usize) -> Tally {
        let (key, events) = (format!("k{index}"), self.rotator.events());
        let told = |event: &str| {
            let mine = |line: &&Value| line["event"] == event && line["key"] == key.as_str();
            events.iter().filter(mine).count()
        };
        Tally {
            new: self.writes(&self.new_key(index)).len(),
            previous: self.writes(&self.previous_key(index)).len() - 1,
            verification_failed: told("verification_failed"),
            rolled_back: told("rolled_back"),
            version_held: told("version_held"),
        }
    }

    /// What can be seen of the promise in what Flashback was asked, and when.
    fn holds_the_promise(&self, index: usize) {
        let (cell, name) = (self.cells[index], &self.name);
        let (new, previous) = (self.new_key(index), self.previous_key(index));
        let (new, previous) = (self.writes(&new), self.writes(&previous));
        assert!(!cell.is_stopped() || new.is_empty(), "{name}: {new:?}");
        if cell.is_undone() {
            let back = &previous[1];
            let gone = back.at - new[0].at;
            let gone = gone
                .to_std()
                .expect("it was put back after it was taken out");
            assert!(gone >= GRACE, "{name}: a fresh key has its grace: {gone:?}");
            assert!(gone < GRACE + SLACK, "{name}: {gone:?}");
            let again = new.iter().find(|entry| entry.at > back.at);
            assert!(
                again.is_none(),
                "{name}: what is held was pushed: {again:?}"
            );
        }
        let id = previous
            .iter()
            .chain(&new)
            .find_map(|entry| entry.ai_llm_id.clone());
        let stored = self.sandbox.stored_keys().into_iter();
        let stored = stored.filter(|key| Some(&key.api_key_id) == id.as_ref());
        let shared: Vec<_> = stored.flat_map(|key| key.configurations).collect();
        let of_it = |about: &Option<String>| {
            *about == id || about.as_ref().is_some_and(|about| shared.contains(about))
        };
        let asked =
            |entry: &Entry| entry.operation == Operation::Validate && of_it(&entry.ai_llm_id);
        let asked: Vec<Entry> = self.sandbox.journal().into_iter().filter(asked).collect();
        for pair in asked.windows(2) {
            let apart = pair[0].answered_at.is_some_and(|at| at <= pair[1].at);
            assert!(apart, "{name}: two questions at a time: {pair:?}");
        }
    }

    /// Writes of a key that reached Flashback.
    fn writes(&self, key: &str) -> Vec<Entry> {
        let digest = sha256_hex(key);
        let of_it = |entry: &Entry| entry.secret_sha256.as_deref() == Some(&*digest);
        self.sandbox.journal().into_iter().filter(of_it).collect()
    }

    /// Requests for which there is no reason any more: writes, and questions about what has been
    /// answered.
    fn calls(&self) -> usize {
        let open = |(index, cell): (usize, &Cell)| {
            let waits = cell.promise().0.state == "failing" || cell.validate == Validate::Failing;
            waits.then(|| sha256_hex(&self.new_key(index)))
        };
        let open: HashSet<String> = self.cells.iter().enumerate().filter_map(open).collect();
        let open = |id: &str| {
            let all = self.sandbox.configurations();
            all.iter()
                .any(|one| one.ai_llm_id == id && open.contains(&one.secret_sha256))
        };
        let journal = self.sandbox.journal();
        let counts = |entry: &&Entry| match entry.operation {
            Operation::Validate => !entry.ai_llm_id.as_deref().is_some_and(open),
            Operation::Create
            | Operation::Update
            | Operation::CreateStoredKey
            | Operation::UpdateStoredKey => true,
            _ => false,
        };
        journal.iter().filter(counts).count()
    }

    fn previous_key(&self, index: usize) -> String {
        format!("sk-good-previous-{}-{index}", self.name)
    }

    fn new_key(&self, index: usize) -> String {
        let kind = match self.cells[index].new {
            New::Good => "good",
            New::Slow => "slow",
            New::Bad => "bad",
        };
        format!("sk-{kind}-new-{}-{index}", self.name)
    }

    async fn store(&self, index: usize, key: &str) {
        let path = format!("{}/k{index}", self.name);
        self.stage
            .bao
            .put_kv2(self.stage.mount, &path, json!({ "key": key }))
            .await;
    }
}

/// Stores a key, and makes two configurations that use it.
fn share_a_key(sandbox: &Sandbox, index: usize) {
    let key = json!({"key": "", "secret": "sk-before", "provider": "OTHER",
        "description": format!("k{index}")});
    let key = sandbox.create_stored_key("w", key);
    for user in ["one", "two"] {
        let name = format!("{user}-of-k{index}");
        sandbox.insert(
            "w",
            json!({"name": name, "aiType": "OTHER", "apiKeyUuid": key}),
        );
    }
}
