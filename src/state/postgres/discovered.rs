//! What rules have discovered, in PostgreSQL: a row of `rotator_meta` for each rule.

use std::collections::BTreeMap;

use super::pool::{DURABLE, Pool};
use super::value::{bytes, text};
use crate::model::{Discovered, RuleId};
use crate::state::{StateError, document};

/// The beginning of the names of the rows.
const PREFIX: &str = "discovered ";

const LOAD: &str =
    "SELECT substr(name, length($1) + 1) AS rule, convert_from(value, 'UTF8') AS found
FROM rotator_meta WHERE starts_with(name, $1)";

const SAVE: &str = "INSERT INTO rotator_meta (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value";

const FORGET: &str = "DELETE FROM rotator_meta WHERE name = $1";

pub(super) async fn load(pool: &Pool) -> Result<BTreeMap<RuleId, Discovered>, StateError> {
    let mut session = pool.session().await?;
    let rows = session.query(LOAD, &[text(PREFIX)]).await?;
    let read = |row| {
        let columns = pool.columns(row);
        let found = document::discovered(columns.get("found")?, columns.place)?;
        Ok((RuleId::new(columns.get::<&str>("rule")?), found))
    };
    rows.iter().map(read).collect()
}

pub(super) async fn save(
    pool: &Pool,
    rule: &RuleId,
    discovered: Option<&Discovered>,
) -> Result<(), StateError> {
    let mut session = pool.session().await?;
    let name = format!("{PREFIX}{rule}");
    let statement = match discovered {
        Some(discovered) => {
            let document = document::of_discovered(discovered).into_bytes();
            (SAVE, vec![text(name), bytes(document)])
        }
        None => (FORGET, vec![text(name)]),
    };
    let statements = [(statement.0, &statement.1[..])];
    session.transaction(DURABLE, &statements).await.map(drop)
}
