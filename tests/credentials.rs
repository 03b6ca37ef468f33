//! Promise 6: the rotator keeps its own credentials current.

use flashback_rotator::flashback::sandbox::{Account, Operation, Options};
use flashback_rotator::secret::Secret;
use serde_json::json;

use crate::support::configuration::{Configuration, TOKEN_IN_VARIABLE, key, vault};
use crate::support::openbao::OpenBao;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_file_is_picked_up() {
    let options = Options {
        token: Some(secret("first")),
        ..Options::default()
    };
    let sandbox = sandbox(options).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    std::fs::write(rotator.path().join("token"), "first\n").expect("written");
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;

    sandbox.replace_token(Some(secret("second")));
    rotator.put("a", "sk-two");
    rotator.event("sign_in_failed", |_| true).await;
    std::fs::write(rotator.path().join("token"), "second\n").expect("written");
    arrives(&sandbox, "a", "sk-two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_tokens_are_renewed_and_a_401_signs_in_again() {
    let account = Account {
        email: secret("me@example.com"),
        password: secret("right"),
    };
    let sandbox = sandbox(Options {
        account: Some(account),
        ..Options::default()
    })
    .await;
    sandbox.change(|switches| switches.token_life_ms = 2_000);
    let mut rotator = Rotator::new(&sandbox.url(), "");
    std::fs::write(rotator.path().join("password"), "right").expect("written");
    rotator.configure_signing_in(
        &sandbox.url(),
        r#"email = "me@example.com"
password = { file = "{dir}/password" }"#,
        &format!("{QUICK}{}", file_key("a")),
    );
    rotator.put("a", "sk-0");
    rotator.start();
    arrives(&sandbox, "a", "sk-0").await;
    for round in 1..=4 {
        if round == 3 {
            sandbox.revoke_access();
            sandbox.revoke_refresh();
        }
        rotator.put("a", &format!("sk-{round}"));
        arrives(&sandbox, "a", &format!("sk-{round}")).await;
    }
    assert_eq!(
        rotator.count("push_retrying"),
        0,
        "a 401 is repeated at once"
    );
    let logins = sandbox
        .journal()
        .iter()
        .filter(|e| e.operation == Operation::Login)
        .count();
    assert!((1..=6).contains(&logins), "{logins} logins");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashbacks_token_can_come_from_a_source() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("own-credentials", 2).await;
    bao.put_kv2(
        "own-credentials",
        "flashback",
        json!({"token": "from-vault"}),
    )
    .await;
    bao.put_kv2("own-credentials", "llm", json!({"api_key": "sk-one"}))
        .await;
    let options = Options {
        token: Some(secret("from-vault")),
        ..Options::default()
    };
    let sandbox = sandbox(options).await;
    let mut rotator = Rotator::new(&sandbox.url(), "");
    let mount = "mount = \"own-credentials\"";
    let configuration = Configuration::new(&sandbox.url())
        .auth(r#"token = { source = "vault", path = "flashback", field = "token" }"#)
        .and(vault("vault", &bao.address, mount, TOKEN_IN_VARIABLE))
        .and(key("a", "vault", "llm"))
        .and(QUICK);
    rotator.write_config(&configuration.text());
    rotator
        .environment
        .push(("TEST_BAO_TOKEN".into(), "root".into()));
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;

    sandbox.replace_token(Some(secret("next")));
    bao.put_kv2("own-credentials", "flashback", json!({"token": "next"}))
        .await;
    bao.put_kv2("own-credentials", "llm", json!({"api_key": "sk-two"}))
        .await;
    arrives(&sandbox, "a", "sk-two").await;
}
