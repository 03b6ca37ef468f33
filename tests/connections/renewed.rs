//! Certificates that are renewed on disk while the daemon runs, without a reload.

use serde_json::Value;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::support::{eventually, free_port};

/// First the server's certificate, then the file; then the other way around.
async fn follows_its_authorities(service: Service) {
    let [first, second, third] = ["first", "second", "third"].map(Authority::new);
    let mut scene = Scene::set(service, "renewed", &first).await;
    scene.start().await;

    scene.front.certificate(certificate(&second).server());
    scene.front.cut();
    scene.rotate("sk-second").await;
    scene.is_missed().await;
    scene.trust(&second);
    scene.arrives_soon("sk-second").await;

    scene.trust(&third);
    scene.front.certificate(certificate(&third).server());
    scene.front.cut();
    scene.delivers("sk-third").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_follows_its_ca_file() {
    follows_its_authorities(Service::Vault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_follows_the_bundle_of_the_system() {
    follows_its_authorities(Service::Flashback).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_follows_the_bundle_of_the_system() {
    follows_its_authorities(Service::Aws).await;
}

/// Waits until the provider was asked again, soon.
async fn asks_the_provider(front: &Front, before: usize) {
    let began = Instant::now();
    eventually("the provider is asked", || async {
        (front.came().len() > before).then_some(())
    })
    .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_follow_the_bundle_of_the_system() {
    let [first, second] = ["first", "second"].map(Authority::new);
    let provider = MockServer::start().await;
    let models = json!({"object": "list", "data": [{"id": "m", "object": "model"}]});
    Mock::given(method("GET"))
        .and(path("/v1/models"))
        .respond_with(ResponseTemplate::new(200).set_body_json(models))
        .mount(&provider)
        .await;
    let front = Front::start(&provider.uri(), certificate(&first).server()).await;
    let sandbox = sandbox(Options::default()).await;
    let rest = format!(
        "{QUICK}[keys.k]\nai_type = \"OPENAI\"\nendpoint = \"{}/v1\"\nsource = \"files\"\npath = \"k\"\n\
         verify = {{ before = \"provider\" }}\n",
        front.url()
    );
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    let bundle = rotator.path().join("ca.pem");
    std::fs::write(&bundle, first.pem()).expect("written");
    let variable = ("SSL_CERT_FILE".to_owned(), bundle.display().to_string());
    rotator.environment.push(variable);
    rotator.put("k", "sk-first");
    rotator.start();
    arrives(&sandbox, "k", "sk-first").await;
    let asked = front.came().len();
    assert!(asked > 0, "the provider was never asked");

    // The provider cannot be asked, which holds nothing back.
    front.certificate(certificate(&second).server());
    front.cut();
    rotator.put("k", "sk-second");
    arrives(&sandbox, "k", "sk-second").await;
    assert_eq!(front.came().len(), asked);

    std::fs::write(&bundle, second.pem()).expect("written");
    // A host that did not answer is left alone for a moment.
    for round in 0..20 {
        let value = format!("sk-third-{round}");
        rotator.put("k", &value);
        arrives(&sandbox, "k", &value).await;
        if front.came().len() > asked {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    asks_the_provider(&front, asked).await;
}

/// A server that demands certificates of one authority and then of another: a token that still lives
/// is of no use with the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_follows_its_client_certificate() {
    let servers = Authority::new("servers");
    let clients = ["clients-1", "clients-2"].map(Authority::new);
    let ports = [free_port(), free_port()];
    let bao = OpenBao::start_with(|directory| {
        let (certificate, key) = certificate(&servers).write(directory, "server");
        let listeners = clients.iter().zip(ports).map(|(clients, port)| {
            let ca = directory.join(format!("clients-{port}.pem"));
            std::fs::write(&ca, clients.pem()).expect("written");
            format!(
                "listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_cert_file = \"{}\"\n \
                 tls_key_file = \"{}\"\n tls_client_ca_file = \"{}\"\n \
                 tls_require_and_verify_client_cert = true\n}}\n",
                certificate.display(),
                key.display(),
                ca.display()
            )
        });
        listeners.collect()
    })
    .await;
    bao.write_policy("reader", "path \"secret/*\" { capabilities = [\"read\"] }")
        .await;
    bao.ok("POST", "sys/auth/cert", json!({"type": "cert"}))
        .await;
    for (number, clients) in clients.iter().enumerate() {
        let role = json!({
            "certificate": clients.pem(), "token_policies": "reader", "token_ttl": "1h",
        });
        bao.ok("POST", &format!("auth/cert/certs/role-{number}"), role)
            .await;
    }
    let at = |port: u16| format!("https://127.0.0.1:{port}");
    let front = Front::passing(&at(ports[0])).await;
    let sandbox = sandbox(Options::default()).await;
    let rest = format!(
        r#"{QUICK}
[sources.store]
type = "vault"
address = "{}"
ca_file = "{{dir}}/ca.pem"
[sources.store.auth]
method = "cert"
cert_file = "{{dir}}/client.pem"
key_file = "{{dir}}/client-key.pem"
[keys.k]
ai_type = "OPENAI"
source = "store"
path = "k"
"#,
        front.url()
    );
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    let directory = rotator.path().to_owned();
    std::fs::write(directory.join("ca.pem"), servers.pem()).expect("written");
    let issue = |clients: &Authority| clients.issue("rotator", &[]).write(&directory, "client");
    issue(&clients[0]);
    let put = async |value: &str| bao.put_kv2("secret", "k", json!({ "key": value })).await;
    put("sk-first").await;
    rotator.start();
    arrives(&sandbox, "k", "sk-first").await;

    front.upstream(&at(ports[1]));
    front.cut();
    put("sk-second").await;
    let away = |line: &Value| line["source"] == "store";
    rotator.event("source_unavailable", away).await;
    issue(&clients[1]);
    let began = Instant::now();
    arrives(&sandbox, "k", "sk-second").await;
    assert!(
        began.elapsed() < SOON,
        "{:?}: {}",
        began.elapsed(),
        rotator.log()
    );
}
