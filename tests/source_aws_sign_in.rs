//! How the `aws-secrets-manager` source comes by its credentials, and keeps them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader};
use flashback_rotator::model::{Observation, SourceId};
use flashback_rotator::source::aws::{AwsConfig, AwsSource};
use flashback_rotator::source::{Source, SourceError};
use parking_lot::Mutex;
use wiremock::matchers::{body_string_contains, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::aws::{Aws, BOTH, Emulator, REGION, administrator, loader_at};
use crate::support::log_to;
use crate::support::upstreams::{Bench, upstream};

/// The standard chain, reading this profile file and no other; instance metadata is nowhere.
#[expect(
    deprecated,
    reason = "the names in their place are in a crate that the SDK keeps for itself"
)]
fn chain(file: &Path) -> ConfigLoader {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
    let files = ProfileFiles::builder()
        .with_file(ProfileFileKind::Config, file)
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12()).profile_files(files)
}

struct Profile {
    home: tempfile::TempDir,
}

impl Profile {
    /// A profile file that sends everything to `url`.
    fn new(url: &str, lines: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let profile = Self { home };
        profile.write(url, lines);
        profile
    }

    fn write(&self, url: &str, lines: &[(&str, &str)]) {
        let mut text = format!(
            "[default]\nregion = {REGION}\nendpoint_url = {url}\n\
             ec2_metadata_service_endpoint = http://127.0.0.1:1\n"
        );
        for (name, value) in lines {
            writeln!(text, "{name} = {value}").expect("written");
        }
        fs::write(self.file(), text).expect("written");
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("config")
    }

    fn source(&self, config: AwsConfig) -> AwsSource {
        let file = self.file();
        AwsSource::with_loader(SourceId::new("aws"), config, upstream("aws"), move || {
            chain(&file)
        })
    }
}

fn is_sign_in(error: &SourceError, word: &str) {
    assert!(matches!(error, SourceError::SignIn { .. }), "{error:?}");
    assert!(error.to_string().contains(word), "{error}");
}

/// Looks until the source is no longer held back by its last failure.
async fn observe(source: &AwsSource, path: &str) -> Result<Observation, SourceError> {
    crate::support::eventually("the source may be asked", async || {
        let looked = source.observe(path).await;
        (!matches!(looked, Err(SourceError::CircuitOpen { .. }))).then_some(looked)
    })
    .await
}

#[tokio::test]
async fn a_role_is_assumed_on_both() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        aws.create("role/assumed", "value").await;
        let config = AwsConfig {
            assume_role_arn: Some(aws.role("rotator").await),
            external_id: Some("flashback".to_owned()),
            ..AwsConfig::default()
        };
        let source = aws.source(config, administrator());
        let line = source.connect().await.expect("signed in");
        assert!(line.contains("role/rotator"), "{line}");
        assert!(line.contains(REGION), "{line}");
        source.observe("role/assumed").await.expect("looked");
    }
}

/// `endpoint_url` is not where STS is.
#[tokio::test]
async fn a_role_is_asked_for_with_its_external_id_and_a_name() {
    let aws = Aws::shared(Emulator::Ministack).await;
    aws.create("role/named", "value").await;
    let sts = MockServer::start().await;
    let answer = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>test</AccessKeyId>\
        <SecretAccessKey>test</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    Mock::given(method("POST"))
        .and(body_string_contains("Action=AssumeRole&"))
        .and(body_string_contains("RoleSessionName=flashback-rotator"))
        .and(body_string_contains("ExternalId=our-id"))
        .respond_with(ResponseTemplate::new(200).set_body_string(answer))
        .expect(1..)
        .mount(&sts)
        .await;
    let config = AwsConfig {
        assume_role_arn: Some("arn:aws:iam::000000000000:role/r".to_owned()),
        external_id: Some("our-id".to_owned()),
        endpoint_url: Some(aws.url().to_owned()),
        ..AwsConfig::default()
    };
    let url = sts.uri();
    let source = AwsSource::with_loader(SourceId::new("aws"), config, upstream("aws"), move || {
        loader_at(&url).credentials_provider(administrator())
    });
    source.observe("role/named").await.expect("looked");
}

#[tokio::test]
async fn a_refused_role_is_said_so() {
    let sts = MockServer::start().await;
    let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
        <Message>canary is not authorized</Message></Error></ErrorResponse>";
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(403).set_body_string(refused))
        .mount(&sts)
        .await;
    let source = assuming(&sts);
    let error = observe(&source, "any").await.expect_err("refused");
    is_sign_in(&error, "AccessDenied");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn web_identity_works() {
    let aws = Aws::shared(Emulator::Moto).await;
    aws.create("web/identity", "value").await;
    let role = aws.role("web").await;
    let home = tempfile::tempdir().expect("a directory");
    let token = home.path().join("token");
    fs::write(&token, "header.payload.signature").expect("written");
    let token = token.display().to_string();
    let lines = [("role_arn", &*role), ("web_identity_token_file", &*token)];
    let profile = Profile::new(aws.url(), &lines);
    let source = profile.source(AwsConfig::default());
    source.observe("web/identity").await.expect("looked");
}

#[tokio::test]
async fn instance_metadata_works() {
    let aws = Aws::shared(Emulator::Ministack).await;
    aws.create("instance/metadata", "value").await;
    let lines = [("ec2_metadata_service_endpoint", aws.url())];
    let profile = Profile::new(aws.url(), &lines);
    let source = profile.source(AwsConfig::default());
    source.observe("instance/metadata").await.expect("looked");
}

#[tokio::test]
async fn an_answer_of_sts_that_is_not_the_protocols_shows_nothing_of_itself() {
    for body in [
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId>\
         <SecretAccessKey>canary</SecretAccessKey><SessionToken>canary</SessionToken>\
         <Expiration>canary</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        "canary",
    ] {
        let sts = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&sts)
            .await;
        let source = assuming(&sts);
        let error = observe(&source, "any").await.expect_err("unusable");
        is_sign_in(&error, "no usable answer");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

/// A source that assumes a role at this STS.
fn assuming(sts: &MockServer) -> AwsSource {
    let config = AwsConfig {
        assume_role_arn: Some("arn:aws:iam::000000000000:role/r".to_owned()),
        ..AwsConfig::default()
    };
    let url = sts.uri();
    AwsSource::with_loader(SourceId::new("aws"), config, upstream("aws"), move || {
        loader_at(&url).credentials_provider(administrator())
    })
}

#[tokio::test]
async fn a_named_profile_is_used_and_a_missing_one_named() {
    let aws = Aws::shared(Emulator::Moto).await;
    aws.create("named/profile", "value").await;
    let lines = [
        ("[profile other]\nregion", REGION),
        ("endpoint_url", aws.url()),
        ("aws_access_key_id", "test"),
        ("aws_secret_access_key", "test"),
    ];
    let profile = Profile::new("http://127.0.0.1:1", &lines);
    let named = |name: &str| AwsConfig {
        profile: Some(name.to_owned()),
        ..AwsConfig::default()
    };
    let source = profile.source(named("other"));
    source.observe("named/profile").await.expect("looked");
    let error = profile.source(named("absent")).observe("any").await;
    let error = error.expect_err("no such profile");
    assert!(matches!(error, SourceError::SignIn { .. }), "{error:?}");
}

#[tokio::test]
async fn no_credentials_and_no_region_are_said_so() {
    let profile = Profile::new("http://127.0.0.1:1", &[]);
    let source = profile.source(AwsConfig::default());
    is_sign_in(
        &observe(&source, "any").await.expect_err("none"),
        "no AWS credentials",
    );
    let error = source.connect().await.expect_err("none");
    assert!(matches!(
        error,
        SourceError::SignIn { .. } | SourceError::CircuitOpen { .. }
    ));
    fs::write(
        profile.file(),
        "[default]\nec2_metadata_service_endpoint = http://127.0.0.1:1\n",
    )
    .expect("written");
    let source = profile.source(AwsConfig::default());
    is_sign_in(
        &observe(&source, "any").await.expect_err("none"),
        "no AWS region",
    );
}

/// The chain remembers the files it has read: a source must not.
#[tokio::test]
async fn rotated_credentials_are_picked_up_and_each_change_is_logged_once() {
    let aws = Aws::start_strict(Emulator::Ministack).await;
    aws.create("rotated/credentials", "value").await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}]}"#;
    let user = aws.user("rotated", policy).await;
    let keys = |id: &str, secret: &str| {
        [
            ("aws_access_key_id", id.to_owned()),
            ("aws_secret_access_key", secret.to_owned()),
        ]
    };
    let write = |profile: &Profile, keys: [(&str, String); 2]| {
        let lines = keys.each_ref().map(|(name, value)| (*name, value.as_str()));
        profile.write(aws.url(), &lines);
    };
    let profile = Profile::new(aws.url(), &[]);
    write(&profile, keys("AKIAGONE", "canary"));
    let (
        Bench {
            upstream, metrics, ..
        },
        file,
    ) = (Bench::new("aws", Duration::from_secs(30)), profile.file());
    let source = AwsSource::with_loader(
        SourceId::new("aws"),
        AwsConfig::default(),
        upstream,
        move || chain(&file),
    );
    let measured = |series: &str| {
        let text = metrics.render();
        assert!(
            text.contains(&format!("flashback_rotator_{series}\n")),
            "{text}"
        );
    };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter("flashback_rotator=trace")
        .with_writer(move || writer.clone())
        .finish();
    let _guard = log_to(subscriber);

    let path = "rotated/credentials";
    for _ in 0..3 {
        let error = observe(&source, path).await.expect_err("unknown");
        is_sign_in(&error, "UnrecognizedClientException");
    }
    write(&profile, keys(user.access_key_id(), "wrong-canary"));
    let error = observe(&source, path).await.expect_err("wrong");
    is_sign_in(&error, "InvalidSignatureException");
    measured("signed_in{service=\"aws\"} 0");
    write(
        &profile,
        keys(user.access_key_id(), user.secret_access_key()),
    );
    for _ in 0..3 {
        observe(&source, path).await.expect("picked up");
    }
    // Revoked while in use, with the next pair already there: nobody notices.
    let named = [("UserName", "rotated")];
    let next = aws.query("iam", "CreateAccessKey", &named).await;
    let part = |name: &str| crate::support::aws::tag(&next, name);
    write(
        &profile,
        keys(&part("AccessKeyId"), &part("SecretAccessKey")),
    );
    let revoked = [named[0], ("AccessKeyId", user.access_key_id())];
    aws.query("iam", "DeleteAccessKey", &revoked).await;
    source
        .observe(path)
        .await
        .expect("signed in again by itself");

    measured("signed_in{service=\"aws\"} 1");
    measured("sign_ins_total{service=\"aws\",outcome=\"succeeded\"} 1");
    let log = log.text();
    assert_eq!(log.matches("sign_in_failed").count(), 1, "{log}");
    assert_eq!(log.matches("\"signed_in\"").count(), 1, "{log}");
    assert!(log.contains("\"source\":\"aws\""), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test]
async fn the_settings_are_loaded_once_for_many_and_not_before_they_are_needed() {
    let aws = Aws::shared(Emulator::Moto).await;
    aws.create("loaded/once", "value").await;
    let loads = Arc::new(AtomicUsize::new(0));
    let (url, counter) = (aws.url().to_owned(), loads.clone());
    let config = AwsConfig::default();
    let source = AwsSource::with_loader(SourceId::new("aws"), config, upstream("aws"), move || {
        counter.fetch_add(1, Ordering::SeqCst);
        loader_at(&url).credentials_provider(administrator())
    });
    assert_eq!(loads.load(Ordering::SeqCst), 0);
    let looks = (0..20).map(|_| source.observe("loaded/once"));
    for looked in futures_util::future::join_all(looks).await {
        looked.expect("looked");
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("UTF-8")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
