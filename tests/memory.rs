//! A key that was rotated out is gone from the memory of the process, and what it signs in with
//! does not stay there: with HTTP/1 and with HTTP/2 over TLS, from every kind of source, with and
//! without the provider's word.
//!
//! `FLASHBACK_ROTATOR_TEST_ROTATIONS=4` makes it the whole measurement: 88 values.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Account, Options, Sandbox, Seed};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::aws::{Aws, Emulator};
use crate::support::configuration::{Configuration, aws, vault};
use crate::support::front::Front;
use crate::support::openbao::OpenBao;
use crate::support::pki::Authority;
use crate::support::process_memory::each_chunk;
use crate::support::rotator::{QUICK, Rotator, arrives, sandbox};
use crate::support::sandbox::{EMAIL, TOKEN, secret};

/// How long a value may stay after it was replaced.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Each value is made of pieces, so that what is left of one is found, too.
const MARK: &str = "Vq9z";
const PIECE: usize = 10;

/// The keys of one daemon: the source, and whether the provider is asked.
const KEYS: [(&str, bool); 11] = [
    ("vault", false),
    ("vault", false),
    ("vault", false),
    ("vault", true),
    ("aws", false),
    ("aws", false),
    ("aws", false),
    ("aws", true),
    ("files", false),
    ("files", false),
    ("files", true),
];

/// What a daemon signs in with has numbers from here on.
const SIGN_IN: usize = 9_000;

/// The base32 seed of a second factor.
const SEED: &str = "VQ7ZVQ7ZVQ7ZVQ7ZVQ7ZVQ7ZVQ7ZVQ7Z";
const SEEDS: usize = 9_999;

fn value(number: usize) -> String {
    format!("sk-{}", format!("{MARK}{number:04}Kx").repeat(4))
}

/// The number of the value that has a piece at the beginning of `bytes`.
fn number(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(&SEED.as_bytes()[..PIECE]) {
        return Some(SEEDS);
    }
    let digits = bytes.get(..PIECE)?.strip_prefix(MARK.as_bytes())?;
    std::str::from_utf8(digits.strip_suffix(b"Kx")?)
        .ok()?
        .parse()
        .ok()
}

/// The values in the memory of a process, each with where a piece of it is.
fn found(process: u32) -> BTreeMap<usize, Vec<String>> {
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    each_chunk(process, PIECE, |chunk, name| {
        let mut from = 0;
        while let Some(next) = chunk[from..].iter().position(|byte| *byte == b'V') {
            from += next + 1;
            if let Some(number) = number(&chunk[from - 1..]) {
                let before = &chunk[from.saturating_sub(100)..from - 1];
                let place = format!("{name}: {}", before.escape_ascii());
                found.entry(number).or_default().push(place);
            }
        }
    });
    found
}

/// A daemon, and the Flashback it writes to.
struct Daemon {
    name: &'static str,
    rotator: Rotator,
    sandbox: Sandbox,
    /// What its numbers are above those of the other.
    offset: usize,
    _fronts: Vec<Front>,
}

/// Where the services are.
struct Services<'a> {
    flashback: String,
    auth: &'a str,
    vault: String,
    vault_auth: String,
    aws: String,
    provider: String,
}

impl Services<'_> {
    fn configuration(&self, name: &str) -> String {
        let trusted = "ca_file = \"{dir}/ca.pem\"";
        let mut text = Configuration::new(&self.flashback)
            .auth(self.auth)
            .files()
            .and(aws("aws", &self.aws))
            .and(vault("vault", &self.vault, trusted, &self.vault_auth))
            .and(QUICK)
            .text();
        let provider = &self.provider;
        for (at, (source, probe)) in KEYS.into_iter().enumerate() {
            let before = if probe { "provider" } else { "none" };
            text += &format!(
                r#"
[keys.{name}-{at}]
name = "{name}-{at}"
ai_type = "OPENAI"
endpoint = "{provider}/v1"
source = "{source}"
path = "{name}-{at}"
verify = {{ before = "{before}" }}
"#
            );
        }
        text
    }
}

impl Daemon {
    async fn start(name: &'static str, offset: usize, secure: bool) -> Self {
        let bao = OpenBao::shared().await;
        let moto = Aws::shared(Emulator::Moto).await;
        let own = SIGN_IN + offset;
        let options = Options {
            token: Some(secret(TOKEN)),
            account: Some(Account {
                email: secret(EMAIL),
                password: secret(&value(own)),
            }),
            ..Options::default()
        };
        let sandbox = sandbox(options).await;
        if secure {
            sandbox.change(|switches| {
                switches.totp = Some(Seed(secret(SEED)));
                switches.enforce_mfa = true;
            });
        }
        let provider = provider().await;
        let authority = Authority::new("memory");
        let tls = authority.issue("memory", &["127.0.0.1"]).server();
        let mut fronts = Vec::new();
        let mut urls = Vec::new();
        for url in [&sandbox.url(), &bao.address, moto.url(), &provider] {
            urls.push(match secure {
                true => {
                    fronts.push(Front::start(url, tls.clone()).await);
                    fronts.last().expect("it was added").url()
                }
                false => url.to_string(),
            });
        }
        let mut urls = urls.into_iter();
        let mut url = || urls.next().expect("one for each");
        let (flashback, vault, aws, provider) = (url(), url(), url(), url());
        let services = Services {
            flashback,
            auth: match secure {
                true => {
                    "email = \"rotator@example.com\"\npassword = { file = \"{dir}/password\" }\n\
                     totp = { file = \"{dir}/seed\" }"
                }
                false => "refresh_token = { file = \"{dir}/refresh-token\" }",
            },
            vault,
            vault_auth: vault_auth(bao, secure, own + 1).await,
            aws,
            provider,
        };
        let mut rotator = Rotator::new("http://127.0.0.1:9", "");
        let refresh = sandbox.issue_refresh_token();
        for (file, text) in [
            ("password", value(own)),
            ("seed", SEED.to_owned()),
            ("refresh-token", refresh.expose().to_owned()),
            ("vault-secret", value(own + 1)),
            ("ca.pem", authority.pem()),
        ] {
            std::fs::write(rotator.path().join(file), text).expect("written");
        }
        let bundle = rotator.path().join("ca.pem").display().to_string();
        for (name, text) in [
            ("SSL_CERT_FILE", bundle.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            rotator.environment.push((name.to_owned(), text.to_owned()));
        }
        rotator.write_config(&services.configuration(name));
        let mut daemon = Self {
            name,
            rotator,
            sandbox,
            offset,
            _fronts: fronts,
        };
        daemon.store(0).await;
        daemon.rotator.start();
        daemon
    }

    fn number(&self, round: usize, key: usize) -> usize {
        round * 100 + self.offset + key
    }

    /// Puts the values of a round into the sources.
    async fn store(&self, round: usize) {
        let bao = OpenBao::shared().await;
        let moto = Aws::shared(Emulator::Moto).await;
        for (at, (source, _)) in KEYS.into_iter().enumerate() {
            let (path, value) = (format!("{}-{at}", self.name), value(self.number(round, at)));
            match source {
                "vault" => {
                    bao.put_kv2("secret", &path, json!({"key": value})).await;
                }
                "aws" if round == 0 => {
                    moto.create(&path, &value).await;
                }
                "aws" => {
                    moto.put(&path, &value).await;
                }
                _ => self.rotator.put(&path, &value),
            }
        }
    }

    async fn arrived(&self, round: usize) {
        for at in 0..KEYS.len() {
            let name = format!("{}-{at}", self.name);
            arrives(&self.sandbox, &name, &value(self.number(round, at))).await;
        }
    }

    /// What is there of values that should be gone.
    fn left(&self, expected: impl Fn(usize) -> bool) -> BTreeMap<usize, Vec<String>> {
        let mut found = found(self.rotator.pid());
        found.retain(|number, _| !expected(*number));
        found
    }

    /// Waits until nothing is there that should be gone, and returns what stays.
    async fn cleaned(
        &self,
        deadline: Instant,
        expected: impl Fn(usize) -> bool,
    ) -> BTreeMap<usize, Vec<String>> {
        loop {
            let left = self.left(&expected);
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// One that takes every key.
async fn provider() -> String {
    let server = MockServer::start().await;
    let models = ResponseTemplate::new(200).set_body_json(json!({"object": "list", "data": []}));
    Mock::given(method("GET"))
        .and(path("/v1/models"))
        .respond_with(models)
        .mount(&server)
        .await;
    let url = server.uri();
    // It lives as long as the test's process.
    std::mem::forget(server);
    url
}

/// A way to sign in to Vault with the secret of this number.
async fn vault_auth(bao: &OpenBao, by_role: bool, number: usize) -> String {
    let mount = format!("memory-{number}");
    bao.write_policy(&mount, "path \"secret/*\" { capabilities = [\"read\"] }")
        .await;
    if by_role {
        let (role_id, _) = bao
            .app_role(&mount, json!({"token_policies": [mount]}))
            .await;
        let path = format!("auth/{mount}/role/rotator/custom-secret-id");
        bao.ok("POST", &path, json!({"secret_id": value(number)}))
            .await;
        return format!(
            "method = \"approle\"\nmount = \"{mount}\"\nrole_id = \"{role_id}\"\nsecret_id = {{ file = \"{{dir}}/vault-secret\" }}"
        );
    }
    bao.ok(
        "POST",
        &format!("sys/auth/{mount}"),
        json!({"type": "userpass"}),
    )
    .await;
    let user = json!({"password": value(number), "token_policies": [mount]});
    bao.ok("POST", &format!("auth/{mount}/users/me"), user)
        .await;
    format!(
        "method = \"userpass\"\nmount = \"{mount}\"\nusername = \"me\"\npassword = {{ file = \"{{dir}}/vault-secret\" }}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rotated_out_key_and_sign_in_secret_is_gone_from_memory() {
    let rotations = std::env::var("FLASHBACK_ROTATOR_TEST_ROTATIONS");
    let rotations = rotations.map_or(1, |text| text.parse().expect("a number"));
    let daemons = [
        Daemon::start("over-h2", 0, true).await,
        Daemon::start("over-h1", 50, false).await,
    ];
    for daemon in &daemons {
        daemon.arrived(0).await;
    }
    let mut stayed = BTreeMap::new();
    for round in 1..=rotations {
        for daemon in &daemons {
            daemon.store(round).await;
        }
        for daemon in &daemons {
            daemon.arrived(round).await;
        }
        let deadline = Instant::now() + GONE_WITHIN;
        for daemon in &daemons {
            let current = |number| number / 100 == round;
            for (number, at) in daemon.cleaned(deadline, current).await {
                stayed.insert((daemon.name, number), at);
            }
        }
    }
    let rotated_out = rotations * KEYS.len() * daemons.len();
    let values = stayed
        .iter()
        .filter(|((_, number), _)| *number < SIGN_IN)
        .count();
    let permits: String = stayed
        .iter()
        .map(|((daemon, number), at)| format!("{daemon} {number:04} {}\n", at[0]))
        .collect();
    assert!(
        stayed.is_empty(),
        "{values} of {rotated_out} values that were rotated out, and {} secrets of sign-ins, were \
         there after {GONE_WITHIN:?}:\n{permits}",
        stayed.len() - values
    );
    // Nobody needs a value between two pushes.
    for daemon in &daemons {
        let deadline = Instant::now() + GONE_WITHIN;
        let current = daemon.cleaned(deadline, |_| false).await;
        assert!(current.is_empty(), "{}: {current:?}", daemon.name);
    }
}
