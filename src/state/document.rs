//! The JSON documents that a state keeps in one column each: data that are always read as a whole and not used in
//! queries.

use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::StateError;
use crate::model::{CheckNote, Discovered, KeyId, Record};

/// The version of the documents of records and of discoveries that this program writes.
///
/// A program reads earlier versions and refuses later ones. The version stays the same if a field is added that an
/// earlier program may drop when it saves the record.
const VERSION: i64 = 1;

/// A record's document: `{"version": 1, "record": {…}}`.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: i64,
    record: T,
}

/// Returns the document of a record.
pub(super) fn of_record(record: &Record) -> String {
    of(&Versioned {
        version: VERSION,
        record,
    })
}

/// Returns the document of what a rule has discovered.
pub(super) fn of_discovered(discovered: &Discovered) -> String {
    of(&Versioned {
        version: VERSION,
        record: discovered,
    })
}

/// Reads the document of what a rule has discovered.
///
/// # Errors
/// Returns the errors of [`record`].
pub(super) fn discovered(text: &str, place: &dyn fmt::Display) -> Result<Discovered, StateError> {
    versioned(text, place)
}

/// Reads the document of a record in the state at `place`.
///
/// # Errors
/// Returns [`StateError::Newer`] if a newer program has written it, [`StateError::Corrupt`] where none has.
fn record(text: &str, place: &dyn fmt::Display) -> Result<Record, StateError> {
    versioned(text, place)
}

fn versioned<T: DeserializeOwned>(text: &str, place: &dyn fmt::Display) -> Result<T, StateError> {
    match serde_json::from_str::<Versioned<T>>(text) {
        Ok(found) if found.version <= VERSION => Ok(found.record),
        _ => match read::<Versioned<IgnoredAny>>(text, place)?.version {
            found if found > VERSION => Err(StateError::of_schema(found, VERSION, place)),
            _ => Err(not_ours(place)),
        },
    }
}

/// Puts a record together from the two documents of a key; what there is none of is new.
///
/// # Errors
/// Returns the errors of [`record`].
pub(super) fn record_with_note(
    key: KeyId,
    document: Option<&str>,
    note: Option<&str>,
    place: &dyn fmt::Display,
) -> Result<Record, StateError> {
    let found = match document {
        Some(document) => record(document, place)?,
        None => Record::new(key),
    };
    let look = note.map_or(Ok(CheckNote::default()), |note| read(note, place))?;
    Ok(Record { look, ..found })
}

/// Returns the document of something else. It has no version: whatever is added to it later is optional.
pub(super) fn of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names for keys, and no writer that fails")
}

/// Reads what [`of`] has written into the state at `place`.
///
/// # Errors
/// Returns [`StateError::Corrupt`].
pub(super) fn read<T: DeserializeOwned>(
    text: &str,
    place: &dyn fmt::Display,
) -> Result<T, StateError> {
    serde_json::from_str(text).map_err(|_| not_ours(place))
}

/// Returns the error for a row that another program has written. The words of the parser are not repeated: they can
/// quote what is in the row.
fn not_ours(place: &dyn fmt::Display) -> StateError {
    StateError::Corrupt {
        place: place.to_string(),
        reason: "a row holds what this program does not write".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_record_of_a_newer_version_whatever_is_in_it() {
        let known = of_record(&Record::new(KeyId::new("a")));
        assert!(record(&known, &"here").is_ok());
        let newer = known.replacen("\"version\":1", "\"version\":2", 1);
        for text in [&*newer, r#"{"version": 2, "record": []}"#] {
            let error = record(text, &"here").expect_err("newer");
            assert!(
                matches!(error, StateError::Newer { found: 2, .. }),
                "{error}"
            );
        }
        for text in ["", "{}", r#"{"version": 1, "record": {}}"#] {
            let error = record(text, &"here").expect_err("none of ours");
            assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
        }
    }
}
