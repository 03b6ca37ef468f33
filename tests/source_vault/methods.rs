//! The ways to sign in, and what is logged of it.

use axum::Json;
use axum::routing::post;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

use super::*;
use crate::support::log_to;

const PATH: &str = "llm/openai";

/// A mount with a secret, a policy that reads it and an auth method, all of one name.
async fn prepare(name: &str, method: &str) -> &'static OpenBao {
    let bao = OpenBao::shared().await;
    bao.mount_kv(name, 2).await;
    bao.put_kv2(name, PATH, json!({"key": "sk-1"})).await;
    bao.write_policy(
        name,
        &format!("path \"{name}/*\" {{ capabilities = [\"read\"] }}"),
    )
    .await;
    if !method.is_empty() {
        bao.ok(
            "POST",
            &format!("sys/auth/{name}"),
            json!({ "type": method }),
        )
        .await;
    }
    bao
}

/// The words of a refusal, which must not hold what was presented.
async fn refusal(bao: &OpenBao, name: &str, credentials: VaultCredentials) -> String {
    let bench = Bench::new(config(&bao.address, name), credentials);
    let error = bench.source.connect().await.expect_err("refused");
    assert!(matches!(error, SourceError::SignIn { .. }), "{error}");
    assert!(!shown(&error).contains("canary"), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn app_role_with_and_without_a_secret_id() {
    let name = "m-approle";
    let bao = prepare(name, "").await;
    let ids = bao.app_role(name, json!({ "token_policies": name })).await;
    let bench = Bench::new(config(&bao.address, name), app_role(name, &ids));
    let said = bench.source.connect().await.expect("signed in");
    assert!(said.contains("approle") && said.contains(name), "{said}");
    assert_eq!(bench.value(PATH).await, "sk-1");

    let wrong = (ids.0.clone(), "canary".to_owned());
    let said = refusal(bao, name, app_role(name, &wrong)).await;
    assert!(
        said.contains("(400)") && said.contains("secret id"),
        "{said}"
    );
    let said = refusal(bao, name, app_role("no-such", &ids)).await;
    assert!(said.contains("auth/no-such"), "{said}");

    let role = format!("auth/{name}/role/rotator");
    let cidrs = json!({"token_policies": name, "bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.1/32"});
    bao.ok("POST", &role, cidrs).await;
    let credentials = VaultCredentials::AppRole {
        mount: name.to_owned(),
        role_id: text(&ids.0),
        secret_id: None,
    };
    let bench = Bench::new(config(&bao.address, name), credentials);
    assert_eq!(bench.value(PATH).await, "sk-1");
}

#[tokio::test]
async fn user_name_and_password() {
    let name = "m-userpass";
    let bao = prepare(name, "userpass").await;
    let user = json!({"password": "pass word", "token_policies": name});
    bao.ok("POST", &format!("auth/{name}/users/rotator"), user)
        .await;
    let credentials = |username: &str, password: &str| VaultCredentials::Userpass {
        mount: name.to_owned(),
        username: text(username),
        password: text(password),
    };
    let bench = Bench::new(
        config(&bao.address, name),
        credentials("rotator", "pass word"),
    );
    assert_eq!(bench.value(PATH).await, "sk-1");
    let said = refusal(bao, name, credentials("rotator", "canary")).await;
    assert!(said.contains("password is wrong"), "{said}");
    for odd in ["", "a/b", "..", "a\nb"] {
        refusal(bao, name, credentials(odd, "canary")).await;
    }
}

/// A JWT signed with Ed25519 (`EdDSA` in RFC 8037).
fn jwt(key: &KeyPair, claims: &Value) -> String {
    jwt_of("EdDSA", key, claims)
}

fn jwt_of(algorithm: &str, key: &KeyPair, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"});
    let header = base64url(header.to_string().as_bytes());
    let body = format!("{header}.{}", base64url(claims.to_string().as_bytes()));
    let signature = key.sign(body.as_bytes()).expect("signed");
    format!("{body}.{}", base64url(&signature))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0_u32, |sum, (i, byte)| {
            sum | u32::from(*byte) << (16 - 8 * i)
        });
        for digit in 0..=chunk.len() {
            out.push(char::from(
                DIGITS[(group >> (18 - 6 * digit)) as usize & 63],
            ));
        }
    }
    out
}

fn unix_now() -> i64 {
    chrono::Utc::now().timestamp()
}

#[tokio::test]
async fn a_jwt() {
    let name = "m-jwt";
    let bao = prepare(name, "jwt").await;
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let settings = json!({
        "jwt_validation_pubkeys": [key.public_key_pem()],
        "jwt_supported_algs": ["EdDSA"],
        "default_role": "rotator",
    });
    bao.ok("POST", &format!("auth/{name}/config"), settings)
        .await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": name,
    });
    bao.ok("POST", &format!("auth/{name}/role/rotator"), role)
        .await;
    let claims = |audience: &str| json!({"sub": "rotator", "aud": audience, "exp": unix_now() + 600, "iat": unix_now()});
    let credentials = |role: Option<&str>, jwt: String| VaultCredentials::Jwt {
        mount: name.to_owned(),
        role: role.map(str::to_owned),
        jwt: text(&jwt),
    };
    for role in [None, Some("rotator")] {
        let good = credentials(role, jwt(&key, &claims("vault")));
        let bench = Bench::new(config(&bao.address, name), good);
        assert_eq!(bench.value(PATH).await, "sk-1");
    }
    let other = jwt(&key, &claims("canary"));
    refusal(bao, name, credentials(None, other)).await;
    let stranger = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let forged = jwt(&stranger, &claims("vault"));
    let said = refusal(bao, name, credentials(None, forged)).await;
    assert!(said.contains("signature"), "{said}");
}

/// The one endpoint of the Kubernetes API the method asks: whose token is this?
async fn token_review(Json(review): Json<Value>) -> Json<Value> {
    let good = review["spec"]["token"]
        .as_str()
        .is_some_and(|token| token.split('.').count() == 3);
    Json(json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "status": {"authenticated": good, "user": {
            "username": "system:serviceaccount:llm:rotator", "uid": "uid-1",
            "groups": ["system:serviceaccounts"]}},
    }))
}

#[tokio::test]
async fn a_kubernetes_service_account() {
    let name = "m-kubernetes";
    let bao = prepare(name, "kubernetes").await;
    let reviews = axum::Router::new().route(
        "/apis/authentication.k8s.io/v1/tokenreviews",
        post(token_review),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let host = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move { axum::serve(listener, reviews).await });
    let ca = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let settings = json!({
        "kubernetes_host": host,
        "disable_local_ca_jwt": true,
        "kubernetes_ca_cert": ca.cert.pem(),
    });
    bao.ok("POST", &format!("auth/{name}/config"), settings)
        .await;
    let role = json!({
        "bound_service_account_names": "rotator", "bound_service_account_namespaces": "llm",
        "token_policies": name,
    });
    bao.ok("POST", &format!("auth/{name}/role/rotator"), role)
        .await;
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let account = |account: &str| {
        let claims = json!({
            "iss": "kubernetes/serviceaccount", "sub": format!("system:serviceaccount:llm:{account}"),
            "exp": unix_now() + 600, "iat": unix_now(),
            "kubernetes.io": {"namespace": "llm", "serviceaccount": {"name": account, "uid": "uid-1"}},
        });
        VaultCredentials::Kubernetes {
            mount: name.to_owned(),
            role: "rotator".to_owned(),
            // The method takes RSA and ECDSA alone, and leaves the signature to the Kubernetes API.
            jwt: text(&format!("{}\n", jwt_of("ES256", &key, &claims))),
        }
    };
    let bench = Bench::new(config(&bao.address, name), account("rotator"));
    assert_eq!(bench.value(PATH).await, "sk-1");
    let said = refusal(bao, name, account("canary")).await;
    assert!(
        said.contains("does not take this service account"),
        "{said}"
    );
    server.abort();
    let settings = json!({
        "kubernetes_host": format!("http://127.0.0.1:{}", crate::support::free_port()),
        "disable_local_ca_jwt": true,
        "kubernetes_ca_cert": ca.cert.pem(),
    });
    bao.ok("POST", &format!("auth/{name}/config"), settings)
        .await;
    // Where it cannot have a token reviewed, Vault says what it says of a mount without a method.
    let said = refusal(bao, name, account("rotator")).await;
    assert!(
        said.contains("(403)") && said.contains("`system:auth-delegator`"),
        "{said}"
    );
}

#[tokio::test]
async fn a_credential_that_cannot_be_one_is_refused_before_it_is_sent() {
    let bao = OpenBao::shared().await;
    for (value, word) in [
        ("", "empty"),
        ("\n", "empty"),
        ("canary canary", "white space"),
        ("canary\ncanary", "white space"),
        ("canary\u{7}", "control"),
        ("Schlüssel\u{0}canary", "control"),
    ] {
        let said = refusal(bao, "secret", token(value)).await;
        assert!(said.contains(word), "{value:?}: {said}");
    }
    let missing = VaultCredentials::Token {
        token: Arc::new(flashback_rotator::credential::FromFile("/no/such".into())),
    };
    let said = refusal(bao, "secret", missing).await;
    assert!(said.contains("/no/such"), "{said}");
}

/// Keeps what is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_sign_in_is_logged_and_a_streak_of_failures_once() {
    let name = "m-log";
    let bao = prepare(name, "").await;
    let (role_id, secret_id) = bao
        .app_role(name, json!({"token_policies": name, "token_ttl": "1h"}))
        .await;
    let credential = Changing::new("canary");
    let credentials = VaultCredentials::AppRole {
        mount: name.to_owned(),
        role_id: text(&role_id),
        secret_id: Some(credential.clone()),
    };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // While there is one dispatcher, tracing settles what is logged by the thread that comes first,
    // and that may be another test's, which logs nothing.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = log_to(subscriber);
    let bench = Bench::new(config(&bao.address, name), credentials);
    crate::support::eventually("three refused sign-ins", || async {
        bench.source.observe(PATH).await.expect_err("refused");
        (bench.calls("login") >= 3).then_some(())
    })
    .await;
    credential.set(&secret_id);
    assert_eq!(eventually_value(&bench, PATH).await, "sk-1");
    drop(guard);

    let text = String::from_utf8(log.0.lock().clone()).expect("text");
    for hidden in ["canary", "sk-1", &secret_id] {
        assert!(!text.contains(hidden), "{hidden} at TRACE");
    }
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|line| line["event"].is_string())
        .collect();
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!(events[0]["event"], "sign_in_failed");
    assert!(
        events[0]["error"]
            .as_str()
            .is_some_and(|error| error.contains("(400)"))
    );
    assert_eq!(events[1]["event"], "signed_in");
    assert_eq!(events[1]["source"], "vault");
    assert_eq!(events[1]["method"], "approle");
    assert_eq!(events[1]["ttl_seconds"], 3600);
}
