//! Secrets Manager, and everything that gives credentials for it.

use wiremock::matchers::any;

use super::*;

/// How a source of AWS comes by its credentials, and what of it is harmed.
struct Way {
    what: &'static str,
    aim: &'static str,
    emulator: Emulator,
    harms: &'static [Harm],
    /// More in the source's table.
    table: &'static str,
    /// The profile's lines; `{server}` is the hostile server, `{aws}` the one behind it.
    profile: &'static str,
    has_keys: bool,
}

async fn aws(way: Way) {
    let aws = Aws::shared(way.emulator).await;
    let all = harmed(aws.url(), way.aim, way.what, way.harms).await;
    let mut rest = format!("{QUICK}{}", file_key("other"));
    let mut profiles = String::new();
    for Harmed { key, server, .. } in &all {
        aws.create(key, "sk-harmed").await;
        let (table, key_table) = (way.table, configuration::key(key, key, key));
        write!(
            rest,
            "[sources.{key}]\ntype = \"aws-secrets-manager\"\nregion = \"{REGION}\"\nprofile = \"{key}\"\n{table}{key_table}"
        )
        .expect("written");
        let lines = way.profile.replace("{server}", server.url());
        let lines = lines.replace("{aws}", aws.url());
        write!(profiles, "[profile {key}]\nregion = {REGION}\n{lines}").expect("written");
    }
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = bounded(&sandbox.url(), &rest);
    let directory = rotator.path().display().to_string();
    let profiles = profiles.replace("{dir}", &directory);
    std::fs::write(rotator.path().join("profiles"), profiles).expect("written");
    std::fs::write(rotator.path().join("jwt"), "header.payload.signature").expect("written");
    let file = (
        "AWS_CONFIG_FILE".to_owned(),
        format!("{directory}/profiles"),
    );
    rotator.environment.push(file);
    if way.has_keys {
        rotator.environment.extend(aws_credentials());
    }
    survives(way.what, &sandbox, rotator, &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_manager_harms_nobody_else() {
    let way = |what, aim| Way {
        what,
        aim,
        emulator: Emulator::Moto,
        harms: &Harm::ALL,
        table: "",
        profile: "endpoint_url = {server}\n",
        has_keys: true,
    };
    tokio::join!(
        aws(way("describe", "secretsmanager.DescribeSecret")),
        aws(way("get", "secretsmanager.GetSecretValue")),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_aws_harm_nobody_else() {
    let role = Way {
        what: "role",
        aim: "x-www-form-urlencoded",
        emulator: Emulator::Moto,
        harms: &Harm::ALL,
        table: "assume_role_arn = \"arn:aws:iam::123456789012:role/r\"\n",
        profile: "endpoint_url = {server}\n",
        has_keys: true,
    };
    let web = Way {
        what: "web",
        table: "",
        profile: "endpoint_url = {server}\nrole_arn = arn:aws:iam::123456789012:role/r\n\
                  web_identity_token_file = {dir}/jwt\n",
        has_keys: false,
        ..role
    };
    let instance = Way {
        what: "instance",
        aim: " /latest/",
        emulator: Emulator::Ministack,
        table: "",
        profile: "endpoint_url = {aws}\nec2_metadata_service_endpoint = {server}\n",
        has_keys: false,
        ..role
    };
    tokio::join!(
        aws(role),
        aws(web),
        aws(instance),
        container(Harm::Endless),
        container(Harm::Headers),
        container(Harm::Drip),
    );
}

/// Credentials of a container, whose address is one for the whole process.
async fn container(harm: Harm) {
    let aws = Aws::shared(Emulator::Moto).await;
    let credentials = MockServer::start().await;
    let given = json!({
        "AccessKeyId": "test", "SecretAccessKey": "test", "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    });
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(given))
        .mount(&credentials)
        .await;
    let all = harmed(&credentials.uri(), " /credentials", "container", &[harm]).await;
    let key = &all[0].key;
    aws.create(key, "sk-harmed").await;
    let tables = [
        QUICK,
        &file_key("other"),
        &configuration::aws(key, aws.url()),
        &configuration::key(key, key, key),
    ]
    .concat();
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = bounded(&sandbox.url(), &tables);
    let uri = format!("{}/credentials", all[0].server.url());
    let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), uri);
    rotator.environment.push(uri);
    survives("container", &sandbox, rotator, &all).await;
}
