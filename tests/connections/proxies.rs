//! Which calls go through a proxy, and which never do. Each test has a network to itself, in which nothing
//! but the loopback device is.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::support::configuration::{self, key, token_in, vault};
use crate::support::namespaces::alone_in_a_network;
use crate::support::rotator::file_key;
use crate::support::{eventually, free_port};

/// Where a container's and an instance's credentials are.
const CONTAINER: &str = "169.254.170.23";
const INSTANCE: &str = "169.254.169.254";

/// A proxy that notes what it is asked, and refuses it.
struct Recorder {
    url: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let noted = Arc::clone(&noted);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 << 10];
                    let length = client.read(&mut buffer).await.unwrap_or_default();
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    noted.lock().push(line);
                    let refusal =
                        b"HTTP/1.1 502 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    let _ = client.write_all(refusal).await;
                });
            }
        });
        Self { url, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Whether it was asked for this.
    fn has(&self, start: &str) -> bool {
        self.lines().iter().any(|line| line.starts_with(start))
    }
}

/// Every variable there is that names a proxy.
fn every_variable(proxy: &str) -> Vec<(String, String)> {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let both = names
        .iter()
        .flat_map(|name| [(*name).to_owned(), name.to_lowercase()]);
    both.map(|name| (name, proxy.to_owned())).collect()
}

/// This test's name, for [`alone_in_a_network`].
fn here(name: &str) -> String {
    format!("connections::proxies::{name}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_and_link_local_addresses_never_use_one() {
    let name = here("loopback_and_link_local_addresses_never_use_one");
    if !alone_in_a_network(&name, &[CONTAINER, INSTANCE]) {
        return;
    }
    let proxy = Recorder::start().await;
    let sandbox = sandbox(Options::default()).await;
    let port = free_port();
    let bao = OpenBao::start_with(|_| {
        format!("listener \"tcp\" {{\n address = \"[::1]:{port}\"\n tls_disable = true\n}}\n")
    })
    .await;
    let aws = Aws::start(Emulator::Ministack).await;
    let provider = MockServer::start().await;
    let models = json!({"object": "list", "data": [{"id": "m", "object": "model"}]});
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(models))
        .mount(&provider)
        .await;
    let container = std::net::TcpListener::bind((CONTAINER, 80)).expect("the address is here");
    let container = MockServer::builder().listener(container).start().await;
    let given = json!({
        "AccessKeyId": "test", "SecretAccessKey": "test", "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    });
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(given))
        .mount(&container)
        .await;
    let instance = format!("{INSTANCE}:80").parse().expect("an address");
    let _instance = Front::listen(instance, aws.url(), None).await;

    let localhost = bao.address.replace("127.0.0.1", "localhost");
    let addresses = [&*bao.address, &localhost, &format!("http://[::1]:{port}")];
    let mut rest = QUICK.to_owned();
    for (number, address) in addresses.into_iter().enumerate() {
        let id = format!("vault-{number}");
        rest += &vault(&id, address, "", &token_in("root"));
        rest += &key(&id, &id, &id);
        bao.put_kv2("secret", &id, json!({"key": "sk-vault"})).await;
    }
    rest += &configuration::aws("aws", aws.url());
    rest += &key("aws", "aws", "aws");
    aws.create("aws", "sk-aws").await;
    rest += &file_key("probed");
    rest += &format!(
        "endpoint = \"{}/v1\"\nverify = {{ before = \"provider\" }}\n",
        provider.uri()
    );

    let local = Front::passing(&container.uri()).await;
    let on_loopback = format!("http://{}", local.address());
    let uri = |host: &str| {
        let uri = format!("{host}/v1/credentials");
        vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), uri)]
    };
    for (what, credentials) in [
        ("a container", uri(&format!("http://{CONTAINER}"))),
        ("a container on loopback", uri(&on_loopback)),
        ("an instance", Vec::new()),
    ] {
        let mut rotator = Rotator::new(&sandbox.url(), &rest);
        std::fs::write(rotator.path().join("root"), ROOT).expect("written");
        rotator.environment = [every_variable(&proxy.url), credentials].concat();
        let value = format!("sk-probed-{}", what.replace(' ', "-"));
        let asked = provider.received_requests().await.expect("kept").len();
        rotator.put("probed", &value);
        rotator.start();
        rotator.ready().await;
        for number in 0..3 {
            arrives(&sandbox, &format!("vault-{number}"), "sk-vault").await;
        }
        arrives(&sandbox, "aws", "sk-aws").await;
        arrives(&sandbox, "probed", &value).await;
        let signed_in = |line: &serde_json::Value| line["source"] == "aws";
        rotator.event("signed_in", signed_in).await;
        assert!(
            provider.received_requests().await.expect("kept").len() > asked,
            "{what}"
        );
        assert_eq!(proxy.lines(), Vec::<String>::new(), "{what}");
        assert_eq!(
            rotator.count("source_unavailable"),
            0,
            "{what}: {}",
            rotator.log()
        );
    }
}

/// The hosts that are asked for, and how the proxy is asked for each.
const HOSTS: [(&str, &str); 5] = [
    ("http://vault.test:8200", "GET http://vault.test:8200/v1/"),
    ("https://vaults.test:8200", "CONNECT vaults.test:8200 "),
    ("https://aws.test", "CONNECT aws.test:443 "),
    ("https://flashback.test", "CONNECT flashback.test:443 "),
    ("https://provider.test", "CONNECT provider.test:443 "),
];

/// Two daemons: one whose Flashback is elsewhere, and one that gets as far as asking a provider.
fn elsewhere(sandbox: &Sandbox) -> [Rotator; 2] {
    let [plain, secure, in_aws, flashback, provider] = HOSTS.map(|(url, _)| url);
    let mut rest = QUICK.to_owned();
    for (id, url) in [("vault", plain), ("vaults", secure)] {
        rest += &vault(id, url, "", &token_in("root"));
    }
    rest += &aws("aws", in_aws);
    for id in ["vault", "vaults", "aws"] {
        rest += &key(id, id, "k");
    }
    rest += &file_key("k");
    let far = Rotator::new(flashback, &rest);
    std::fs::write(far.path().join("root"), ROOT).expect("written");
    let probed = format!("endpoint = \"{provider}/v1\"\nverify = {{ before = \"provider\" }}\n");
    let near = Rotator::new(&sandbox.url(), &format!("{QUICK}{}{probed}", file_key("k")));
    let mut both = [far, near];
    for rotator in &mut both {
        rotator.environment.extend(aws_credentials());
        rotator.put("k", "sk-k");
    }
    both
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_hosts_use_the_one_that_a_variable_names() {
    if !alone_in_a_network(&here("other_hosts_use_the_one_that_a_variable_names"), &[]) {
        return;
    }
    let sandbox = sandbox(Options::default()).await;
    for names in [
        &["HTTP_PROXY", "HTTPS_PROXY"][..],
        &["http_proxy", "https_proxy"],
        &["ALL_PROXY"],
        &["all_proxy"],
    ] {
        let proxy = Recorder::start().await;
        let mut both = elsewhere(&sandbox);
        for rotator in &mut both {
            let variables = names
                .iter()
                .map(|name| ((*name).to_owned(), proxy.url.clone()));
            rotator.environment.extend(variables);
            rotator.start();
        }
        for (_, line) in HOSTS {
            eventually(&format!("{names:?}: {line}"), || async {
                proxy.has(line).then_some(())
            })
            .await;
        }
        let local = proxy
            .lines()
            .into_iter()
            .find(|line| line.contains("127.0.0.1"));
        assert_eq!(local, None, "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_is_honoured() {
    if !alone_in_a_network(&here("no_proxy_is_honoured"), &[]) {
        return;
    }
    let sandbox = sandbox(Options::default()).await;
    for (name, value, passed) in [
        ("NO_PROXY", "vaults.test,aws.test", &["vaults", "aws"][..]),
        ("no_proxy", "other.test, .vaults.test", &["vaults"]),
        ("NO_PROXY", "test", &["vault", "vaults", "aws"]),
        ("NO_PROXY", "*", &["vault", "vaults", "aws"]),
    ] {
        let proxy = Recorder::start().await;
        let [mut rotator, _] = elsewhere(&sandbox);
        rotator.environment.extend(every_variable(&proxy.url));
        rotator
            .environment
            .push((name.to_owned(), value.to_owned()));
        rotator.start();
        for id in ["vault", "vaults", "aws"] {
            // Past the proxy the name is nowhere; through it, there is an answer that is none.
            let away = |line: &serde_json::Value| line["source"] == id;
            rotator.event("source_unavailable", away).await;
            let seen = proxy
                .lines()
                .iter()
                .any(|line| line.contains(&format!("{id}.test")));
            assert_eq!(
                seen,
                !passed.contains(&id),
                "{name}={value}: {id}: {:?}",
                proxy.lines()
            );
        }
    }
}
