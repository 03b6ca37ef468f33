//! Answers that do harm, from every service there is: they end, the process stays small, and everything
//! else goes on.

mod aws;
mod flashback;
mod floods;

use std::fmt::Write as _;

use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::support::configuration;
use crate::support::hostile::{Harm, Hostile};
use crate::support::rotator::file_key;
use crate::support::{LONG, eventually};

/// What the process may have in memory at any time.
const MEMORY: u64 = 120 << 20;

/// How long a harmful answer may take: a call's own time, and what a busy machine adds.
const ANSWER: Duration = Duration::from_secs(30);

/// A few of each sort: too much of a body, too much of a head, too slow.
const FEW: [Harm; 3] = [Harm::Endless, Harm::Headers, Harm::Drip];

/// A server that harms the key of one source.
struct Harmed {
    key: String,
    harm: Harm,
    server: Hostile,
}

/// A daemon that cannot use up the machine's memory, whatever it is answered.
fn bounded(flashback: &str, rest: &str) -> Rotator {
    let mut rotator = Rotator::new(flashback, rest);
    rotator.within = ["prlimit", "--data=1073741824"].map(str::to_owned).into();
    gives_up_soon(&mut rotator, "FLASHBACK_ROTATOR_SOURCE_TIMEOUT_MS");
    rotator
}

/// What is slow is given up as it always is, but sooner. This is for the service that is harmed: a busy machine may
/// keep another from answering for longer.
fn gives_up_soon(rotator: &mut Rotator, setting: &str) {
    let sooner = (setting.to_owned(), "7000".to_owned());
    rotator.environment.push(sooner);
}

/// The most the process has had in memory.
fn peak(rotator: &Rotator) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rotator.pid()));
    let status = status.expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes.expect("a size").parse().expect("a number");
    kilobytes << 10
}

fn stayed_small(what: &str, rotator: &Rotator) {
    let peak = peak(rotator);
    assert!(peak < MEMORY, "{what}: {} MiB in memory", peak >> 20);
}

/// What an error says of a harmful answer. One that has no end is too much after a while, or takes too long where
/// the machine is busy: that the process stays small is held for itself.
fn says_what(harm: Harm, error: &str) -> bool {
    const TOO_LONG: [&str; 3] = ["in time", "within", "took longer"];
    const TOO_MUCH: [&str; 4] = ["more than", "too long", "too large", "too many"];
    let words = match harm {
        Harm::Endless | Harm::Gigabyte | Harm::Headers | Harm::Preliminary => {
            [&TOO_MUCH[..], &TOO_LONG[..]].concat()
        }
        Harm::Drip | Harm::Silent => TOO_LONG.to_vec(),
        // A body that is whole and not the protocol's.
        Harm::Packed | Harm::Deep | Harm::Number => vec![""],
    };
    // The chain of AWS's credentials goes on to the next place, and says at last that none has them, or that one of
    // them gave none.
    ["no AWS credentials", "gave no usable answer"]
        .iter()
        .any(|words| error.contains(words))
        || words.iter().any(|word| error.contains(word))
}

/// Waits until a value is delivered by a daemon that goes on running.
async fn delivers(what: &str, sandbox: &Sandbox, rotator: &mut Rotator, name: &str, value: &str) {
    let (began, digest) = (Instant::now(), sha256_hex(value));
    while !has(sandbox, name, &digest) {
        let log = rotator.log();
        assert_eq!(rotator.exited(), None, "{what}: it died\n{log}");
        assert!(
            began.elapsed() < LONG,
            "{what}: {value} of {name} is not delivered\n{log}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a rotator whose keys are harmed, and one more of the source `files`. That one is delivered
/// whatever the others meet, and they are once they meet no harm.
async fn survives(what: &str, sandbox: &Sandbox, mut rotator: Rotator, harmed: &[Harmed]) {
    rotator.start();
    let (began, mut round) = (Instant::now(), 0);
    let errors = loop {
        round += 1;
        let value = format!("sk-{round}");
        rotator.put("other", &value);
        delivers(what, sandbox, &mut rotator, "other", &value).await;
        let status = rotator.json(&["status"]).await;
        let rows = status["keys"].as_array().expect("rows");
        let events = rotator.events();
        let error_of = |one: &Harmed| {
            let row = rows.iter().find(|row| row["key"] == *one.key)?;
            let told = events.iter().filter(|line| line["source"] == *one.key);
            let told = told.filter_map(|line| line["error"].as_str());
            let all = row["error"].as_str().into_iter().chain(told);
            let all: Vec<_> = all.collect();
            (!all.is_empty()).then(|| all.join("; "))
        };
        let errors: Option<Vec<String>> = harmed.iter().map(error_of).collect();
        let met = harmed.iter().all(|one| !one.server.over().is_empty());
        if let (true, Some(errors)) = (met, errors) {
            break errors;
        }
        assert!(
            began.elapsed() < LONG * 2,
            "{what}: {status}\n{}",
            rotator.log()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    stayed_small(what, &rotator);
    for (one, error) in harmed.iter().zip(errors) {
        let longest = one.server.over().into_iter().max().unwrap_or_default();
        assert!(longest < ANSWER, "{what}: {:?} took {longest:?}", one.harm);
        assert!(
            says_what(one.harm, &error),
            "{what}: {:?}: {error}",
            one.harm
        );
        one.server.set(None);
    }
    for one in harmed {
        let what = format!("{what}: after {:?}", one.harm);
        delivers(&what, sandbox, &mut rotator, &one.key, "sk-harmed").await;
    }
    let unharmed = |line: &Value| {
        let source = line["source"].as_str().unwrap_or_default();
        line["event"] == "source_unavailable" && !harmed.iter().any(|one| one.key == source)
    };
    let events = rotator.events();
    let outages: Vec<_> = events.iter().filter(|line| unharmed(line)).collect();
    assert!(outages.is_empty(), "{what}: {outages:?}");
    stayed_small(what, &rotator);
    assert_eq!(rotator.exited(), None, "{what}: {}", rotator.log());
}

/// Servers before `upstream`, one for each harm.
async fn harmed(upstream: &str, aim: &'static str, what: &str, harms: &[Harm]) -> Vec<Harmed> {
    let mut all = Vec::new();
    for &harm in harms {
        all.push(Harmed {
            key: format!("{what}-{}", harm.name()),
            harm,
            server: Hostile::before(upstream, aim, Some(harm)).await,
        });
    }
    all
}

async fn vault(what: &str, aim: &'static str, auth: &str) {
    let bao = OpenBao::shared().await;
    let all = harmed(&bao.address, aim, what, &Harm::ALL).await;
    let mut rest = format!("{QUICK}{}", file_key("other"));
    for Harmed { key, server, .. } in &all {
        bao.put_kv2("secret", key, json!({"key": "sk-harmed"}))
            .await;
        let (url, key_table) = (server.url(), configuration::key(key, key, key));
        rest += &configuration::vault(key, url, "", auth);
        rest += &key_table;
    }
    let sandbox = sandbox(Options::default()).await;
    let rotator = bounded(&sandbox.url(), &rest);
    std::fs::write(rotator.path().join("root"), ROOT).expect("written");
    survives(what, &sandbox, rotator, &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_harms_nobody_else() {
    let bao = OpenBao::shared().await;
    bao.write_policy("hostile", "path \"secret/*\" { capabilities = [\"read\"] }")
        .await;
    let parameters = json!({"token_policies": "hostile"});
    let (role, secret) = bao.app_role("hostile", parameters).await;
    let app_role = configuration::app_role("hostile", &role);
    let token = &token_in("root");
    tokio::join!(
        vault("look", " /v1/secret/metadata/", token),
        vault("read", " /v1/secret/data/", token),
        vault("token", " /v1/auth/token/lookup-self", token),
        vault_login(&app_role, &secret),
    );
}

async fn vault_login(auth: &str, secret: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), secret).expect("written");
    let auth = auth.replace("{dir}/secret-id", &file.path().display().to_string());
    vault("login", " /v1/auth/hostile/login", &auth).await;
}

/// No provider holds a rotation back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_holds_nothing_back() {
    let provider = MockServer::start().await;
    let models = json!({"object": "list", "data": [{"id": "m", "object": "model"}]});
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(models))
        .mount(&provider)
        .await;
    let all = harmed(&provider.uri(), "GET /v1/models", "probe", &Harm::ALL).await;
    let sts = Hostile::before(&provider.uri(), " / ", Some(Harm::Endless)).await;
    let mut rest = QUICK.to_owned();
    for Harmed { key, server, .. } in &all {
        let (key, url) = (file_key(key), server.url());
        write!(
            rest,
            "{key}endpoint = \"{url}/v1\"\nverify = {{ before = \"provider\", grace = \"2s\" }}\n"
        )
        .expect("written");
    }
    rest += "[keys.pair]\nai_type = \"AWS\"\nsource = \"files\"\npath = \"pair\"\n\
             endpoint = \"https://bedrock-runtime.us-east-1.amazonaws.com\"\n\
             fields = { key = \"id\", secret = \"secret\" }\nverify = { before = \"provider\", grace = \"2s\" }\n";
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = bounded(&sandbox.url(), &rest);
    let endpoint = ("AWS_ENDPOINT_URL_STS".to_owned(), sts.url().to_owned());
    rotator.environment.push(endpoint);
    for one in &all {
        rotator.put(&one.key, "sk-harmed");
    }
    let (id, secret) = (
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    );
    rotator.put("pair", &json!({ "id": id, "secret": secret }).to_string());
    rotator.start();
    for one in &all {
        arrives(&sandbox, &one.key, "sk-harmed").await;
    }
    arrives(&sandbox, "pair", secret).await;
    for one in &all {
        eventually(&format!("{:?}: the end of a probe", one.harm), || async {
            (!one.server.over().is_empty()).then_some(())
        })
        .await;
        let over = one.server.over();
        assert!(
            over.iter().all(|over| *over < ANSWER),
            "{:?}: {over:?}",
            one.harm
        );
    }
    assert!(!sts.over().is_empty(), "STS was never asked");
    stayed_small("probes", &rotator);
    assert_eq!(rotator.count("source_unavailable"), 0);
    assert_eq!(rotator.exited(), None, "{}", rotator.log());
}
