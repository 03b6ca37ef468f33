//! The fields of a body or a query: the checks of their values, and access to them once they are checked.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::answer::Answer;

/// The type of a field.
#[derive(Clone, Copy)]
pub enum Kind {
    Text,
    /// A text that is not empty.
    Name,
    /// An absolute URL.
    Url,
    OneOf(&'static [&'static str]),
    /// An integer within two bounds, both included.
    Whole(u64, u64),
    Flag,
    /// A date and time in the format of RFC 3339.
    Time,
}

/// A field of a table.
#[derive(Clone, Copy)]
pub struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
    null: bool,
}

/// Returns a field that is required.
pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
        null: false,
    }
}

/// Returns a field that may be left out.
pub const fn optional(name: &'static str, kind: Kind) -> Field {
    Field {
        required: false,
        ..required(name, kind)
    }
}

impl Field {
    /// Allows `null` as a value.
    pub const fn or_null(self) -> Self {
        Self { null: true, ..self }
    }

    /// Checks the field's value. Returns `None` if it is valid, or else the refusal.
    fn breach(&self, value: Option<&Value>) -> Option<Answer> {
        let name = self.name;
        let must = |what: &str| Some(Answer::bad(&format!("{name} must be {what}")));
        let value = match value {
            None => return self.required.then(|| Answer::lacks(name)),
            Some(Value::Null) if self.null => return None,
            Some(value) => value,
        };
        match (self.kind, value) {
            (Kind::Whole(from, to), value) => {
                let within = whole(value).is_some_and(|n| (from..=to).contains(&n));
                (!within).then(|| must(&format!("a whole number from {from} to {to}")))?
            }
            (Kind::Flag, value) => (!value.is_boolean()).then(|| must("true or false"))?,
            (_, Value::String(text)) => match self.kind {
                Kind::Name if text.is_empty() => {
                    Some(Answer::bad(&format!("{name} must not be empty")))
                }
                Kind::Url if url::Url::parse(text).is_err() => must("a valid URL"),
                Kind::OneOf(known) if !known.contains(&text.as_str()) => {
                    must(&format!("one of {}", known.join(", ")))
                }
                Kind::Time if DateTime::parse_from_rfc3339(text).is_err() => {
                    must("a date and time as in RFC 3339")
                }
                _ => None,
            },
            _ => must("a string"),
        }
    }
}

/// Returns the value as an integer. `4.0` counts as one, as in JSON Schema.
fn whole(value: &Value) -> Option<u64> {
    let fractional = || {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
    };
    value.as_u64().or_else(fractional)
}

/// The fields of a body or query that match their table.
#[derive(Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Checks the fields against their table. Fields that are not in the table are ignored.
    ///
    /// # Errors
    /// A 400 that names the first invalid field.
    pub fn check(fields: Map<String, Value>, table: &[Field]) -> Result<Self, Answer> {
        let breach = |field: &Field| field.breach(fields.get(field.name));
        match table.iter().find_map(breach) {
            Some(refusal) => Err(refusal),
            None => Ok(Self(fields)),
        }
    }

    /// Parses and checks a query, in which numbers are written as text.
    ///
    /// # Errors
    /// A 400 that names the first invalid parameter.
    pub fn of_query(query: &str, table: &[Field]) -> Result<Self, Answer> {
        let is_number = |name: &str| {
            let mut fields = table.iter();
            fields.any(|field| field.name == name && matches!(field.kind, Kind::Whole(..)))
        };
        let pairs = url::form_urlencoded::parse(query.as_bytes()).map(|(name, text)| {
            let number = text.parse::<u64>().ok().filter(|_| is_number(&name));
            let value = number.map_or_else(|| Value::from(text), Value::from);
            (name.into_owned(), value)
        });
        Self::check(pairs.collect(), table)
    }

    /// Returns the text of a field; `None` if it is left out or `null`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Returns the text of a field that its table requires.
    pub fn required_text(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// Returns the number of a field; `None` if it is left out.
    pub fn whole(&self, name: &str) -> Option<u64> {
        whole(self.0.get(name)?)
    }

    /// Returns the time of a field; `None` if it is left out.
    pub fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        let time = DateTime::parse_from_rfc3339(self.text(name)?).ok()?;
        Some(time.to_utc())
    }

    /// Returns a field that may be `null`: `None` if it is left out, `Some(None)` for `null`.
    pub fn sent(&self, name: &str) -> Option<Option<&str>> {
        self.0.get(name).map(Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(field: Field, body: &Value) -> Result<(), String> {
        let body = body.as_object().expect("an object").clone();
        match Fields::check(body, &[field]) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.body["message"].to_string()),
        }
    }

    #[test]
    fn holds_each_kind_to_its_form() {
        let kinds = [
            (Kind::Text, json!(""), json!(7)),
            (Kind::Name, json!("a"), json!("")),
            (Kind::Url, json!("https://a"), json!("a")),
            (Kind::OneOf(&["A"]), json!("A"), json!("a")),
            (Kind::Whole(1, 100), json!(100), json!(0)),
            (Kind::Whole(0, 1), json!(0), json!(0.5)),
            (Kind::Whole(1, 4), json!(4.0), json!(-1)),
            (Kind::Flag, json!(false), json!("false")),
            (
                Kind::Time,
                json!("2026-01-01T00:00:00Z"),
                json!("2026-01-01"),
            ),
        ];
        for (kind, good, bad) in kinds {
            let field = required("f", kind);
            assert_eq!(check(field, &json!({"f": good})), Ok(()));
            for body in [json!({"f": bad}), json!({"f": null}), json!({})] {
                let message = check(field, &body).expect_err("a breach");
                assert!(message.contains("f "), "{message}");
                assert_eq!(check(optional("f", kind), &json!({})), Ok(()));
            }
            assert_eq!(check(field.or_null(), &json!({"f": null})), Ok(()));
        }
    }

    #[test]
    fn reads_the_numbers_of_a_query() {
        let table = [optional("n", Kind::Whole(0, 7)), optional("t", Kind::Text)];
        let query = Fields::of_query("n=2&t=2", &table).unwrap_or_else(|_| panic!("in form"));
        assert_eq!((query.whole("n"), query.text("t")), (Some(2), Some("2")));
        assert!(Fields::of_query("n=8", &table).is_err());
        assert!(Fields::of_query("n=x", &table).is_err());
    }
}
