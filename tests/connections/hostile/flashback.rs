//! Flashback: one harm after the other, and what was held up is delivered after each.

use super::*;
use crate::support::sandbox as login;

const TIMEOUT: &str = "FLASHBACK_ROTATOR_TIMEOUT_MS";

/// Does one harm after the other to one operation of Flashback. After each, it works again.
async fn flashback(what: &str, aim: &'static str, harms: &[Harm]) {
    let sandbox = sandbox(Options::default()).await;
    let server = Hostile::before(&sandbox.url(), aim, None).await;
    // Each has a workspace of its own: what one key's list brought serves the others there.
    let keys = harms.iter().map(|harm| {
        let name = harm.name();
        format!("{}workspace_id = \"{name}\"\n", file_key(&name))
    });
    let keys: String = keys.collect();
    let mut rotator = bounded(server.url(), &format!("{QUICK}{keys}"));
    gives_up_soon(&mut rotator, TIMEOUT);
    // A list is asked for where a key has no configuration yet.
    if what != "list" {
        for harm in harms {
            rotator.put(&harm.name(), "sk-first");
        }
    }
    rotator.start();
    rotator.http().await;
    for &harm in harms.iter().filter(|_| what != "list") {
        arrives(&sandbox, &harm.name(), "sk-first").await;
    }
    for &harm in harms {
        let before = server.over().len();
        server.set(Some(harm));
        rotator.put(&harm.name(), "sk-second");
        eventually(&format!("{what}: {harm:?} is over"), || async {
            (server.over().len() > before).then_some(())
        })
        .await;
        stayed_small(&format!("{what}: {harm:?}"), &rotator);
        server.set(None);
        arrives(&sandbox, &harm.name(), "sk-second").await;
    }
    let longest = server.over().into_iter().max().unwrap_or_default();
    assert!(longest < ANSWER, "{what}: {longest:?}");
    stayed_small(what, &rotator);
    assert_eq!(rotator.exited(), None, "{what}: {}", rotator.log());
}

/// Harms the first sign-in with a password.
async fn flashback_login(harm: Harm) {
    let what = format!("login: {harm:?}");
    let sandbox = sandbox(login::options()).await;
    let server = Hostile::before(&sandbox.url(), "POST /user/login", Some(harm)).await;
    let mut rotator = bounded(server.url(), "");
    gives_up_soon(&mut rotator, TIMEOUT);
    let auth = "email = \"rotator@example.com\"\npassword = { file = \"{dir}/password\" }";
    std::fs::write(rotator.path().join("password"), login::PASSWORD).expect("written");
    rotator.configure_signing_in(server.url(), auth, &format!("{QUICK}{}", file_key("k")));
    rotator.put("k", "sk-k");
    rotator.start();
    eventually(&format!("{what} is over"), || async {
        (!server.over().is_empty()).then_some(())
    })
    .await;
    stayed_small(&what, &rotator);
    server.set(None);
    delivers(&what, &sandbox, &mut rotator, "k", "sk-k").await;
    let longest = server.over().into_iter().max().unwrap_or_default();
    assert!(longest < ANSWER, "{what}: {longest:?}");
    stayed_small(&what, &rotator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_is_waited_for_and_no_harm_done() {
    // A PUT that is answered with success and a whole body has succeeded, whatever the body is.
    let unfinished: Vec<Harm> = Harm::ALL
        .into_iter()
        .filter(|harm| harm.is_endless())
        .collect();
    tokio::join!(
        flashback("list", "GET /ai/llm", &Harm::ALL),
        flashback("update", "PUT /ai/llm/", &unfinished),
        flashback("validate", "/validate HTTP/1.1", &FEW),
        flashback_login(Harm::Endless),
        flashback_login(Harm::Headers),
        flashback_login(Harm::Drip),
    );
}
