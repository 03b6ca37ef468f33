//! A day's work with real servers: every source, every way to sign in, every command.

use flashback_rotator::flashback::sandbox::{Account, Operation, Options, Rule, Sandbox};
use flashback_rotator::secret::Secret;
use serde_json::{Value, json};

use super::canary::{Said, Search, key, random};
use super::process;
use super::tap::Tap;
use crate::support::aws::{Aws, Emulator, REGION};
use crate::support::openbao::OpenBao;
use crate::support::rotator::{Rotator, arrives, sandbox};
use crate::support::{client, eventually};

/// All that a user can ask the log for.
pub const LOUD: &str = "trace,flashback_rotator=trace,hyper=trace,hyper_util=trace,reqwest=trace,h2=trace,rustls=trace,aws_config=trace,aws_sdk_secretsmanager=trace,aws_smithy_runtime=trace,aws_smithy_http_client=trace,vaultrs=trace,rustify=trace,tokio_cron_scheduler=trace,[request]=trace";

/// What a shell may have been told to help with a bug.
pub const TALKATIVE: [(&str, &str); 3] = [
    ("RUST_BACKTRACE", "full"),
    ("RUST_LOG", "trace"),
    ("SMITHY_LOG", "trace"),
];

/// Each command, with what may be asked of it.
pub const COMMANDS: [&[&str]; 11] = [
    &["check"],
    &["check", "--connect"],
    &["plan"],
    &["plan", "--json"],
    &["sync"],
    &["sync", "--force"],
    &["sync", "--force", "--json"],
    &["status"],
    &["status", "--json"],
    &["history"],
    &["history", "--json"],
];

/// The pages of the daemon.
pub const PAGES: [&str; 5] = ["/metrics", "/status", "/readyz", "/livez", "/"];

/// What the test itself puts secrets into, below the rotator's directory.
const GIVEN: [&str; 6] = [
    "secrets",
    "token",
    "password",
    "secret-id",
    "vault-token",
    "refresh-token",
];

/// Runs every command, and looks at every page.
pub async fn ask_everything(rotator: &Rotator, said: &mut Said) {
    for command in COMMANDS {
        said.output(command, rotator.command(command).await);
    }
    let http = rotator.http().await;
    for page in PAGES {
        said.page(&format!("{http}{page}")).await;
    }
}

/// The stores, with a canary in everything that is secret.
struct Stores {
    vault: Tap,
    aws: Tap,
    mount: String,
    role_id: String,
    role: String,
    /// What is stored under each key, and is Flashback's `secret`.
    values: Vec<(&'static str, String)>,
}

impl Stores {
    async fn fill(rotator: &mut Rotator, search: &mut Search) -> Self {
        let bao = OpenBao::shared().await;
        let moto = Aws::shared(Emulator::Moto).await;
        let mount = format!("secrecy-{}", random(8));
        let names = [
            "text",
            "json",
            "nested",
            "kv2",
            "kv2-token",
            "kv1",
            "bedrock",
        ];
        let values: Vec<_> = names
            .map(|name| {
                (
                    name,
                    search.canary(&format!("the value of {name}"), key("sk-proj-")),
                )
            })
            .into();
        let value = |name: &str| {
            let found = values.iter().find(|(key, _)| *key == name);
            found.expect("a value").1.clone()
        };
        rotator.put("text", &value("text"));
        rotator.put("json", &json!({"api_key": value("json")}).to_string());
        let nested = json!({"llm": {"key": value("nested")}, "more": [random(20)]});
        rotator.put("nested", &nested.to_string());
        let access_key = search.canary("an access key id", format!("AKIA{}", random(16)));
        let pair = json!({"AccessKeyId": access_key, "SecretAccessKey": value("bedrock")});
        moto.create(&mount, &pair.to_string()).await;
        let role = moto.role(&mount).await;

        bao.mount_kv(&mount, 2).await;
        bao.mount_kv(&format!("{mount}-1"), 1).await;
        for name in ["kv2", "kv2-token"] {
            bao.put_kv2(&mount, name, json!({"api_key": value(name)}))
                .await;
        }
        let path = format!("{mount}-1/kv1");
        bao.ok("POST", &path, json!({"api_key": value("kv1")}))
            .await;
        let policy = format!("path \"{mount}*\" {{ capabilities = [\"read\"] }}");
        bao.write_policy(&mount, &policy).await;
        // Short, so that tokens are renewed and taken anew under the test's eyes.
        let parameters = json!({"token_policies": [mount], "token_ttl": "3s"});
        let (role_id, secret_id) = bao.app_role(&mount, parameters).await;
        search.add("the AppRole secret id", &secret_id);
        let password = search.canary("a password in Vault", random(30));
        let userpass = json!({"type": "userpass"});
        bao.ok("POST", &format!("sys/auth/{mount}-user"), userpass)
            .await;
        let user = json!({"password": password, "token_policies": [mount]});
        bao.ok("POST", &format!("auth/{mount}-user/users/me"), user)
            .await;
        let token = bao.create_token(json!({"policies": [mount]})).await;
        search.add("a token of Vault", &token);
        write(rotator, "secret-id", &secret_id);
        write(rotator, "vault-token", &token);

        let aws_secret = search.canary("the secret access key", random(40));
        let aws = Tap::to(moto.url()).await;
        let environment = [
            ("VAULT_USER_PASSWORD", password.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST"),
            ("AWS_SECRET_ACCESS_KEY", &aws_secret),
            ("AWS_ENDPOINT_URL_STS", aws.url()),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        for (name, value) in environment.into_iter().chain(TALKATIVE) {
            rotator
                .environment
                .push((name.to_owned(), value.to_owned()));
        }
        Self {
            vault: Tap::to(&bao.address).await,
            aws,
            mount,
            role_id,
            role,
            values,
        }
    }

    fn configuration(&self, flashback: &str, auth: &str) -> String {
        let Self {
            mount,
            role_id,
            role,
            ..
        } = self;
        let (vault, aws) = (self.vault.url(), self.aws.url());
        let key = |id: &str, source: &str, path: &str, more: &str| {
            format!(
                "[keys.{id}]\nai_type = \"OPENAI\"\nsource = \"{source}\"\npath = \"{path}\"\n{more}\n"
            )
        };
        let keys = [
            key("text", "files", "text", ""),
            key("json", "files", "json", "fields = { secret = \"api_key\" }"),
            key("nested", "files", "nested", "fields = { secret = \"/llm/key\" }"),
            key("kv2", "kv2", "kv2", ""),
            key("kv2-token", "kv2-token", "kv2-token", ""),
            key("kv1", "kv1", "kv1", "fields = { secret = \"api_key\" }"),
            key(
                "bedrock",
                "aws",
                mount,
                "endpoint = \"https://bedrock.example.com\"\nfields = { key = \"AccessKeyId\", secret = \"SecretAccessKey\" }",
            )
            .replace("OPENAI", "AWS"),
        ]
        .concat();
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
initial = "50ms"
max = "200ms"
give_up_after = "1s"
[log]
format = "json"
level = "{LOUD}"
[sources.files]
type = "file"
dir = "{{dir}}/secrets"
[sources.kv2]
type = "vault"
address = "{vault}"
mount = "{mount}"
[sources.kv2.auth]
method = "approle"
mount = "{mount}"
role_id = "{role_id}"
secret_id = {{ file = "{{dir}}/secret-id" }}
[sources.kv2-token]
type = "vault"
address = "{vault}"
mount = "{mount}"
[sources.kv2-token.auth]
method = "token"
token = {{ file = "{{dir}}/vault-token" }}
[sources.kv1]
type = "vault"
address = "{vault}"
mount = "{mount}-1"
kv_version = 1
[sources.kv1.auth]
method = "userpass"
mount = "{mount}-user"
username = "me"
password = {{ env = "VAULT_USER_PASSWORD" }}
[sources.aws]
type = "aws-secrets-manager"
region = "{REGION}"
endpoint_url = "{aws}"
assume_role_arn = "{role}"
{keys}
"#
        )
    }
}

fn write(rotator: &Rotator, name: &str, text: &str) {
    std::fs::write(rotator.path().join(name), text).expect("written");
}

/// Flashback refuses a write and repeats what it was sent: the state keeps the refusal.
async fn be_refused(rotator: &Rotator, sandbox: &Sandbox, secret: &str) {
    for words in [
        secret,
        &secret[4..24],
        &format!("<b>{secret}</b> is invalid"),
    ] {
        sandbox.fail(Rule {
            message: Some(format!("no such provider takes {words}")),
            ..Rule::status(400).on(Operation::Update).times(2)
        });
    }
    rotator.put("text", secret);
    rotator
        .event("push_failed", |line| line["key"] == "text")
        .await;
    sandbox.heal();
}

async fn log_in(sandbox: &Sandbox, account: &Value) -> String {
    let url = format!("{}/user/login", sandbox.url());
    let answer = client().post(url).json(account).send().await;
    let answer: Value = answer.expect("an answer").json().await.expect("JSON");
    answer["refreshToken"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_with_every_source_and_sign_in_leaves_no_trace_of_a_secret() {
    let mut search = Search::default();
    let mut said = Said::default();
    let password = search.canary("the password for Flashback", random(30));
    let token = search.canary("the token for Flashback", random(30));
    let secret = |text: &str| Secret::new(text.to_owned());
    let sandbox = sandbox(Options {
        token: Some(secret(&token)),
        account: Some(Account {
            email: secret("rotator@example.com"),
            password: secret(&password),
        }),
        ..Options::default()
    })
    .await;
    sandbox.change(|switches| switches.token_life_ms = 3_000);
    let flashback = Tap::to(&sandbox.url()).await;
    let mut rotator = Rotator::new(&sandbox.url(), "");
    let stores = Stores::fill(&mut rotator, &mut search).await;
    let account = json!({"email": "rotator@example.com", "password": password});
    let refresh = log_in(&sandbox, &account).await;
    write(&rotator, "password", &password);
    write(&rotator, "token", &token);
    write(&rotator, "refresh-token", &refresh);

    for auth in [
        "email = \"rotator@example.com\"\npassword = { file = \"{dir}/password\" }",
        "refresh_token = { file = \"{dir}/refresh-token\" }",
        "token = { file = \"{dir}/token\" }",
    ] {
        rotator.write_config(&stores.configuration(flashback.url(), auth));
        said.output(&["sync"], rotator.command(&["sync"]).await);
        rotator.start();
        for (name, value) in &stores.values {
            arrives(&sandbox, name, value).await;
        }
        rotator.ready().await;
        let refused = search.canary("a refused value", key("sk-proj-"));
        be_refused(&rotator, &sandbox, &refused).await;
        ask_everything(&rotator, &mut said).await;
        process::examine(&rotator, &search, &mut said);
        let given = || flashback.heard().matches("\"accessToken\"").count();
        let before = given();
        if !auth.starts_with("token") {
            eventually("another access token", async || {
                rotator.command(&["sync", "text", "--force"]).await;
                (given() > before).then_some(())
            })
            .await;
        }
        assert!(rotator.stop().await.success());
        assert!(rotator.log().contains("push_succeeded"));
        let read = said.files(&rotator, &GIVEN);
        for name in ["state.db", "log", "config.toml"] {
            assert!(read.iter().any(|read| read == name), "{name} in {read:?}");
        }
        std::fs::remove_file(rotator.log_path()).expect("removed");
        rotator.put("text", &stores.values[0].1);
    }

    // What the servers made up is secret too.
    for (what, tap, before, after) in [
        ("an access token", &flashback, "\"accessToken\":\"", "\""),
        ("a refresh token", &flashback, "\"refreshToken\":\"", "\""),
        (
            "a token of Vault",
            &stores.vault,
            "\"client_token\":\"",
            "\"",
        ),
        ("a role's secret key", &stores.aws, "<SecretAccessKey>", "<"),
        ("a role's session token", &stores.aws, "<SessionToken>", "<"),
    ] {
        let found = tap.all_between(before, after);
        assert!(!found.is_empty(), "{what} was never given");
        for secret in found.iter().filter(|found| found.len() >= 16) {
            search.add(what, secret);
        }
    }
    for (name, value) in &stores.values {
        let mut own = Search::default();
        own.add(name, value);
        assert!(
            own.found(flashback.heard().as_bytes()).is_some(),
            "{name} was used"
        );
    }
    search.nothing_in(&said);
}
