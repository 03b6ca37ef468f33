//! What was copied from elsewhere and leads nowhere: the message says what it looks like and what to
//! write, against a real OpenBao and two emulators of AWS.

use flashback_rotator::flashback::sandbox::Options;
use serde_json::{Value, json};

use crate::support::aws::{Aws, BOTH, REGION};
use crate::support::configuration::{key, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{Rotator, sandbox};
use crate::support::{client, place_file};

/// What `check --connect` says, with the sources and keys of `rest`.
async fn checked(rest: &str, files: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), rest);
    for (name, text) in files {
        place_file(rotator.path().join(name), text);
    }
    rotator.environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let output = rotator.command(&["check", "--connect"]).await;
    assert_eq!(output.status.code(), Some(1), "something is wrong");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines that begin with `start`, each with `words` in one of them.
fn says(said: &str, start: &str, words: &str) {
    let mut lines = said.lines().filter(|line| line.contains(start));
    assert!(
        lines.any(|line| line.contains(words)),
        "{start}: no {words:?} in\n{said}"
    );
}

#[tokio::test]
async fn hints_distinguish_overlong_paths_and_mounts_from_a_missing_secret() {
    let bao = OpenBao::shared().await;
    for (mount, version) in [("hints", 2), ("hints-one", 1)] {
        bao.mount_kv(mount, version).await;
    }
    bao.put_kv2("hints", "llm/openai", json!({"k": "sk-1"}))
        .await;
    bao.ok("POST", "hints-one/llm/openai", json!({"k": "sk-1"}))
        .await;
    bao.ok("POST", "sys/namespaces/hints-team", json!({})).await;
    let mounted = json!({"type": "kv", "options": {"version": "2"}});
    let (status, _) = bao
        .api_in("hints-team", "POST", "sys/mounts/hints", mounted)
        .await;
    assert_eq!(status, 204);
    // Policies for the engines as they are, which lack what is asked of another one.
    let rules = "path \"hints-one/llm/*\" { capabilities = [\"read\"] }\n\
                 path \"hints/data/llm/*\" { capabilities = [\"read\"] }";
    bao.write_policy("hints-narrow", rules).await;
    let narrow = bao
        .create_token(json!({"policies": ["hints-narrow"]}))
        .await;
    let cases = [
        (
            "data",
            "hints",
            2,
            "data/llm/openai",
            "the path begins with `data/`",
        ),
        (
            "metadata",
            "hints",
            2,
            "metadata/llm/openai",
            "the path begins with `metadata/`",
        ),
        (
            "mount",
            "hints",
            2,
            "hints/llm/openai",
            "the path begins with the mount,",
        ),
        (
            "in-mount",
            "hints/data",
            2,
            "llm/openai",
            "set `mount = \"hints\"`",
        ),
        (
            "is-one",
            "hints-one",
            2,
            "llm/openai",
            "is KV 1: set `kv_version = 1`",
        ),
        (
            "is-two",
            "hints",
            1,
            "llm/openai",
            "is KV 2: set `kv_version = 2`",
        ),
        (
            "absent",
            "hints",
            2,
            "llm/nothing",
            "the store has no secret at this path",
        ),
    ];
    let mut rest = String::new();
    for (id, mount, version, path, _) in cases {
        let settings = format!("mount = \"{mount}\"\nkv_version = {version}");
        let token = "method = \"token\"\ntoken = { env = \"TEST_ROOT\" }";
        rest += &vault(id, &bao.address, &settings, token);
        rest += &key(id, id, path);
    }
    let settings = "mount = \"hints\"\nnamespace = \"hints-team\"";
    let token = "method = \"token\"\ntoken = { env = \"TEST_ROOT\" }";
    rest += &vault("team", &bao.address, settings, token);
    rest += &key("team", "team", "hints-team/llm/openai");
    let token = "method = \"token\"\ntoken = { env = \"TEST_NARROW\" }";
    for (id, mount, version) in [("narrow-one", "hints-one", 2), ("narrow-two", "hints", 1)] {
        let settings = format!("mount = \"{mount}\"\nkv_version = {version}");
        rest += &vault(id, &bao.address, &settings, token);
        rest += &key(id, id, "llm/openai");
    }
    let environment = [("TEST_ROOT", ROOT), ("TEST_NARROW", narrow.as_str())];
    let said = checked(&rest, &[], &environment).await;
    for (id, _, _, _, words) in cases {
        // The engine is asked for once, for all keys of a source.
        let what = match id {
            "in-mount" | "is-one" | "is-two" => "source",
            _ => "key",
        };
        says(&said, &format!("{what} {id}:"), words);
    }
    says(&said, "key team:", "the path begins with the namespace");
    says(&said, "source narrow-one:", "is KV 1: set `kv_version = 1`");
    says(&said, "source narrow-two:", "is KV 2: set `kv_version = 2`");
    // What is likely is said of the configuration, too.
    says(&said, "warning: ", "the path begins with `data/`");
    says(&said, "warning: ", "`mount` ends with `data`");
}

/// A response-wrapping token, from a request that would give `of`.
async fn wrapped(bao: &OpenBao, of: &str) -> String {
    let answer = client()
        .post(format!("{}/v1/{of}", bao.address))
        .header("X-Vault-Token", ROOT)
        .header("X-Vault-Wrap-TTL", "10m")
        .json(&json!({}))
        .send()
        .await
        .expect("OpenBao answers");
    let answer: Value = answer.json().await.expect("JSON");
    answer["wrap_info"]["token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

#[tokio::test]
async fn hints_name_wrapped_credentials_and_malformed_auth_mounts() {
    let bao = OpenBao::shared().await;
    let (role_id, secret_id) = bao.app_role("hints-approle", json!({})).await;
    let token = wrapped(bao, "auth/token/create").await;
    let secret = wrapped(bao, "auth/hints-approle/role/rotator/secret-id").await;
    let approle = |mount: &str, file: &str| {
        format!(
            "method = \"approle\"\nmount = \"{mount}\"\nrole_id = \"{role_id}\"\nsecret_id = {{ file = \"{{dir}}/{file}\" }}"
        )
    };
    let given = "method = \"token\"\ntoken = { file = \"{dir}/wrapped\" }";
    let unknown = "method = \"token\"\ntoken = { file = \"{dir}/unknown\" }";
    let rest = [
        vault("wrapped", &bao.address, "", given),
        vault("unknown", &bao.address, "", unknown),
        vault(
            "secret",
            &bao.address,
            "",
            &approle("hints-approle", "wrapped-secret"),
        ),
        vault(
            "mount",
            &bao.address,
            "",
            &approle("auth/hints-approle", "secret"),
        ),
        vault(
            "login",
            &bao.address,
            "",
            &approle("hints-approle/login", "secret"),
        ),
        vault(
            "elsewhere",
            &bao.address,
            "",
            &approle("hints-elsewhere", "secret"),
        ),
    ];
    let files = [
        ("wrapped", token.as_str()),
        ("unknown", "s.aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("wrapped-secret", secret.as_str()),
        ("secret", secret_id.as_str()),
    ];
    let said = checked(&rest.concat(), &files, &[]).await;
    says(&said, "source wrapped:", "it is a response-wrapping token");
    says(&said, "source unknown:", "it is expired, revoked");
    says(&said, "source secret:", "the secret id is a token");
    says(&said, "source secret:", "unwrap it");
    says(&said, "source mount:", "without `auth/` before it");
    says(&said, "source login:", "`/login` after it");
    says(&said, "source elsewhere:", "is the method mounted there?");
    says(&said, "warning: ", "without `auth/` before it");
    for secret in [token, secret, secret_id] {
        assert!(!said.contains(&secret), "a secret is shown");
    }
}

#[tokio::test]
async fn hints_name_ids_of_another_region_and_partial_arns() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let name = format!("hints/openai-{emulator:?}");
        aws.create(&name, "sk-1").await;
        let arn = format!("arn:aws:secretsmanager:{REGION}:123456789012:secret:{name}-AbCdEf");
        let source = |id: &str, settings: &str| {
            format!(
                "[sources.{id}]\ntype = \"aws-secrets-manager\"\nendpoint_url = \"{}\"\n{settings}\n",
                aws.url()
            )
        };
        let rest = [
            source("there", &format!("region = \"{REGION}\"")),
            source("elsewhere", "region = \"eu-west-1\""),
            source("chain", ""),
            key("arn", "elsewhere", &arn),
            key("chained", "chain", &arn),
            key("name", "elsewhere", "hints/nothing"),
            key("half", "there", "hints/openai-AbCdEf"),
        ];
        let environment = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "eu-central-1"),
        ];
        let said = checked(&rest.concat(), &[], &environment).await;
        let region = format!("the ARN is of `{REGION}`");
        says(
            &said,
            "warning: ",
            &format!("in the region `eu-west-1`, and {region}"),
        );
        says(
            &said,
            "key arn:",
            &format!("in the region `eu-west-1`, and {region}"),
        );
        says(
            &said,
            "key chained:",
            &format!("in the region `eu-central-1`, and {region}"),
        );
        says(
            &said,
            "key name:",
            "the source asks in the region `eu-west-1`",
        );
        says(&said, "key half:", "the path ends as an ARN does");
    }
}

/// What can be told before anything is asked.
#[tokio::test]
async fn check_reports_certain_mistakes_before_any_request() {
    let rest = "[sources.aws]\ntype = \"aws-secrets-manager\"\nregion = \"eu-west-1\"\n\
        [keys.parameter]\nai_type = \"OPENAI\"\nsource = \"aws\"\n\
        path = \"arn:aws:ssm:eu-west-1:123456789012:parameter/llm\"\n\
        [keys.ecs]\nai_type = \"OPENAI\"\nsource = \"aws\"\n\
        path = \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm-AbCdEf:api_key::\"\n";
    let rotator = Rotator::new("https://flashback.example.com/ai/llm", "");
    let auth = "refresh_token = { file = \"{dir}/refresh-token\" }";
    rotator.configure_signing_in("https://flashback.example.com/ai/llm", auth, "");
    let output = rotator.command(&["check"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    says(&said, "config.toml:3:", "write what comes before `/ai`");
    says(&said, "config.toml:6:", "a refresh token works once");
    rotator.configure_signing_in("https://flashback.example.com", auth, rest);
    let output = rotator.command(&["check"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    says(&said, "error: ", "the ARN of something else");
    says(&said, "error: ", "as ECS writes it");
    says(&said, "--> ", "config.toml:21:");
    says(&said, "--> ", "config.toml:25:");
}
