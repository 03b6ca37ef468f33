//! The smallest source there can be: a file with a secret in each line.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flashback_rotator::credential::{SecretRef, SharedCredential};
use flashback_rotator::document::Document;
use flashback_rotator::model::{Missing, Observation, SourceId, Version};
use flashback_rotator::secret::Fingerprinter;
use flashback_rotator::setting::settings;
use flashback_rotator::setting::value_types::{place::PATH, secret::SECRET, text::TEXT};
use flashback_rotator::source::{
    Context, Example, Hint, Kind, Reading, Source, SourceError, SourceKind,
};
use flashback_rotator::upstream::Upstream;

pub const KIND: Kind = Kind {
    name: "toy",
    title: "Toy",
    settings: ToyTable::ALL,
    reference: include_str!("reference.toml"),
    example: Example {
        name: "toy",
        about: "A file, one line a secret",
        text: "[sources.toy]\ntype = \"toy\"\nfile = \"/etc/keys.txt\"\n",
    },
    acknowledges: None,
    alone: &[(ToyTable::separator.name, "take it out")],
    read: |table| Some(Arc::new(ToyTable::read(table).finish()?)),
};

settings! {
    /// A source of the type `toy`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ToyConfig, read by ToyTable {
        /// The file.
        file: PathBuf = PATH, Required;
        /// What stands between a secret's name and its value.
        separator: String = TEXT, Default;
        /// The password that opens the file.
        password: SecretRef = SECRET, Optional;
    }
}

impl SourceKind for ToyConfig {
    fn check_path(&self, path: &str) -> Option<Hint> {
        let is_name = !path.contains(&self.separator);
        (!is_name).then(|| Hint::certain("this is no name: write what stands before the separator"))
    }

    fn place(&self) -> String {
        self.file.display().to_string()
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Source>, SourceError> {
        let password = self.password.as_ref();
        Ok(Arc::new(Toy {
            password: password.map(|password| context.secret(password)),
            config: self.clone(),
            id: context.id,
            upstream: context.upstream,
            fingerprinter: context.fingerprinter,
        }))
    }
}

struct Toy {
    id: SourceId,
    config: ToyConfig,
    password: Option<SharedCredential>,
    upstream: Upstream,
    fingerprinter: Fingerprinter,
}

impl Toy {
    async fn find(&self, path: &str) -> Result<Option<(Version, Document)>, SourceError> {
        let text = self.upstream.call("read_file", async {
            std::fs::read_to_string(&self.config.file).map_err(unavailable)
        });
        let text = text.await?;
        let mut lines = text
            .lines()
            .filter_map(|line| line.split_once(&self.config.separator));
        let found = lines.find(|(name, _)| *name == path);
        Ok(found.map(|(_, value)| {
            let document = Document::from_text(value.to_owned());
            let digest = document.fingerprint(&self.fingerprinter);
            (Version::of_fingerprint(&digest), document)
        }))
    }
}

#[async_trait]
impl Source for Toy {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn observe(&self, path: &str) -> Result<Observation, SourceError> {
        Ok(match self.find(path).await? {
            None => Observation::Missing(Missing::NotFound),
            Some((version, _)) => Observation::Present {
                version,
                written_at: None,
            },
        })
    }

    async fn read(&self, path: &str, _: &Version) -> Result<Reading, SourceError> {
        Ok(match self.find(path).await? {
            None => Reading::Missing(Missing::NotFound),
            Some((version, document)) => Reading::Present {
                version,
                document,
                written_at: None,
            },
        })
    }

    async fn connect(&self) -> Result<String, SourceError> {
        match &self.password {
            Some(password) => {
                password.fetch().await.map_err(unavailable)?;
                Ok("opened with a password".to_owned())
            }
            None => Ok("opened".to_owned()),
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> SourceError {
    SourceError::Unavailable {
        what: error.to_string(),
        status: "unavailable".to_owned(),
        retry_after: None,
    }
}
