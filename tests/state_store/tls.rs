//! Encryption to PostgreSQL: what each `sslmode` lets pass, and what it does not.

use std::path::{Path, PathBuf};

use flashback_rotator::state::postgres::Postgres;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::Server;
use crate::support::postgres::{Database, config};

/// An authority and what it has signed.
struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("written");
        let issuer = Issuer::new(params, key);
        Self { directory, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate and its key, in PEM.
    fn sign(&self, names: &[&str], common_name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        (signed.pem(), key.serialize_pem())
    }
}

/// A server that encrypts, with a certificate for these names.
async fn server(authority: &Authority, names: &[&str], rules: &str) -> Server {
    let (certificate, key) = authority.sign(names, "server");
    let ca = std::fs::read_to_string(authority.path("ca.pem")).expect("read");
    let files = [
        ("server.pem", certificate.as_str()),
        ("server.key", key.as_str()),
        ("ca.pem", ca.as_str()),
    ];
    Server::encrypting(rules, &files).await
}

async fn opens(database: &Database, parameters: &str) -> Result<(), String> {
    let state = format!("url = \"{}?{parameters}\"", database.url());
    let opened = Postgres::open(&config(&state)).await;
    opened.map(drop).map_err(|error| error.to_string())
}

fn root(path: &Path, mode: &str) -> String {
    format!("sslmode={mode}&sslrootcert={}", path.display())
}

const ENCRYPTED: &str = "hostssl all all 127.0.0.1/32 trust\n";

#[tokio::test]
async fn each_sslmode_checks_the_certificate_as_asked() {
    let authority = Authority::new();
    let other = Authority::new();
    let ca = authority.path("ca.pem");
    let its_own = server(&authority, &["127.0.0.1"], ENCRYPTED).await;
    let database = its_own.database().await;
    for passes in [
        "",
        "sslmode=prefer",
        "sslmode=require",
        "channel_binding=disable",
    ] {
        assert_eq!(opens(&database, passes).await, Ok(()), "{passes}");
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(opens(&database, &root(&ca, mode)).await, Ok(()), "{mode}");
        let stranger = root(&other.path("ca.pem"), mode);
        let error = opens(&database, &stranger).await.expect_err(mode);
        assert!(error.contains("TLS handshake failed"), "{error}");
    }
    let error = opens(&database, "sslmode=verify-full").await;
    let error = error.expect_err("this machine does not know the authority");
    assert!(
        error.contains("TLS") || error.contains("no certificate authorities"),
        "{error}"
    );
    let error = opens(&database, "sslmode=disable")
        .await
        .expect_err("plain");
    assert!(error.contains("pg_hba.conf"), "{error}");
    for (file, words) in [
        ("none.pem", "there is no such file"),
        ("ca.key", "no certificate in PEM"),
    ] {
        std::fs::write(authority.path("ca.key"), "nothing").expect("written");
        let strange = root(&authority.path(file), "verify-full");
        let error = opens(&database, &strange).await.expect_err(file);
        assert!(error.contains(words), "{error}");
    }

    let anothers = server(&authority, &["db.example"], ENCRYPTED).await;
    let database = anothers.database().await;
    assert_eq!(opens(&database, &root(&ca, "verify-ca")).await, Ok(()));
    let error = opens(&database, &root(&ca, "verify-full")).await;
    let error = error.expect_err("its name is another");
    assert!(error.contains("is of another name"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_is_taken_where_nothing_else_is_asked_for() {
    let authority = Authority::new();
    let database = Server::shared().await.database().await;
    assert_eq!(opens(&database, "sslmode=prefer").await, Ok(()));
    let ca = authority.path("ca.pem");
    for mode in [
        "sslmode=require".to_owned(),
        root(&ca, "verify-ca"),
        root(&ca, "verify-full"),
    ] {
        let error = opens(&database, &mode).await.expect_err(&mode);
        assert!(error.contains("the server does not encrypt"), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_signs_in() {
    let authority = Authority::new();
    let rules = "hostssl all all 127.0.0.1/32 cert\n";
    let server = server(&authority, &["127.0.0.1"], rules).await;
    let database = server.database().await;
    let with = |cert: &Path, key: &Path| {
        let root = root(&authority.path("ca.pem"), "verify-full");
        format!("{root}&sslcert={}&sslkey={}", cert.display(), key.display())
    };
    let (cert, key) = (authority.path("client.pem"), authority.path("client.key"));
    for (user, passes) in [("somebody", false), ("rotator", true)] {
        let (signed, secret) = authority.sign(&[], user);
        std::fs::write(&cert, signed).expect("written");
        std::fs::write(&key, secret).expect("written");
        let opened = opens(&database, &with(&cert, &key)).await;
        assert_eq!(opened.is_ok(), passes, "{opened:?}");
    }
    let error = opens(&database, &with(&cert, &cert))
        .await
        .expect_err("no key");
    assert!(error.contains("no private key in PEM form"), "{error}");
}
