//! The parameters of statements, and the columns of their answers.
//!
//! Every statement is sent whole, with the types of its parameters, in one round trip and without a
//! name: nothing of it stays in the session, which may be another one behind a pooler.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use super::place::Place;
use crate::state::StateError;

/// A parameter and its type.
pub(super) type Parameter<'a> = (Box<dyn ToSql + Sync + Send + 'a>, Type);

macro_rules! parameter {
    ($($name:ident: $type:ident;)+) => {
        $(pub(super) fn $name<'a>(value: impl ToSql + Sync + Send + 'a) -> Parameter<'a> {
            (Box::new(value), Type::$type)
        })+
    };
}

parameter! {
    text: TEXT;
    texts: TEXT_ARRAY;
    int: INT8;
    ints: INT8_ARRAY;
    time: TIMESTAMPTZ;
    times: TIMESTAMPTZ_ARRAY;
    seconds: FLOAT8;
    boolean: BOOL;
    bools: BOOL_ARRAY;
    bytes: BYTEA;
    json: JSON;
}

/// Returns a text as a column can hold it: PostgreSQL cannot store the character zero.
pub(super) fn plain(text: impl AsRef<str>) -> String {
    text.as_ref().replace('\0', "\u{fffd}")
}

/// Returns the number in the first column of the first row; zero where there is none.
pub(super) fn number(rows: &[Row]) -> i64 {
    rows.first()
        .and_then(|row| row.try_get(0).ok())
        .unwrap_or_default()
}

/// Reads a row by the names of its columns.
pub(super) struct Columns<'a> {
    pub(super) row: &'a Row,
    pub(super) place: &'a Place,
}

impl<'a> Columns<'a> {
    pub(super) fn get<T: FromSql<'a>>(&self, name: &str) -> Result<T, StateError> {
        self.row
            .try_get(name)
            .map_err(|error| self.place.explain(&error))
    }
}
