//! What rules have discovered, in SQLite: a row of `meta` for each rule.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use crate::model::{Discovered, RuleId};
use crate::state::document;

use super::place::Place;
use crate::state::StateError;

/// The beginning of the names of the rows.
const PREFIX: &str = "discovered ";

/// Reads the documents of all rules.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare_cached(
            "SELECT substr(name, length(?1) + 1), value FROM meta
             WHERE substr(name, 1, length(?1)) = ?1",
        )?
        .query_map([PREFIX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Reads what the documents say.
pub(super) fn read(
    rows: Vec<(String, String)>,
    place: &Place,
) -> Result<BTreeMap<RuleId, Discovered>, StateError> {
    let read = |(rule, text): (String, String)| {
        Ok((RuleId::new(rule), document::discovered(&text, place)?))
    };
    rows.into_iter().map(read).collect()
}

/// Writes the document of a rule, or deletes it.
pub(super) fn save(
    transaction: &Transaction<'_>,
    rule: &RuleId,
    document: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = match document {
        Some(_) => "INSERT OR REPLACE INTO meta (name, value) VALUES (?1 || ?2, ?3)",
        None => "DELETE FROM meta WHERE name = ?1 || ?2 AND ?3 IS NULL",
    };
    let mut statement = transaction.prepare_cached(sql)?;
    statement.execute(params![PREFIX, rule.as_str(), document])?;
    Ok(())
}
