//! A daemon that hears of writes in Secrets Manager through a queue, and what may happen to its messages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::Client;
use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use futures_util::StreamExt as _;
use parking_lot::Mutex;

use super::aws::{Aws, Emulator};
use super::configuration::{Configuration, aws as source, key};
use super::eventually;
use super::queue::{Queue, event, send_rotations};
use super::rotator::{Rotator, sandbox};

/// The seconds after which a message that was not deleted is delivered again.
const AGAIN: u32 = 1;

/// The number of writes at once.
const WRITERS: usize = 4;

/// Something that happens while secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The daemon is stopped for longer than its messages are its own: all of them come again.
    Stopped,
    /// The daemon is killed, and started again: what it had received comes again.
    Killed,
    /// Events come twice, late, and for versions that are not current any more.
    Doubled,
    /// Messages come that are none of Secrets Manager's.
    Foreign,
}

/// All faults.
pub const FAULTS: [Fault; 4] = [
    Fault::Stopped,
    Fault::Doubled,
    Fault::Killed,
    Fault::Foreign,
];

/// A daemon, its secrets and its queue.
pub struct Queued {
    pub sandbox: Sandbox,
    _aws: Aws,
    client: Client,
    queue: Queue,
    rotator: Rotator,
    secrets: usize,
    newest: Mutex<BTreeMap<String, String>>,
    /// The versions that were current at some time, by the names of their secrets.
    versions: Mutex<Vec<(String, String)>>,
}

impl Queued {
    /// Starts everything with `secrets` secrets, each of which is a key. They are checked at the interval `check` while
    /// the queue is not to be had, and never without a reason while it is.
    pub async fn start(secrets: usize, check: &str) -> Self {
        let aws = Aws::start(Emulator::Ministack).await;
        let queue = Queue::new(&aws, "rotations", AGAIN).await;
        let client = aws.client();
        let sandbox = sandbox(Options::default()).await;
        let mut rotator = Rotator::new(&sandbox.url(), "");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let variable = (name.to_owned(), "test".to_owned());
            rotator.environment.push(variable);
        }
        let mut configuration = Configuration::new(&sandbox.url()).and(format!(
            "[schedule]\ncheck = \"{check}\"\ncheck_with_events = \"24h\"\n{}max_rps = 100000\n\
             [sources.aws.events]\ntype = \"sqs\"\nqueue_url = \"{}\"\n",
            source("aws", aws.url()),
            queue.url
        ));
        let mut newest = BTreeMap::new();
        for name in (0..secrets).map(name) {
            aws.create(&name, "sk-first").await;
            configuration = configuration.and(key(&name, "aws", &name));
            newest.insert(name, "sk-first".to_owned());
        }
        send_rotations(&aws, &[&queue]).await;
        rotator.write_config(&configuration.text());
        rotator.start();
        rotator.ready().await;
        let queued = Self {
            sandbox,
            _aws: aws,
            client,
            queue,
            rotator,
            secrets,
            newest: Mutex::new(newest),
            versions: Mutex::default(),
        };
        queued.settle().await;
        queued
    }

    /// Makes `writes` writes, evenly spread before and after the faults, which happen while writes go on.
    pub async fn shake(&mut self, writes: usize, faults: &[Fault]) {
        let stretch = writes / (faults.len() + 1);
        self.write_many("before", stretch).await;
        for (round, fault) in faults.iter().enumerate() {
            match fault {
                Fault::Stopped => self.rotator.signal("STOP"),
                Fault::Killed => self.rotator.kill(),
                Fault::Doubled => self.double().await,
                Fault::Foreign => self.queue.send("no JSON").await,
            }
            let begun = Instant::now();
            self.write_many(&round.to_string(), stretch).await;
            let again = Duration::from_secs(u64::from(AGAIN) + 1);
            match fault {
                Fault::Stopped => {
                    // Until its messages are anybody's.
                    tokio::time::sleep(again.saturating_sub(begun.elapsed())).await;
                    self.rotator.signal("CONT");
                }
                Fault::Killed => self.rotator.start(),
                Fault::Doubled | Fault::Foreign => {}
            }
        }
    }

    /// Sends events of versions that were heard of once more, among them ones that are not current any more.
    pub async fn double(&self) {
        let versions = self.versions.lock().clone();
        for (name, version) in versions.iter().rev().step_by(3).take(30) {
            self.queue.send(event(name, "AWSCURRENT", version)).await;
        }
    }

    /// Waits until nothing is in the queue.
    pub async fn is_read(&self) {
        self.queue.is_empty().await;
    }

    /// Returns the keys of which Flashback does not have the newest value.
    pub fn behind(&self) -> Vec<String> {
        let all = self.sandbox.configurations().into_iter();
        let held: BTreeMap<String, String> = all.map(|one| (one.name, one.secret_sha256)).collect();
        let newest = self.newest.lock();
        let behind = newest
            .iter()
            .filter(|(key, value)| held.get(*key) != Some(&sha256_hex(value)));
        behind.map(|(key, _)| key.clone()).collect()
    }

    /// Waits until Flashback has every newest value, and returns how long that took.
    pub async fn settle(&self) -> Duration {
        let begun = Instant::now();
        eventually("every newest value in Flashback", || async {
            self.behind().is_empty().then_some(())
        })
        .await;
        begun.elapsed()
    }

    /// Makes `writes` writes, a few at a time, and none at once of one secret.
    async fn write_many(&self, tag: &str, writes: usize) {
        let writers = futures_util::stream::iter(0..WRITERS).map(|writer| async move {
            let own: Vec<usize> = (writer..self.secrets).step_by(WRITERS).collect();
            for number in (writer..writes).step_by(WRITERS) {
                let name = name(own[rand::random_range(0..own.len())]);
                let value = format!("sk-{tag}-{number}");
                let put = self.client.put_secret_value().secret_id(&name);
                let put = put.secret_string(&value).send().await.expect("put");
                let version = put.version_id.expect("a version");
                self.versions.lock().push((name.clone(), version));
                self.newest.lock().insert(name, value);
            }
        });
        writers.buffer_unordered(WRITERS).collect::<Vec<()>>().await;
    }
}

fn name(secret: usize) -> String {
    format!("key-{secret:05}")
}
