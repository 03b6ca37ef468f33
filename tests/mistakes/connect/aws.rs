//! AWS in a region that is not there, with credentials that are not taken, or asked for what it does not have;
//! on two emulators.

use serde_json::json;
use wiremock::matchers::{any, header};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Website, checked, key};
use crate::support::aws::{Aws, BOTH, Emulator, REGION};
use crate::support::free_port;

const OWNER: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

fn source(id: &str, region: &str, settings: &str) -> String {
    format!("[sources.{id}]\ntype = \"aws-secrets-manager\"\nregion = \"{region}\"\n{settings}\n")
}

fn at(url: &str) -> String {
    format!("endpoint_url = \"{url}\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_or_an_endpoint_that_is_wrong_is_named() {
    let site = Website::start().await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let rest = source("region", "eu-wst-1", "")
        + &source("nobody", REGION, &at(&nobody))
        + &source("host", REGION, &at("https://aws.invalid"))
        + &source("site", REGION, &at(&site.url));
    let keys = ["region", "nobody", "host", "site"].map(|id| {
        let [a, b] = ["a", "b"].map(|name| key(&format!("{id}-{name}"), id, name));
        a + &b
    });
    let said = checked(&(rest + &keys.concat()), &[], &OWNER).await;
    assert_eq!(said.code, Some(1));
    let unresolved = "cannot resolve secretsmanager.eu-wst-1.amazonaws.com: is there a region";
    said.says("source region", &[unresolved, "`eu-wst-1`?"]);
    said.says("source nobody", &["connection refused: is the server"]);
    said.says("source host", &["cannot resolve aws.invalid ("]);
    said.says("source site", &["a page of HTML: is `endpoint_url` AWS's?"]);
    assert_eq!(said.failures.len(), 4, "{:#?}", said.failures);
    assert!(said.row("2 keys of site").contains("not checked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config");
    std::fs::write(&file, "[profile other]\nregion = us-east-1\n").expect("written");
    let file = file.display().to_string();
    let environment = [
        ("AWS_CONFIG_FILE", &*file),
        ("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let rest = source("absent", REGION, "profile = \"absent\"")
        + &source("empty", REGION, "profile = \"other\"")
        + &key("a", "absent", "a");
    let said = checked(&rest, &[], &environment).await;
    let words = "is not in the shared configuration files, or has none";
    for (id, profile) in [("absent", "`absent`"), ("empty", "`other`")] {
        let source = format!("source {id}");
        said.says(
            &source,
            &["no AWS credentials: the profile", profile, words],
        );
    }
    assert_eq!(said.failures.len(), 2, "{:#?}", said.failures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_well_once_aws_has_said_whose_the_credentials_are() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let name = |name: &str| format!("mistakes/{emulator:?}/{name}");
        aws.create(&name("there"), "sk-canary").await;
        aws.create(&name("leaving"), "sk-canary").await;
        aws.delete(&name("leaving"), false).await;
        let rest = source("aws", REGION, &at(aws.url()))
            + &key("there", "aws", &name("there"))
            + &key("leaving", "aws", &name("leaving"))
            + &key("absent", "aws", &name("absent"));
        let said = checked(&rest, &[], &OWNER).await;
        let row = said.row("source aws");
        assert!(row.contains("ok") && row.contains("account "), "{row}");
        assert!(said.row("key there").contains("version "));
        said.says("key leaving", &["scheduled for deletion", "restore-secret"]);
        let absent = format!("`{}`", name("absent"));
        let region = format!("asks in the region `{REGION}`");
        said.says("key absent", &["no secret at this path", &absent, &region]);
        assert_eq!(said.failures.len(), 2, "{:#?}", said.failures);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_aws_does_not_take_are_said_so_of_the_source() {
    let aws = Aws::start_strict(Emulator::Ministack).await;
    aws.create("mistakes/other", "sk-canary").await;
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "secretsmanager:DescribeSecret", "Resource": "*"}]});
    let user = aws.user("mistakes", &policy.to_string()).await;
    let rest = source("aws", REGION, &at(aws.url())) + &key("a", "aws", "mistakes/other");
    let with = |id, secret| [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
    let (id, secret) = (user.access_key_id(), user.secret_access_key());
    for (credentials, words) in [
        (
            with("AKIAGONE", "canary"),
            "AWS refused the credentials (InvalidClientTokenId): there is no such access key",
        ),
        (
            with(id, "canary"),
            "(SignatureDoesNotMatch): the secret access key does not belong to the access key's id",
        ),
    ] {
        let said = checked(&rest, &[], &credentials).await;
        said.says("source aws", &[words]);
        assert_eq!(said.failures.len(), 1, "{:#?}", said.failures);
    }
    let said = checked(&rest, &["--read"], &with(id, secret)).await;
    assert!(said.row("source aws").contains("ok"));
    let denied = "secretsmanager:GetSecretValue on `mistakes/other` is not allowed";
    said.says("key a", &[denied, "kms:Decrypt"]);
}

/// moto refuses in a form of its own, as a gateway may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_without_a_code_is_no_sign_that_the_credentials_are_taken() {
    let aws = Aws::start_strict(Emulator::Moto).await;
    aws.enforce_policies().await;
    let rest = source("aws", REGION, &at(aws.url())) + &key("a", "aws", "a");
    let said = checked(&rest, &[], &OWNER).await;
    said.says("source aws", &["the credentials were refused", "(403)"]);
    assert_eq!(said.failures.len(), 1, "{:#?}", said.failures);
}

/// What the emulators do not do: an AWS whose STS is out of reach, one with another clock, and one that has lost
/// a secret's KMS key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sts_another_clock_and_a_lost_kms_key_are_said_so() {
    let server = MockServer::start().await;
    let refusal = |code: &str| {
        let body = json!({"__type": code, "message": "canary"}).to_string();
        ResponseTemplate::new(400).set_body_raw(body, "application/x-amz-json-1.1")
    };
    let target = |name: &str| header("x-amz-target", format!("secretsmanager.{name}").as_str());
    for (operation, answer) in [
        ("ListSecrets", refusal("AccessDeniedException")),
        ("DescribeSecret", refusal("KMSInvalidStateException")),
    ] {
        let mock = Mock::given(target(operation)).respond_with(answer);
        mock.mount(&server).await;
    }
    let skewed = MockServer::start().await;
    let late =
        refusal("InvalidSignatureException").insert_header("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    Mock::given(any()).respond_with(late).mount(&skewed).await;
    let rest = source("alone", REGION, &at(&server.uri()))
        + &source("skewed", REGION, &at(&skewed.uri()))
        + &key("a", "alone", "a");
    let said = checked(&rest, &[], &OWNER).await;
    let row = said.row("source alone");
    assert!(
        row.contains("Secrets Manager has taken the credentials"),
        "{row}"
    );
    said.says(
        "key a",
        &["`a` cannot be decrypted: its KMS key is disabled"],
    );
    said.says(
        "source skewed",
        &["this machine's clock is ", "ahead of AWS's"],
    );
    assert_eq!(said.failures.len(), 2, "{:#?}", said.failures);
}
