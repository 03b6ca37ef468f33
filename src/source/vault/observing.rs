//! Observes the secrets of a KV engine, one by one or all of a folder at once.

use parking_lot::MutexGuard;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::config::VaultLook;
use super::folders::{self, Made, Plan, Turn};
use super::hints;
use super::kv::Engine;
use super::kv_version::KvVersion;
use super::mounted::{self, DENIED_FOR};
use super::source::VaultSource;
use super::token::Token;
use super::tree;
use crate::model::{Missing, Observation};
use crate::progress::in_line;
use crate::source::contract::{Reading, SourceError};
use crate::source::entries::short;
use crate::source::listing::Listed;

impl VaultSource {
    /// Observes a secret by a request of its own.
    pub(super) async fn observe_alone(&self, path: &str) -> Result<Observation, SourceError> {
        let mut asking = self.asking().await?;
        loop {
            let result = self.look_with(asking.token(), path).await;
            if asking.is_over(&result).await? {
                if result.is_ok() {
                    self.folders.note(path);
                }
                return result;
            }
        }
    }

    /// Observes a secret by the list of its folder, if there is one or it is time for one.
    pub(super) async fn observe_with_others(&self, path: &str) -> Result<Observation, SourceError> {
        let generation = self.token().await?.generation;
        let made = match self.folders.plan(path, self.look, generation) {
            Plan::Listed(observation) => return Ok(observation),
            Plan::Alone => None,
            Plan::Wait(made) => in_line(folders::wait(made)).await?,
            // Large, and one in many has it: the others do not keep a place for it.
            Plan::Make(turn) => Box::pin(self.make_list(turn)).await?,
        };
        let listed = made.and_then(|list| self.folders.take(path, &list));
        match listed {
            Some(observation) => Ok(observation),
            None => self.observe_alone(path).await,
        }
    }

    async fn make_list(&self, turn: Turn<'_>) -> Made {
        let mut asking = self.asking().await?;
        let result = loop {
            let token = asking.token();
            let result = tree::named(&self.engine, &self.keeper, token, turn.folder()).await;
            if asking.is_over(&result).await? {
                break result;
            }
        };
        match result {
            Ok(named) => Ok(Some(turn.made(named))),
            Err(error) if self.look == VaultLook::Auto && !is_outage(&error) => {
                turn.refused(asking.token().generation);
                Ok(None)
            }
            Err(error) => {
                let error = without_list(error);
                turn.failed(&error);
                Err(error)
            }
        }
    }

    /// Observes a secret. If it is missing or denied, checks that the configured engine is the mounted one.
    pub(super) async fn look_with(
        &self,
        token: &Token,
        path: &str,
    ) -> Result<Observation, SourceError> {
        let looked = self.look_at(token, path).await;
        let is_nothing = matches!(
            looked,
            Ok(Observation::Missing(Missing::NotFound)) | Err(SourceError::Denied { .. })
        );
        if is_nothing {
            self.check_engine(token).await?;
        }
        looked.map_err(|error| self.explained(path, error))
    }

    /// Adds the hint to the denial of a path that has one: the path should be corrected then, not the policy widened.
    fn explained(&self, path: &str, error: SourceError) -> SourceError {
        match (error, self.path_hint(path)) {
            (SourceError::Denied { what, status }, Some(hint)) => SourceError::Denied {
                what: format!("{hint}. As it is written, {what}"),
                status,
            },
            (error, _) => error,
        }
    }

    pub(super) fn path_hint(&self, path: &str) -> Option<String> {
        let Engine {
            mount, namespace, ..
        } = &self.engine;
        let hint = hints::path(namespace.as_deref(), mount, self.kv, path);
        let hint = hint.or_else(|| hints::kv_mount(self.kv, mount));
        hint.map(|hint| hint.text)
    }

    async fn look_at(&self, token: &Token, path: &str) -> Result<Observation, SourceError> {
        if self.kv == KvVersion::V1 {
            let reading = self.read_with(token, path, None).await?;
            return Ok(observation(reading));
        }
        if !self.denied.has(path, token) {
            match self
                .engine
                .look_at_metadata(&self.keeper, token, path)
                .await
            {
                Err(SourceError::Denied { .. }) => {}
                other => {
                    self.denied.remove(path);
                    return other;
                }
            }
        }
        let reading = match self.read_with(token, path, None).await {
            Err(SourceError::Denied { status, .. }) => {
                self.denied.remove(path);
                return Err(self.both_denied(path, status));
            }
            other => other?,
        };
        self.denied.add(path, token);
        Ok(observation(reading))
    }

    /// Returns what a list says of one secret, and its metadata.
    pub(super) async fn entry_with(
        &self,
        token: &Token,
        path: &str,
    ) -> Result<Option<Listed>, SourceError> {
        let (engine, keeper) = (&self.engine, &self.keeper);
        let (observed, custom) = match self.kv {
            KvVersion::V1 => (self.look_at(token, path).await?, None),
            KvVersion::V2 => match engine.read_metadata(keeper, token, path).await? {
                Err(missing) => (Observation::Missing(missing), None),
                Ok(metadata) => {
                    let observed = engine.judge(keeper, token, path, &metadata).await?;
                    (observed, metadata.custom_metadata)
                }
            },
        };
        let is_there = observed != Observation::Missing(Missing::NotFound);
        Ok(is_there.then(|| Listed {
            path: path.to_owned(),
            observed: Some(observed),
            metadata: Some(short(texts(custom.unwrap_or_default()))),
        }))
    }

    /// Checks that the mounted engine is the configured one, at most once an hour for each token.
    ///
    /// # Errors
    /// Returns [`SourceError::Invalid`] if it is another. Not being able to check is not an error.
    pub(super) async fn check_engine(&self, token: &Token) -> Result<(), SourceError> {
        let has_asked = self.asked().is_some_and(|(generation, at)| {
            generation == token.generation && at.elapsed() < DENIED_FOR
        });
        if has_asked {
            return Ok(());
        }
        let checked = mounted::check_mounted(&self.engine, &self.keeper, token, self.kv).await;
        if let Err(wrong @ SourceError::Invalid { .. }) = checked {
            return Err(wrong);
        }
        *self.asked() = Some((token.generation, Instant::now()));
        Ok(())
    }

    /// Locks the record of the last successful check of the mounted engine.
    fn asked(&self) -> MutexGuard<'_, Option<(u64, Instant)>> {
        self.asked.lock()
    }

    fn both_denied(&self, path: &str, status: String) -> SourceError {
        let mount = &self.engine.mount;
        let metadata = self.engine.needs(&format!("{mount}/metadata/{path}"));
        SourceError::Denied {
            what: format!(
                "the token's policies lack {metadata}, and `read` on `{mount}/data/{path}` ({status})"
            ),
            status,
        }
    }
}

/// Returns `true` if nothing else would be answered now, either. A list that takes too long may be too long.
fn is_outage(error: &SourceError) -> bool {
    match error {
        SourceError::Unavailable { status, .. } => status != "timeout",
        SourceError::SignIn { .. } | SourceError::CircuitOpen { .. } => true,
        _ => false,
    }
}

/// Adds what to do where `look` asks for lists and there are none.
fn without_list(error: SourceError) -> SourceError {
    const ELSE: &str = "or take `look = \"list\"` out of the source";
    match error {
        SourceError::Denied { what, status } => SourceError::Denied {
            what: format!("{what}: grant it, {ELSE}"),
            status,
        },
        SourceError::Protocol { what, status } if status == "404" => SourceError::Protocol {
            what: format!("{what}: use such a server, {ELSE}"),
            status,
        },
        error => error,
    }
}

/// Returns the entries that are texts, as all are that the API takes.
fn texts(entries: Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    entries.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    })
}

fn observation(reading: Reading) -> Observation {
    match reading {
        Reading::Present {
            version,
            written_at,
            ..
        } => Observation::Present {
            version,
            written_at,
        },
        Reading::Missing(missing) => Observation::Missing(missing),
    }
}
