//! Opens the state that a configuration names.

use std::path::Path;
use std::sync::Arc;

use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{StateError, StateStore};
use crate::config::StateConfig;

/// Opens the state beside the processes that work on it, to read it and to hand them requests. `None`
/// where there is no state yet; nothing is made then.
///
/// # Errors
/// Returns [`StateError`], but not [`StateError::Locked`].
pub async fn beside(config: &StateConfig) -> Result<Option<Arc<dyn StateStore>>, StateError> {
    Ok(match config {
        StateConfig::Sqlite { path } => {
            let store = Sqlite::open_beside(path)?;
            store.map(|store| Arc::new(store) as Arc<dyn StateStore>)
        }
        StateConfig::Postgres(config) => {
            let store = Postgres::open_beside(config).await?;
            store.map(|store| Arc::new(store) as Arc<dyn StateStore>)
        }
    })
}

/// Returns the file of a state that a single process uses.
///
/// # Errors
/// Returns [`StateError::Unusable`] if the state is in PostgreSQL.
pub fn file(config: &StateConfig) -> Result<&Path, StateError> {
    match config {
        StateConfig::Sqlite { path } => Ok(path),
        StateConfig::Postgres(_) => Err(StateError::Unusable {
            place: config.to_string(),
            reason: "this version works on a SQLite file alone".to_owned(),
        }),
    }
}
