//! Secrets that a person put in the wrong place of the configuration.

use super::canary::{Said, Search, random};
use super::work::{PAGES, TALKATIVE};
use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, file_key, sandbox};

/// Where a secret does not belong, as text after the common tables: `…` stands for it. The
/// configuration is refused.
const REFUSED: [&str; 24] = [
    "[log]\nlevel = \"…\"",
    "[log]\nformat = \"…\"",
    "[log]\nlevel = \"info,…\"",
    "[schedule]\ncheck = \"…\"",
    "[schedule]\ntimezone = \"…\"",
    "[schedule]\ncheck = \"… * * * *\"",
    "[retry]\ninitial = \"…\"",
    "[flashback.auth.…]\na = 1",
    "[…]\na = 1",
    "… = \"…\"",
    "… = …",
    "…",
    "# …\nkey = …",
    "key = \"…\n",
    "[keys.b]\nai_type = \"…\"\nsource = \"…\"\nendpoint = \"…\"",
    "[keys.b]\n\"…\" = \"…\"",
    "[keys.b]\nsecret = \"…\"",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"/…\"",
    "[keys.b]\nai_type = \"OTHER\"\nsource = \"files\"\npath = \"b\"\nendpoint = \"https://me:…@example.com\"",
    "[keys.b]\nai_type = \"OTHER\"\nsource = \"files\"\npath = \"b\"\nendpoint = \"https://example.com?key=…\"",
    "[sources.v]\ntype = \"vault\"\naddress = \"https://me:…@vault\"\n[sources.v.auth]\nmethod = \"token\"\ntoken = \"…\"",
    "[sources.v]\ntype = \"vault\"\naddress = \"https://vault\"\n[sources.v.auth]\nmethod = \"…\"\nsecret_id = \"…\"\npassword = \"…\"",
    "[sources.v]\ntype = \"…\"\nsecret_access_key = \"…\"",
    "[sources.v]\ntype = \"vault\"\naddress = \"https://vault\"\n[sources.v.auth]\nmethod = \"token\"\ntoken = { source = \"…\", path = \"…\" }",
];

/// The same where it depends on the secret what is refused, and only the start or the work shows that the
/// rest is wrong.
const TAKEN: [&str; 8] = [
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"json\"\nfields = { secret = \"…\" }",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"plain\"\nfields = { secret = \"…\" }",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"names\"",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"v\"\npath = \"b\"\n[sources.v]\ntype = \"vault\"\naddress = \"http://127.0.0.1:1\"\n[sources.v.auth]\nmethod = \"token\"\ntoken = { env = \"…\" }",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"v\"\npath = \"b\"\n[sources.v]\ntype = \"vault\"\naddress = \"http://127.0.0.1:1\"\n[sources.v.auth]\nmethod = \"token\"\ntoken = { file = \"…\" }",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"v\"\npath = \"b\"\n[sources.v]\ntype = \"vault\"\naddress = \"http://127.0.0.1:1\"\n[sources.v.auth]\nmethod = \"approle\"\nrole_id = \"r\"\nsecret_id = { credential = \"…\" }",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"v\"\npath = \"b\"\n[sources.v]\ntype = \"vault\"\naddress = \"http://127.0.0.1:1\"\n[sources.v.auth]\nmethod = \"token\"\ntoken = { source = \"files\", path = \"json\", field = \"…\" }",
    "[keys.b]\nai_type = \"OPENAI\"\nsource = \"v\"\npath = \"b\"\n[sources.v]\ntype = \"vault\"\naddress = \"http://127.0.0.1:1\"\n[sources.v.auth]\nmethod = \"cert\"\ncert_file = \"…\"\nkey_file = \"…\"",
];

/// Keys as providers and stores make them; each may be written where a bare word can.
fn secrets(search: &mut Search) -> [String; 3] {
    [
        search.canary("a provider's key", format!("sk-proj-{}", random(32))),
        search.canary(
            "a token of Vault",
            format!("hvs.{}", random(24)).replace('.', "-"),
        ),
        // A random text without digits is rare, and could be a name.
        search.canary(
            "an opaque token",
            format!("{}7b2Q9{}", random(16), random(19)),
        ),
    ]
}

async fn a_rotator(rest: &str, url: &str) -> Rotator {
    let mut rotator = Rotator::new(url, rest);
    rotator.environment = TALKATIVE
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    rotator
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_configuration_is_not_quoted() {
    let mut search = Search::default();
    let mut said = Said::default();
    let sandbox = sandbox(Default::default()).await;
    let secrets = secrets(&mut search);
    let good = format!("{QUICK}{}", file_key("a"));
    let mut rotator = a_rotator(&good, &sandbox.url()).await;
    rotator.put("a", "sk-a");
    rotator.start();
    rotator.ready().await;
    for (number, wrong) in REFUSED.iter().enumerate() {
        let secret = &secrets[number % secrets.len()];
        let before = rotator.count("config_rejected");
        // A table may be there once: what is in the wrong place replaces what is in the right one.
        let good = match wrong.starts_with("[schedule]") || wrong.starts_with("[retry]") {
            true => file_key("a"),
            false => good.clone(),
        };
        rotator.configure(
            &sandbox.url(),
            &format!("{good}\n{}\n", wrong.replace('…', secret)),
        );
        for command in [&["check"][..], &["run"], &["sync", "--json"], &["status"]] {
            let output = rotator.command(command).await;
            // `status` asks the daemon, unless the state itself is what is wrong.
            let answered = command[0] == "status" && output.status.code() == Some(0);
            assert!(answered || output.status.code() == Some(2), "{wrong}");
            said.output(command, output);
        }
        rotator.signal("HUP");
        eventually("another refusal", || async {
            (rotator.count("config_rejected") > before).then_some(())
        })
        .await;
    }
    let http = rotator.http().await;
    for page in PAGES {
        said.page(&format!("{http}{page}")).await;
    }
    said.files(&rotator, &["config.toml", "secrets"]);
    search.nothing_in(&said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_that_is_the_secret_itself_is_not_repeated() {
    let mut search = Search::default();
    let mut said = Said::default();
    let sandbox = sandbox(Default::default()).await;
    let secrets = secrets(&mut search);
    for (number, wrong) in TAKEN.iter().enumerate() {
        let secret = &secrets[number % secrets.len()];
        let rest = format!(
            "{QUICK}give_up_after = \"100ms\"\n{}",
            wrong.replace('…', secret)
        );
        let mut rotator = a_rotator(&rest, &sandbox.url()).await;
        rotator.put("json", "{\"one\":\"1\",\"two\":\"2\"}");
        rotator.put("plain", "sk-a");
        rotator.put("names", &format!("{{\"{secret}\":\"\",\"two\":\"2\"}}"));
        for command in [
            &["check"][..],
            &["check", "--connect"],
            &["sync"],
            &["status", "--json"],
        ] {
            said.output(command, rotator.command(command).await);
        }
        rotator.start();
        let is_refused = eventually("the mistake shows", || async {
            let events = rotator.events();
            let mistake =
                |line: &serde_json::Value| line["level"] == "WARN" || line["level"] == "ERROR";
            let log = rotator.log();
            let refused = log.lines().any(|line| line.starts_with("error: "));
            (refused || events.iter().any(mistake)).then_some(refused)
        })
        .await;
        if is_refused {
            assert_eq!(rotator.ended().await.code(), Some(2), "{wrong}");
            assert!(rotator.log().contains('…'), "{wrong}");
            said.files(&rotator, &["config.toml", "secrets"]);
            continue;
        }
        let status = rotator.command(&["status"]).await;
        assert!(
            String::from_utf8_lossy(&status.stdout).contains('…'),
            "{wrong}"
        );
        said.output(&["status"], status);
        assert!(rotator.stop().await.success());
        said.files(&rotator, &["config.toml", "secrets"]);
    }
    search.nothing_in(&said);
}
