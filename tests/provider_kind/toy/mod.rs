//! The smallest provider there can be: a directory with a file for each key, whose name is its id and its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flashback_rotator::model::{Abilities, AiType, IssuedKey, LastUse, ProviderKeyId};
use flashback_rotator::provider::{Context, Kind, Minted, Provider, ProviderError, ProviderKind};
use flashback_rotator::secret::{Credentials, Secret};
use flashback_rotator::setting::settings;
use flashback_rotator::setting::value_types::place::PATH;
use flashback_rotator::upstream::Upstream;

pub const KIND: Kind = Kind {
    name: "toy",
    title: "Toy",
    settings: ToyTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Openai],
    pairs: false,
    read: |table| Some(Arc::new(ToyTable::read(table).finish()?)),
};

settings! {
    /// A provider of the type `toy`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ToyConfig, read by ToyTable {
        /// The directory with a file for each key.
        dir: PathBuf = PATH, Required;
    }
}

impl ProviderKind for ToyConfig {
    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        Ok(Arc::new(Toy {
            dir: self.dir.clone(),
            upstream: context.upstream,
        }))
    }
}

struct Toy {
    dir: PathBuf,
    upstream: Upstream,
}

impl Toy {
    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&Path) -> std::io::Result<T>,
    ) -> Result<T, ProviderError> {
        let called = async { call(&self.dir).map_err(unavailable) };
        self.upstream.call(operation, called).await
    }
}

#[async_trait]
impl Provider for Toy {
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: true,
            names: true,
            last_use: false,
            disables: false,
            slots: false,
            limit: None,
        }
    }

    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        self.call("list", |dir| {
            std::fs::read_dir(dir)?
                .map(|entry| Ok(issued(&entry?.file_name().to_string_lossy())))
                .collect()
        })
        .await
    }

    async fn mint(
        &self,
        name: &str,
        _slot: Option<&ProviderKeyId>,
    ) -> Result<Minted, ProviderError> {
        let value = format!("sk-toy-{:032x}", rand::random::<u128>());
        self.call("mint", |dir| std::fs::write(dir.join(name), &value))
            .await?;
        Ok(Minted {
            id: ProviderKeyId::new(name),
            credentials: Credentials {
                key: None,
                secret: Secret::new(value),
            },
            created_at: None,
        })
    }

    async fn last_use(&self, _key: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        Ok(LastUse::Unknown)
    }

    async fn disable(&self, _key: &ProviderKeyId) -> Result<(), ProviderError> {
        Err(unavailable("it cannot"))
    }

    async fn enable(&self, _key: &ProviderKeyId) -> Result<(), ProviderError> {
        Err(unavailable("it cannot"))
    }

    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        self.call("delete", |dir| std::fs::remove_file(dir.join(key.as_str())))
            .await
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        Ok(format!("{} toy keys", self.list().await?.len()))
    }
}

fn issued(name: &str) -> IssuedKey {
    IssuedKey {
        id: ProviderKeyId::new(name),
        name: Some(name.to_owned()),
        created_at: None,
        active: true,
        last_use: LastUse::Unknown,
        redacted: None,
    }
}

fn unavailable(error: impl std::fmt::Display) -> ProviderError {
    ProviderError::Unavailable {
        what: error.to_string(),
        status: "unavailable".to_owned(),
        retry_after: None,
    }
}
