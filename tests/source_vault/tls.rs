//! TLS with an authority of one's own, and client certificates.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::support::pki::Authority;
use crate::support::{eventually, free_port};

const PATH: &str = "llm/openai";

/// Writes `{name}.pem` and `{name}-key.pem` into the directory.
fn issue(authority: &Authority, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    authority.issue(name, &["127.0.0.1"]).write(directory, name)
}

struct Secured {
    bao: OpenBao,
    authority: Authority,
    ca_file: PathBuf,
    address: String,
}

/// A server with a second listener, on TLS.
async fn secured() -> Secured {
    let authority = Authority::new("authority");
    let port = free_port();
    let bao = OpenBao::start_with(|directory| {
        let (certificate, key) = issue(&authority, directory, "server");
        format!(
            "listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_cert_file = \"{}\"\n tls_key_file = \"{}\"\n}}",
            certificate.display(),
            key.display()
        )
    })
    .await;
    let ca_file = bao.directory.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("written");
    bao.put_kv2("secret", PATH, json!({"key": "sk-tls"})).await;
    bao.write_policy("reader", "path \"secret/*\" { capabilities = [\"read\"] }")
        .await;
    Secured {
        address: format!("https://127.0.0.1:{port}"),
        bao,
        authority,
        ca_file,
    }
}

impl Secured {
    fn config(&self, ca_file: Option<&Path>) -> VaultConfig {
        VaultConfig {
            ca_file: ca_file.map(Path::to_owned),
            ..config(&self.address, "secret")
        }
    }

    fn bench(&self, credentials: VaultCredentials) -> Bench {
        Bench::new(self.config(Some(&self.ca_file)), credentials)
    }
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let secured = secured().await;
    assert_eq!(secured.bench(token(ROOT)).value(PATH).await, "sk-tls");

    let unknown = Bench::new(secured.config(None), token(ROOT));
    let error = unknown.source.observe(PATH).await.expect_err("unknown");
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("signed by an authority that is not trusted here"),
        "{error}"
    );

    let missing = Bench::new(secured.config(Some(Path::new("/no/ca.pem"))), token(ROOT));
    let error = missing.source.observe(PATH).await.expect_err("no file");
    assert!(error.to_string().contains("/no/ca.pem"), "{error}");

    let odd = secured.bao.directory.path().join("odd.pem");
    std::fs::write(&odd, "canary").expect("written");
    let odd = Bench::new(secured.config(Some(&odd)), token(ROOT));
    let error = odd.source.observe(PATH).await.expect_err("no certificate");
    assert!(error.to_string().contains("ca_file"), "{error}");
    assert!(!shown(&error).contains("canary"));
}

#[tokio::test]
async fn a_client_certificate_signs_in_and_its_successor_too() {
    let secured = secured().await;
    let bao = &secured.bao;
    bao.ok("POST", "sys/auth/cert", json!({"type": "cert"}))
        .await;
    let clients = Authority::new("clients");
    for name in ["rotator", "another"] {
        let role = json!({
            "certificate": clients.pem(), "allowed_common_names": name,
            "token_policies": "reader", "token_ttl": "3s", "token_type": "batch",
        });
        bao.ok("POST", &format!("auth/cert/certs/{name}"), role)
            .await;
    }
    let directory = bao.directory.path();
    let (cert_file, key_file) = issue(&clients, directory, "rotator");
    let credentials = |role: Option<&str>| VaultCredentials::Cert {
        mount: "cert".to_owned(),
        role: role.map(str::to_owned),
        cert_file: cert_file.clone(),
        key_file: key_file.clone(),
    };
    let any = secured.bench(credentials(None));
    assert_eq!(any.value(PATH).await, "sk-tls");
    let named = secured.bench(credentials(Some("rotator")));
    assert_eq!(named.value(PATH).await, "sk-tls");
    let other = secured.bench(credentials(Some("another")));
    let error = other
        .source
        .observe(PATH)
        .await
        .expect_err("another's role");
    assert!(matches!(error, SourceError::SignIn { .. }), "{error}");

    issue(&clients, directory, "rotator");
    eventually("a sign-in with the new certificate", || async {
        (named.calls("login") >= 3).then_some(())
    })
    .await;
    assert_eq!(named.value(PATH).await, "sk-tls");

    issue(&secured.authority, directory, "rotator");
    let stranger = secured.bench(credentials(None));
    let error = stranger.source.observe(PATH).await.expect_err("a stranger");
    assert!(matches!(error, SourceError::SignIn { .. }), "{error}");
    std::fs::write(&key_file, "canary").expect("written");
    let error = secured.bench(credentials(None)).source.observe(PATH).await;
    let error = error.expect_err("no key");
    assert!(error.to_string().contains("key_file"), "{error}");
    assert!(!shown(&error).contains("canary"));
}
