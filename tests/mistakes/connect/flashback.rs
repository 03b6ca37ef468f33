//! `base_url` leads elsewhere, or nowhere.

use futures_util::future::join_all;

use super::{Said, Website, key};
use crate::support::front::Front;
use crate::support::openbao::OpenBao;
use crate::support::pki::Authority;
use crate::support::rotator::{QUICK, Rotator, sandbox};
use crate::support::{eventually, free_port};
use flashback_rotator::flashback::sandbox::Options;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_what_answers_at_base_url() {
    let (bao, site) = (OpenBao::shared().await, Website::start().await);
    let vault = bao.address.clone();
    let cases = [
        (vault.clone(), "it answered 404 as Vault and OpenBao do"),
        (
            format!("{vault}/v1"),
            "it answered 403 as Vault and OpenBao do",
        ),
        (site.url.clone(), "it answered 200 with a page of HTML"),
        (
            format!("{}/elsewhere", site.url),
            "it answered 404 with a page of HTML",
        ),
        (
            format!("{}/other", site.url),
            "is not a Flashback: it answered ",
        ),
    ];
    let runs = cases.map(async |(url, words)| {
        let rotator = Rotator::new(&url, &key("a", "files", "a"));
        rotator.put("a", "sk-canary");
        let said = Said::by(&rotator, &[]).await;
        assert_eq!(said.code, Some(1));
        said.says("Flashback", &[&url, words, "check base_url"]);
        assert_eq!(said.failures.len(), 1, "{:?}", said.failures);
        assert!(said.row("key a").contains("ok"));
    });
    join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_why_there_is_no_connection_to_flashback() {
    let sandbox = sandbox(Options::default()).await;
    let (known, stranger) = (Authority::new("known"), Authority::new("stranger"));
    let names = &["127.0.0.1"];
    let fine = Front::start(&sandbox.url(), known.issue("fine", names).server()).await;
    let expired = known.issue_expired("expired", names).server();
    let expired = Front::start(&sandbox.url(), expired).await;
    let misnamed = known.issue("misnamed", &["flashback.test"]).server();
    let misnamed = Front::start(&sandbox.url(), misnamed).await;
    let foreign = Front::start(&sandbox.url(), stranger.issue("foreign", names).server()).await;
    let cases: [(String, &[&str]); 7] = [
        (
            "https://flashback.invalid".to_owned(),
            &["cannot resolve flashback.invalid ("],
        ),
        (
            format!("http://127.0.0.1:{}", free_port()),
            &["connection refused: is the server running"],
        ),
        (
            sandbox.url().replace("http:", "https:"),
            &["what answers there does not speak TLS", "`http://`"],
        ),
        (
            fine.url().replace("https:", "http:"),
            &["what answers there does not speak HTTP", "`https://`"],
        ),
        (expired.url(), &["the server's certificate has expired"]),
        (
            misnamed.url(),
            &["the server's certificate is of another name"],
        ),
        (
            foreign.url(),
            &[
                "signed by an authority that is not trusted here",
                "SSL_CERT_FILE",
            ],
        ),
    ];
    let runs = cases.map(async |(url, words)| {
        let mut rotator = Rotator::new(&url, &key("a", "files", "a"));
        rotator.put("a", "sk-canary");
        let file = rotator.path().join("ca.pem");
        std::fs::write(&file, known.pem()).expect("written");
        let trusted = ("SSL_CERT_FILE".to_owned(), file.display().to_string());
        rotator.environment = vec![trusted];
        let said = Said::by(&rotator, &[]).await;
        assert_eq!(said.code, Some(1));
        said.says("Flashback", words);
        assert_eq!(said.failures.len(), 1, "{:?}", said.failures);
    });
    join_all(runs).await;
}

/// The daemon's log and `status` say the same of what answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_says_what_answers_and_what_cannot_be_resolved() {
    let bao = OpenBao::shared().await;
    let away = "[sources.away]\ntype = \"vault\"\naddress = \"https://vault.invalid:8200\"\n\
                [sources.away.auth]\nmethod = \"token\"\ntoken = { file = \"{dir}/token\" }\n";
    let rest = format!(
        "{QUICK}{away}{}{}",
        key("a", "files", "a"),
        key("b", "away", "b")
    );
    let mut rotator = Rotator::new(&bao.address, &rest);
    rotator.put("a", "sk-canary");
    rotator.start();
    let says = |line: &serde_json::Value, words: &str| {
        let error = line["error"].as_str();
        error.is_some_and(|error| error.contains(words))
    };
    let vault = "what answered is not Flashback: 404 as Vault and OpenBao do";
    rotator
        .event("push_retrying", |line| says(line, vault))
        .await;
    let unresolved = "cannot resolve vault.invalid";
    rotator
        .event("source_unavailable", |line| says(line, unresolved))
        .await;
    eventually("`status` says so, too", || async {
        let status = rotator.json(&["status"]).await;
        let has = |key: usize, words| says(&status["keys"][key], words);
        (has(0, vault) && has(1, unresolved)).then_some(())
    })
    .await;
    assert!(!rotator.log().contains("canary"));
}

#[tokio::test]
async fn a_state_whose_host_is_unknown_is_said_so() {
    let rotator = Rotator::new("https://flashback.invalid", &key("a", "files", "a"));
    let config = std::fs::read_to_string(rotator.config()).expect("a configuration");
    let state = config.lines().find(|line| line.starts_with("url = "));
    let postgres = "url = \"postgres://rotator@db.invalid/rotator\"";
    rotator.write_config(&config.replace(state.expect("a state"), postgres));
    let output = rotator.command(&["status"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot resolve db.invalid ("), "{said}");
}
