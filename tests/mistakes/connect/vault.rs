//! A Vault that is not there, is not one, or holds something else than was thought; on a real OpenBao.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Website, checked, key};
use crate::support::free_port;
use crate::support::front::Front;
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::pki::Authority;

const BY_ROOT: &str = "method = \"token\"\ntoken = { env = \"TEST_ROOT\" }";
const ENVIRONMENT: (&str, &str) = ("TEST_ROOT", ROOT);

fn source(id: &str, address: &str, settings: &str, auth: &str) -> String {
    format!(
        "[sources.{id}]\ntype = \"vault\"\naddress = \"{address}\"\n{settings}\n[sources.{id}.auth]\n{auth}\n"
    )
}

/// The failures of sources that nothing can be had of, each with keys of which nothing more is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_cannot_be_reached_or_is_none_is_one_line_whatever_its_keys() {
    let (bao, site) = (OpenBao::shared().await, Website::start().await);
    let (known, stranger) = (Authority::new("known"), Authority::new("stranger"));
    let names = &["127.0.0.1"];
    let fine = Front::start(&bao.address, known.issue("fine", names).server()).await;
    let expired = known.issue_expired("expired", names).server();
    let expired = Front::start(&bao.address, expired).await;
    let foreign = Front::start(&bao.address, stranger.issue("foreign", names).server()).await;
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), known.pem()).expect("written");
    let trusting = format!("ca_file = \"{}\"", ca.path().display());
    let elsewhere = format!("{trusting}\nnamespace = \"nowhere\"");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let cases: [(&str, String, &str, &[&str]); 9] = [
        (
            "unknown",
            "https://vault.invalid:8200".to_owned(),
            "",
            &["https://vault.invalid:8200: cannot resolve vault.invalid ("],
        ),
        (
            "nobody",
            nobody.clone(),
            "",
            &[&nobody, "connection refused: is the server running"],
        ),
        (
            "no-tls",
            bao.address.replace("http:", "https:"),
            &trusting,
            &["does not speak TLS", "`http://`"],
        ),
        (
            "tls",
            fine.url().replace("https:", "http:"),
            "",
            &["does not speak HTTP", "`https://`"],
        ),
        (
            "expired",
            expired.url(),
            &trusting,
            &["the server's certificate has expired"],
        ),
        (
            "foreign",
            foreign.url(),
            &trusting,
            &["an authority that is not trusted here", "`ca_file`"],
        ),
        (
            "site",
            site.url.clone(),
            "",
            &["what answered is not Vault: 404 with a page of HTML"],
        ),
        (
            "namespace",
            fine.url(),
            &elsewhere,
            &["there is no such namespace (404)"],
        ),
        ("fine", fine.url(), &trusting, &[]),
    ];
    let mut rest = String::new();
    bao.put_kv2("secret", "mistakes/fine", json!({"key": "sk-canary"}))
        .await;
    for (id, address, settings, _) in &cases {
        rest += &source(id, address, settings, BY_ROOT);
        for number in 0..3 {
            rest += &key(&format!("{id}-{number}"), id, "mistakes/fine");
        }
    }
    let said = checked(&rest, &[], &[ENVIRONMENT]).await;
    assert_eq!(said.code, Some(1));
    for (id, _, _, words) in &cases[..8] {
        said.says(&format!("source {id}"), words);
        assert!(said.row(&format!("3 keys of {id}")).contains("not checked"));
    }
    assert_eq!(said.failures.len(), 8, "{:#?}", said.failures);
    for number in 0..3 {
        assert!(
            said.row(&format!("key fine-{number}"))
                .ends_with("version 1")
        );
    }
}

/// A server in Go answers a caller without TLS in plain text.
#[tokio::test]
async fn a_vault_on_tls_that_is_called_without_and_one_that_is_sealed_are_said_so() {
    let (authority, port) = (Authority::new("authority"), free_port());
    let bao = OpenBao::start_with(|directory| {
        let issued = authority.issue("server", &["127.0.0.1"]);
        let (certificate, key) = issued.write(directory, "server");
        format!(
            "listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_cert_file = \"{}\"\n tls_key_file = \"{}\"\n}}",
            certificate.display(),
            key.display()
        )
    })
    .await;
    let plain = source("plain", &format!("http://127.0.0.1:{port}"), "", BY_ROOT);
    let sealed = source("sealed", &bao.address, "", BY_ROOT);
    bao.ok("PUT", "sys/seal", Value::Null).await;
    let rest = plain + &sealed + &key("a", "sealed", "a");
    let said = checked(&rest, &[], &[ENVIRONMENT]).await;
    let speaks = format!("http://127.0.0.1:{port} speaks TLS: write `address` with `https://`");
    said.says("source plain", &[&speaks]);
    said.says("source sealed", &["it is sealed (503)"]);
    assert_eq!(said.failures.len(), 2, "{:#?}", said.failures);
}

#[tokio::test]
async fn vault_mistakes_are_named_with_path_mount_and_kv_version() {
    let bao = OpenBao::shared().await;
    for (mount, version) in [("mistakes", 2), ("mistakes-one", 1)] {
        bao.mount_kv(mount, version).await;
    }
    let value = json!({"api_key": "sk-canary"});
    for path in ["llm/deleted", "llm/destroyed", "llm/there"] {
        bao.put_kv2("mistakes", path, value.clone()).await;
    }
    bao.ok("POST", "mistakes-one/llm/there", value).await;
    bao.ok("DELETE", "mistakes/data/llm/deleted", Value::Null)
        .await;
    let versions = json!({"versions": [1]});
    bao.ok("PUT", "mistakes/destroy/llm/destroyed", versions)
        .await;
    let rules = "path \"mistakes/+/llm/*\" { capabilities = [\"read\"] }";
    bao.write_policy("mistakes", rules).await;
    let narrow = bao.create_token(json!({"policies": ["mistakes"]})).await;
    let two = source("two", &bao.address, "mount = \"mistakes\"", BY_ROOT);
    let one = "mount = \"mistakes-one\"";
    let one = source(
        "one",
        &bao.address,
        &format!("{one}\nkv_version = 1"),
        BY_ROOT,
    );
    let as_two = source("as-two", &bao.address, "mount = \"mistakes-one\"", BY_ROOT);
    let as_one = "mount = \"mistakes\"\nkv_version = 1";
    let as_one = source("as-one", &bao.address, as_one, BY_ROOT);
    let nowhere = source("nowhere", &bao.address, "mount = \"mistaken\"", BY_ROOT);
    let by_narrow = "method = \"token\"\ntoken = { env = \"TEST_NARROW\" }";
    let narrow_source = source("narrow", &bao.address, "mount = \"mistakes\"", by_narrow);
    let mut rest = two + &one + &as_two + &as_one + &nowhere + &narrow_source;
    for (id, source, path) in [
        ("absent", "two", "llm/absent"),
        ("absent-one", "one", "llm/absent"),
        ("deleted", "two", "llm/deleted"),
        ("destroyed", "two", "llm/destroyed"),
        ("as-one", "as-one", "llm/there"),
        ("as-two", "as-two", "llm/there"),
        ("copied", "narrow", "data/llm/there"),
        ("other", "narrow", "other/there"),
    ] {
        rest += &key(id, source, path);
    }
    for number in 0..3 {
        write!(rest, "{}", key(&format!("n{number}"), "nowhere", "x")).expect("written");
    }
    let environment = [ENVIRONMENT, ("TEST_NARROW", &*narrow)];
    let said = checked(&rest, &[], &environment).await;
    assert_eq!(said.code, Some(1));
    let place = "the store has no secret at this path, `llm/absent` in the mount";
    said.says("key absent", &[place, "`mistakes`, read as KV 2"]);
    said.says("key absent-one", &[place, "`mistakes-one`, read as KV 1"]);
    said.says("key deleted", &["deleted in the store: undelete it"]);
    said.says("key destroyed", &["destroyed in the store: write another"]);
    let engine = "the engine at `mistakes` is KV 2: set `kv_version = 2`";
    said.says("source as-one", &[engine]);
    let engine = "the engine at `mistakes-one` is KV 1: set `kv_version = 1`";
    said.says("source as-two", &[engine]);
    let mount = "the mount `mistaken`: nothing is mounted there (404)";
    said.says("keys n0, n1, n2", &[mount]);
    let copied = "access denied: the path begins with `data/`";
    said.says("key copied", &[copied]);
    let needs = "lack `read` on `mistakes/metadata/other/there`";
    said.says("key other", &["access denied", needs]);
    assert_eq!(said.failures.len(), 9, "{:#?}", said.failures);
}

#[tokio::test]
async fn a_refused_sign_in_says_what_was_refused() {
    let bao = OpenBao::shared().await;
    let (role_id, _) = bao.app_role("mistakes-role", json!({})).await;
    let auth = |mount: &str, role: &str, secret: &str| {
        format!(
            "method = \"approle\"\nmount = \"{mount}\"\nrole_id = \"{role}\"\nsecret_id = {{ env = \"{secret}\" }}"
        )
    };
    let address = &bao.address;
    let role = auth("mistakes-role", "no-such-role", "TEST_WRONG");
    let secret = auth("mistakes-role", &role_id, "TEST_WRONG");
    let mount = auth("mistaken", &role_id, "TEST_WRONG");
    let token = "method = \"token\"\ntoken = { env = \"TEST_WRONG\" }";
    let rest = source("role", address, "", &role)
        + &source("secret", address, "", &secret)
        + &source("mount", address, "", &mount)
        + &source("token", address, "", token)
        + &key("a", "role", "a");
    let said = checked(&rest, &[], &[("TEST_WRONG", "canary-wrong")]).await;
    let at = "cannot sign in: signing in at `auth/mistakes-role`: ";
    said.says("source role", &[at, "role", "(400)"]);
    said.says(
        "source secret",
        &[at, "the secret id is wrong, used up or expired (400)"],
    );
    said.says(
        "source mount",
        &["`auth/mistaken`", "is the method mounted there?"],
    );
    said.says(
        "source token",
        &["the token was refused (403)", "expired, revoked"],
    );
    assert_eq!(said.failures.len(), 4, "{:#?}", said.failures);
}
