//! Servers that are broken, and repeat what they were told or what they hold in every place there
//! is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::canary::{Said, Search, echoes, key, random};
use super::server::{Stub, answer, json as in_json};
use super::work::{COMMANDS, LOUD, TALKATIVE, ask_everything};
use crate::support::rotator::{Rotator, sandbox};
use crate::support::{eventually, free_port};

/// How many ways [`broken`] has.
const WAYS: usize = 22;

/// An answer that is wrong in one of [`WAYS`] ways and repeats `secret` in as many places as it
/// has.
fn broken(way: usize, secret: &str) -> Vec<u8> {
    let echoes = echoes(secret);
    let alnum: String = secret.chars().filter(char::is_ascii_alphanumeric).collect();
    let headers = format!(
        "Content-Type: application/json\r\nServer: {secret}\r\nX-Amzn-RequestId: {alnum}\r\n\
         X-Amzn-ErrorType: {alnum}\r\nRetry-After: {secret}\r\nWWW-Authenticate: Bearer {secret}\r\n\
         Set-Cookie: {secret}\r\nLocation: https://{alnum}.example.com/{secret}?token={secret}\r\n"
    );
    // Every API's way to say no at once.
    let words = |said: &str| {
        json!({
            "success": false, "message": said, "error_code": said, "errors": [said],
            "warnings": [said], "__type": said, "code": said, "Message": said, "data": null,
        })
        .to_string()
    };
    let wrong_types = json!({
        "success": secret, "aiLlms": secret, "aiLlmId": {"id": secret}, "message": [secret],
        "accessToken": [secret], "expiresAt": secret, "data": secret, "auth": secret,
        "errors": {"a": secret}, "ARN": [secret], "SecretString": {"a": secret},
        "VersionIdsToStages": secret, "__type": [secret],
    })
    .to_string();
    let deeper = json!({
        "success": true, "aiLlms": [{"id": 7, "name": secret}], "aiLlmId": 7, "accessToken": 7,
        "data": {"data": secret, "metadata": secret, "versions": {"1": secret}, "ttl": secret,
            "current_version": 1},
        "auth": {"client_token": 7, "lease_duration": secret}, "SecretString": 7,
        "VersionIdsToStages": {"1": secret}, "Name": [secret],
    })
    .to_string();
    let html = format!("<html><body>{echoes}</body></html>");
    let plain = "Content-Type: text/html\r\n";
    match way {
        0 => answer(200, plain, &html),
        1 => answer(
            200,
            &headers,
            &format!("{{\"data\":{{\"data\":{{\"key\":\"{secret}"),
        ),
        2 => answer(200, &headers, &wrong_types),
        3 => answer(200, &headers, &deeper),
        4 => answer(200, &headers, &words(secret)),
        5 => answer(400, &headers, &words(secret)),
        6 => answer(400, &headers, &words(&echoes[secret.len() + 1..])),
        7 => answer(
            400,
            &headers,
            &words(&format!("no {} here", &secret[4..18])),
        ),
        8 => answer(400, &headers, &words(&alnum)),
        9 => answer(401, &headers, &words(secret)),
        10 => answer(403, &headers, &words(secret)),
        11 => answer(403, plain, &html),
        12 => answer(404, &headers, &words(secret)),
        13 => answer(404, plain, &html),
        14 => answer(409, &headers, &wrong_types),
        15 => answer(429, &headers, &words(secret)),
        16 => answer(500, &headers, &words(&echoes)),
        17 => answer(503, plain, &html),
        18 => answer(302, &headers, &html),
        19 => answer(307, &headers, &words(secret)),
        20 => format!("HTTP/1.1 {secret}\r\n{secret}: {secret}\r\n\r\n{secret}").into_bytes(),
        _ => format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{secret}").into_bytes(),
    }
}

/// Which way it is; past [`WAYS`] each request meets another.
#[derive(Clone, Default)]
struct Mood {
    way: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

const CHANGING: usize = usize::MAX;

impl Mood {
    fn broken(&self, secret: &str) -> Vec<u8> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.way.load(Ordering::Relaxed) {
            CHANGING => broken(asked % WAYS, secret),
            way => broken(way, secret),
        }
    }

    fn set(&self, way: usize) {
        self.way.store(way, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn common(flashback: &str, auth: &str) -> String {
    format!(
        r#"
[flashback]
base_url = "{flashback}"
workspace_id = "w"
[flashback.auth]
{auth}
[state]
url = "sqlite://{{dir}}/state.db"
[http]
listen = "127.0.0.1:0"
[schedule]
check = "1s"
[retry]
initial = "10ms"
max = "50ms"
give_up_after = "100ms"
refused = "1s"
[log]
format = "json"
level = "{LOUD}"
[sources.files]
type = "file"
dir = "{{dir}}/secrets"
[keys.text]
ai_type = "OPENAI"
source = "files"
path = "text"
"#
    )
}

async fn each_command(rotator: &Rotator, said: &mut Said) {
    for command in [
        &COMMANDS[1],
        &COMMANDS[3],
        &COMMANDS[5],
        &COMMANDS[8],
        &COMMANDS[9],
    ] {
        said.output(command, rotator.command(command).await);
    }
}

/// The daemon among servers whose answers change, and everything asked of it.
async fn a_daemons_life(rotator: &mut Rotator, mood: &Mood, said: &mut Said) {
    mood.set(CHANGING);
    rotator.start();
    eventually(
        &format!("broken answers were given; the log is\n{}", rotator.log()),
        || async { (mood.asked() >= 1).then_some(()) },
    )
    .await;
    ask_everything(rotator, said).await;
    assert!(rotator.stop().await.success());
    said.files(rotator, &["secrets", "token", "password"]);
    std::fs::remove_file(rotator.log_path()).expect("removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flashback_that_repeats_what_it_is_sent() {
    let mut search = Search::default();
    let mut said = Said::default();
    let token = search.canary("the token", random(40));
    let password = search.canary("the password", random(30));
    let value = search.canary("the value", key("sk-proj-"));
    let next = search.canary("the next value", key("sk-proj-"));
    let mood = Mood::default();
    let mut stubs = Vec::new();
    // What is well until the operation that is not.
    for bad in ["login", "list", "create", "validate", "update"] {
        let (mood, values) = (mood.clone(), [value.clone(), next.clone()]);
        let (token, password) = (token.clone(), password.clone());
        let stub = Stub::start(move |request| {
            let is = |start: &str| request.starts_with(start);
            let operation = match () {
                () if is("POST /user") => "login",
                () if is("GET /ai/llm") => "list",
                () if is("POST /ai/llm/") => "validate",
                () if is("POST /ai/llm") => "create",
                () => "update",
            };
            match operation {
                _ if operation == bad && bad == "login" => mood.broken(&password),
                _ if operation == bad && bad == "list" => mood.broken(&token),
                _ if operation == bad => {
                    let is_next = request.contains(&values[1][..24]);
                    mood.broken(&values[usize::from(is_next)])
                }
                "login" => in_json(
                    200,
                    &json!({"success": true, "accessToken": token, "refreshToken": token, "expiresAt": 0}),
                ),
                "list" => in_json(200, &json!({"success": true, "aiLlms": []})),
                "create" => in_json(200, &json!({"success": true, "aiLlmId": "id-1"})),
                "validate" => in_json(200, &json!({"success": true, "message": "valid"})),
                _ => in_json(200, &json!({"success": true})),
            }
        });
        stubs.push((bad, stub.await));
    }
    let mut rotator = Rotator::new("http://127.0.0.1:1", "");
    rotator.environment = TALKATIVE
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    rotator.put("text", &value);
    for (name, secret) in [("token", &token), ("password", &password)] {
        std::fs::write(rotator.path().join(name), secret).expect("written");
    }
    let by_login = "email = \"rotator@example.com\"\npassword = { file = \"{dir}/password\" }";
    for (bad, stub) in &stubs {
        let quick = "[verify]\ngrace = \"1s\"\n";
        rotator.write_config(&format!("{}{quick}", common(stub.url(), by_login)));
        rotator.put("text", &value);
        for way in 0..WAYS {
            if *bad != "update" {
                forget(&rotator);
            }
            mood.set(way);
            said.output(COMMANDS[1], rotator.command(COMMANDS[1]).await);
            said.output(COMMANDS[5], rotator.command(COMMANDS[5]).await);
        }
        each_command(&rotator, &mut said).await;
        match *bad {
            "update" => rotator.put("text", &next),
            _ => forget(&rotator),
        }
        a_daemons_life(&mut rotator, &mood, &mut said).await;
    }
    search.nothing_in(&said);
}

/// Begins again with an empty state.
fn forget(rotator: &Rotator) {
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(rotator.path().join(name));
    }
}

/// Flashback names what it made by what it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flashback_whose_ids_are_secrets() {
    let mut search = Search::default();
    let mut said = Said::default();
    let token = search.canary("the token", random(40));
    let value = search.canary("the value", random(40));
    for listed in [false, true] {
        let id = value.clone();
        let bearer = token.clone();
        let stub = Stub::start(move |request| {
            let entry = json!({"id": bearer, "workspaceId": "w", "name": "text",
                "aiType": "OPENAI", "endpoint": "https://api.openai.com/v1"});
            let list = if listed { vec![entry] } else { Vec::new() };
            match request.starts_with("GET") {
                true => in_json(200, &json!({"success": true, "aiLlms": list})),
                false => in_json(200, &json!({"success": true, "aiLlmId": id})),
            }
        })
        .await;
        let rotator = Rotator::new(stub.url(), "");
        rotator.write_config(&common(stub.url(), "token = { file = \"{dir}/token\" }"));
        rotator.put("text", &value);
        std::fs::write(rotator.path().join("token"), &token).expect("written");
        each_command(&rotator, &mut said).await;
        said.files(&rotator, &["secrets", "token"]);
    }
    search.nothing_in(&said);
}

/// The stores of one rotator, each broken from another step on.
struct Stores {
    stubs: Vec<Stub>,
    configuration: String,
    sts: String,
}

impl Stores {
    async fn start(mood: &Mood, value: &str, token: &str, credential: &str) -> Self {
        let mut stubs = Vec::new();
        let mut configuration = String::new();
        let owned = |secret: &str| secret.to_owned();
        for (id, bad) in [
            ("login", "/login"),
            ("lookup", "/lookup-self"),
            ("metadata", "/metadata/"),
            ("data", "/data/"),
            ("kv1", "/v1/secret/k"),
        ] {
            let (mood, value) = (mood.clone(), owned(value));
            let (token, credential) = (owned(token), owned(credential));
            let stub = Stub::start(move |request| {
                let line = request.lines().next().unwrap_or_default();
                let own = match bad {
                    "/login" => &credential,
                    "/lookup-self" => &token,
                    _ => &value,
                };
                match line {
                    _ if line.contains(bad) => mood.broken(own),
                    _ if line.contains("/login") => in_json(200, &json!({"auth": {"client_token": token, "lease_duration": 0, "renewable": false}})),
                    _ if line.contains("/lookup-self") => in_json(200, &json!({"data": {"ttl": 0, "creation_ttl": 0, "renewable": false, "policies": [token], "display_name": token}})),
                    _ if line.contains("/metadata/") => in_json(200, &json!({"data": {"cas_required": false, "created_time": "2026-01-01T00:00:00Z", "current_version": 1, "delete_version_after": "0s", "max_versions": 0, "oldest_version": 1, "updated_time": "2026-01-01T00:00:00Z", "custom_metadata": {"a": value}, "versions": {"1": {"created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": false}}}})),
                    _ => in_json(404, &json!({"errors": [value]})),
                }
            })
            .await;
            let auth = match id {
                "lookup" => "method = \"token\"\ntoken = { file = \"{dir}/token\" }",
                "data" => {
                    "method = \"userpass\"\nusername = \"me\"\npassword = { file = \"{dir}/password\" }"
                }
                _ => {
                    "method = \"approle\"\nrole_id = \"r\"\nsecret_id = { file = \"{dir}/password\" }"
                }
            };
            let kv = if id == "kv1" { 1 } else { 2 };
            configuration += &format!(
                "[sources.{id}]\ntype = \"vault\"\naddress = \"{}\"\nkv_version = {kv}\n[sources.{id}.auth]\n{auth}\n[keys.{id}]\nai_type = \"OPENAI\"\nsource = \"{id}\"\npath = \"k\"\n",
                stub.url()
            );
            stubs.push(stub);
        }
        for (id, bad) in [
            ("sts", "Action=AssumeRole"),
            ("describe", "DescribeSecret"),
            ("get", "GetSecretValue"),
        ] {
            let (mood, value, credential) = (mood.clone(), owned(value), owned(credential));
            let stub = Stub::start(move |request| match request {
                _ if request.contains(bad) && bad == "GetSecretValue" => mood.broken(&value),
                _ if request.contains(bad) => mood.broken(&credential),
                _ => in_json(200, &json!({"Name": "k", "VersionIdsToStages": {"11111111-1111-1111-1111-111111111111": ["AWSCURRENT"]}})),
            })
            .await;
            let role = match id {
                "sts" => "assume_role_arn = \"arn:aws:iam::000000000000:role/r\"",
                _ => "",
            };
            configuration += &format!(
                "[sources.{id}]\ntype = \"aws-secrets-manager\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\n{role}\n[keys.{id}]\nai_type = \"OPENAI\"\nsource = \"{id}\"\npath = \"k\"\n",
                stub.url()
            );
            stubs.push(stub);
        }
        let sts = stubs[5].url().to_owned();
        Self {
            stubs,
            configuration,
            sts,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_that_echo_secrets_leak_none() {
    let mut search = Search::default();
    let mut said = Said::default();
    let token = search.canary("the token of Vault", random(40));
    let credential = search.canary("what a sign-in takes", random(40));
    let value = search.canary("the value", key("sk-proj-"));
    let mood = Mood::default();
    let stores = Stores::start(&mood, &value, &token, &credential).await;
    let flashback = sandbox(Default::default()).await;
    let mut rotator = Rotator::new(&flashback.url(), "");
    let auth = "token = { file = \"{dir}/token\" }";
    rotator.write_config(&(common(&flashback.url(), auth) + &stores.configuration));
    for (name, secret) in [
        ("token", &token),
        ("password", &credential),
        ("secrets/text", &value),
    ] {
        std::fs::write(rotator.path().join(name), secret).expect("written");
    }
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST"),
        ("AWS_SECRET_ACCESS_KEY", &credential),
        ("AWS_ENDPOINT_URL_STS", &stores.sts),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &nowhere),
    ];
    rotator.environment = environment
        .into_iter()
        .chain(TALKATIVE)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for way in 0..WAYS {
        mood.set(way);
        for command in [COMMANDS[1], COMMANDS[5]] {
            said.output(command, rotator.command(command).await);
        }
        assert!(mood.asked() >= stores.stubs.len(), "each was asked");
    }
    each_command(&rotator, &mut said).await;
    a_daemons_life(&mut rotator, &mood, &mut said).await;
    search.nothing_in(&said);
}
