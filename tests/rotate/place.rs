//! Where the secrets of a world are, as a person sees them.

use serde_json::{Value, json};

use super::account::{Kind, Stored};
use crate::support::aws::{Aws, Emulator};
use crate::support::configuration::{aws, token_in, vault};
use crate::support::openbao::OpenBao;
use crate::support::rotator::Rotator;

/// Where a key's secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file.
    File,
    /// OpenBao, KV 2, beside another field.
    Vault,
    /// OpenBao, KV 1, beside another field.
    Kv1,
    /// Secrets Manager in ministack, beside another field.
    Aws,
}

impl Place {
    pub const ALL: [Self; 4] = [Self::File, Self::Vault, Self::Kv1, Self::Aws];
}

/// The sources of a world, each with a folder of its own.
pub struct Places {
    bao: &'static OpenBao,
    aws: Option<&'static Aws>,
    folder: String,
}

impl Places {
    /// Makes those that are needed.
    pub async fn new(folder: &str, needed: &[Place]) -> Self {
        let bao = OpenBao::shared().await;
        if needed.contains(&Place::Kv1) {
            bao.mount_kv(&format!("{folder}-kv1"), 1).await;
        }
        let aws = match needed.contains(&Place::Aws) {
            true => Some(Aws::shared(Emulator::Ministack).await),
            false => None,
        };
        let folder = folder.to_owned();
        Self { bao, aws, folder }
    }

    /// Returns the tables of the sources, beside the one of files.
    pub fn tables(&self) -> String {
        let (address, token) = (&self.bao.address, token_in("vault-token"));
        let kv1 = format!("mount = \"{}-kv1\"\nkv_version = 1\n", self.folder);
        let aws = self.aws.map(|it| aws("aws", it.url()));
        vault("vault", address, "", &token)
            + &vault("kv1", address, &kv1, &token)
            + &aws.unwrap_or_default()
    }

    /// Returns the lines of a key's table that say where its secret is.
    pub fn of_key(&self, name: &str, place: Place, kind: Kind) -> String {
        let (source, path) = match place {
            Place::File => ("files", name.to_owned()),
            Place::Vault => ("vault", self.path(name)),
            Place::Kv1 => ("kv1", name.to_owned()),
            Place::Aws => ("aws", self.path(name)),
        };
        let fields = match (kind.is_pair(), place) {
            (true, _) => "fields = { key = \"id\", secret = \"api_key\" }\n",
            (false, Place::File) => "",
            (false, _) => "fields = { secret = \"api_key\" }\n",
        };
        format!("source = \"{source}\"\npath = \"{path}\"\n{fields}")
    }

    /// Writes a value, as a person does.
    pub async fn put(&self, rotator: &Rotator, name: &str, place: Place, value: &Stored) {
        let mut data = json!({ "api_key": value.secret, "owner": "team-a" });
        if let Some(id) = &value.key {
            data["id"] = json!(id);
        }
        match place {
            Place::File if value.key.is_none() => rotator.put(name, &value.secret),
            Place::File => rotator.put(name, &data.to_string()),
            Place::Vault => drop(self.bao.put_kv2("secret", &self.path(name), data).await),
            Place::Kv1 => {
                let path = format!("{}-kv1/{name}", self.folder);
                self.bao.ok("POST", &path, data).await;
            }
            Place::Aws => {
                let (aws, name) = (self.aws.expect("ministack"), self.path(name));
                let text = data.to_string();
                let put = aws.client().put_secret_value().secret_id(&name);
                if put.secret_string(&text).send().await.is_err() {
                    aws.create(&name, &text).await;
                }
            }
        }
    }

    /// Returns the value that a source has.
    pub async fn stored(&self, rotator: &Rotator, name: &str, place: Place) -> Stored {
        let data = match place {
            Place::File => {
                let path = rotator.path().join("secrets").join(name);
                let text = std::fs::read_to_string(path).expect("a secret");
                match serde_json::from_str::<Value>(&text) {
                    Ok(data) if data.is_object() => data,
                    _ => json!({ "api_key": text, "owner": "team-a" }),
                }
            }
            Place::Vault => {
                let path = format!("secret/data/{}", self.path(name));
                let answer = self.bao.ok("GET", &path, Value::Null).await;
                answer["data"]["data"].clone()
            }
            Place::Kv1 => {
                let path = format!("{}-kv1/{name}", self.folder);
                self.bao.ok("GET", &path, Value::Null).await["data"].clone()
            }
            Place::Aws => {
                let client = self.aws.expect("ministack").client();
                let get = client.get_secret_value().secret_id(self.path(name));
                let text = get.send().await.expect("a secret").secret_string;
                serde_json::from_str(&text.expect("a text")).expect("JSON")
            }
        };
        assert_eq!(data["owner"], "team-a", "another field is as it was");
        let text = |field: &str| data[field].as_str().map(str::to_owned);
        Stored {
            key: text("id"),
            secret: text("api_key").expect("a value"),
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}
