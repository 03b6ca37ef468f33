//! The rotation jobs of `docs/rotation.md`, the very text: they wait until the store names their
//! version as the live one, and only then revoke the old key.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chrono::Utc;
use flashback_rotator::credential::{Plain, SecretRef};
use flashback_rotator::model::{Observation, SourceId, Version};
use flashback_rotator::secret::Fingerprinter;
use flashback_rotator::source::Source;
use flashback_rotator::source::aws::AwsConfig;
use flashback_rotator::source::vault::{
    KvVersion, VaultAuth, VaultConfig, VaultCredentials, VaultLook, VaultSource,
};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::support::aws::{Aws, BOTH, REGION, administrator};
use crate::support::openbao::{self, OpenBao, ROOT};
use crate::support::upstreams::upstream;
use crate::support::{eventually, venv};

/// A directory with the job and what it calls: `make-key` gives `sk-new`, `revoke-key` writes down
/// what it is given.
struct Job(tempfile::TempDir);

impl Job {
    fn new(language: &str, name: &str) -> Self {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rotation.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let (_, rest) = page.split_once(&format!("```{language}\n")).expect("a job");
        let (job, _) = rest.split_once("```").expect("its end");
        let this = Self(tempfile::tempdir().expect("a directory"));
        this.script(name, job);
        this.script("make-key", "#!/bin/sh\necho sk-new\n");
        this.script(
            "revoke-key",
            "#!/bin/sh\ncat > revoked.part && mv revoked.part revoked\n",
        );
        this
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("made executable");
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn revoked(&self) -> Option<String> {
        std::fs::read_to_string(self.0.path().join("revoked")).ok()
    }

    /// Holds a job to what it promises, from the version it waits for to the old key's end.
    async fn waits_for(&self, mut running: Child, source: &dyn Source, path: &str, old: &Version) {
        let new = eventually("the new key is stored", || async {
            match source.observe(path).await.ok()? {
                Observation::Present { version, .. } if version != *old => Some(version),
                _ => None,
            }
        })
        .await;
        let tell = async |version| source.acknowledge(path, version, Utc::now()).await;
        tell(old).await.expect("the old version is live");
        assert!(running.try_wait().expect("a job").is_none(), "it waits");
        assert_eq!(self.revoked(), None);
        tell(&new).await.expect("the new version is live");
        let ended = running.wait_with_output().await.expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
        assert_eq!(self.revoked().as_deref(), Some("sk-old"));
    }

    async fn gives_up(&self, job: &mut Command) {
        let ended = job.env("LIMIT", "0").output().await.expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("the old key stays"), "{said}");
        assert!(!said.contains("sk-"), "{said}");
        assert_eq!(self.revoked(), None);
    }
}

async fn current(source: &dyn Source, path: &str) -> Version {
    match source.observe(path).await.expect("looked") {
        Observation::Present { version, .. } => version,
        Observation::Missing(why) => panic!("{why:?}"),
    }
}

/// The job writes below `secret/`, so the server is the test's own. OpenBao's own command stands in
/// for `vault`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_for_vault_revokes_once_the_new_key_is_live() {
    let bao = OpenBao::start().await;
    bao.put_kv2("secret", "llm/openai", json!({"api_key": "sk-old"}))
        .await;
    bao.write_policy("job", &job_policy()).await;
    let given = bao
        .create_token(json!({"policies": ["job"], "no_default_policy": true}))
        .await;
    let config = VaultConfig {
        address: bao.address.clone(),
        namespace: None,
        mount: "secret".to_owned(),
        kv_version: KvVersion::V2,
        look: VaultLook::Auto,
        ca_file: None,
        auth: VaultAuth::Token {
            token: SecretRef::Env("UNUSED".to_owned()),
        },
    };
    let root = VaultCredentials::Token {
        token: std::sync::Arc::new(Plain(ROOT.to_owned())),
    };
    let fingerprinter = Fingerprinter::ephemeral();
    let id = SourceId::new("vault");
    let source = VaultSource::new(id, config, root, fingerprinter, upstream("vault"))
        .expect("a source")
        .acknowledging(true);

    let job = Job::new("bash", "rotate.sh");
    std::os::unix::fs::symlink(openbao::program(), job.0.path().join("vault")).expect("a link");
    let command = || {
        let mut command = job.command("./rotate.sh");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = [job.0.path().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&path));
        command
            .arg("llm/openai")
            .env("PATH", std::env::join_paths(paths).expect("a path"))
            .env("HOME", job.0.path())
            .env("VAULT_ADDR", &bao.address)
            .env("VAULT_TOKEN", &given);
        command
    };
    let old = current(&source, "llm/openai").await;
    let running = command().spawn().expect("started");
    job.waits_for(running, &source, "llm/openai", &old).await;

    std::fs::remove_file(job.0.path().join("revoked")).expect("removed");
    job.gives_up(&mut command()).await;
}

/// What the page says that the job needs.
fn job_policy() -> String {
    "path \"secret/data/llm/openai\" { capabilities = [\"create\", \"update\", \"read\"] }\n\
     path \"secret/metadata/llm/openai\" { capabilities = [\"read\"] }\n"
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_for_aws_revokes_once_the_new_key_is_live() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let path = "rotation/openai";
        aws.create(path, r#"{"api_key":"sk-old","note":"kept"}"#)
            .await;
        let source = aws
            .source(AwsConfig::default(), administrator())
            .acknowledging(true);
        let job = Job::new("python", "rotate.py");
        let python: PathBuf = venv().join("bin/python3");
        let command = || {
            let mut command = job.command(&python);
            command
                .args(["rotate.py", path])
                .env("HOME", job.0.path())
                .env("AWS_ENDPOINT_URL", aws.url())
                .env("AWS_DEFAULT_REGION", REGION)
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test");
            command
        };
        let old = current(&source, path).await;
        let running = command().spawn().expect("started");
        job.waits_for(running, &source, path, &old).await;

        std::fs::remove_file(job.0.path().join("revoked")).expect("removed");
        job.gives_up(&mut command()).await;
    }
}
