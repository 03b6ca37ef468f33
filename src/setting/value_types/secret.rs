//! Secret references, which give the location of a secret and never the secret itself.

use std::path::PathBuf;

use serde_json::json;

use super::place;
use super::text::{FIELD as FIELD_NAME, TEXT};
use crate::credential::{SecretRef, ValueRef};
use crate::model::SourceId;
use crate::setting::declaration::{Shape, ValueType, settings};
use crate::setting::diagnostics::Reference;
use crate::setting::input::{Input, Reader};
use crate::setting::suggest::list;
use crate::setting::tree::Value;
use crate::setting::variable;

const FORMS: &str = "`{ env = \"NAME\" }`, `{ file = \"PATH\" }`, `{ credential = \"NAME\" }` or `{ source = \"ID\", path = \"…\", field = \"…\" }`";

settings! {
    /// The environment variable that holds it.
    ENV: String = "env", variable::NAME, Required;
    /// The file that holds it. It loses one trailing newline, and is read again when it changes.
    FILE: PathBuf = "file", place::PATH, Required;
    /// The systemd credential that holds it: a file in $CREDENTIALS_DIRECTORY (LoadCredential=).
    CREDENTIAL: String = "credential", CREDENTIAL_NAME, Required;
    /// The source that holds it: the name of a `[sources.…]` table.
    SOURCE: String = "source", TEXT, Required;
    /// Where in that source.
    PATH: String = "path", place::IN_SOURCE, Required;
    /// Which field of it, or a JSON pointer that begins with `/`. Can be left out where it has only one, or is one plain text.
    FIELD: String = "field", FIELD_NAME, Optional;
}

const CREDENTIAL_NAME: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "pattern": "^[^/]+$" })),
    read: |input| {
        let text = input.text("flashback-token")?;
        if text.contains('/') || text.starts_with('.') {
            input.wrong("is not a credential's name")
                .help("write the name that stands left of the `:` in LoadCredential=; for a path use `{ file = \"PATH\" }`");
            return None;
        }
        Some(text.to_owned())
    },
};

const SHAPE: Shape = Shape::OneOf(&[&[&ENV], &[&FILE], &[&CREDENTIAL], &[&SOURCE, &PATH, &FIELD]]);

/// A secret.
pub const SECRET: ValueType<SecretRef> = ValueType {
    shape: Shape::Shared("secret", &SHAPE),
    read,
};

/// A secret that may not be in a source, because the service that it opens is needed before the sources.
pub const OUTSIDE: ValueType<SecretRef> = ValueType {
    shape: Shape::Shared(
        "secret-outside-of-sources",
        &Shape::OneOf(&[&[&ENV], &[&FILE], &[&CREDENTIAL]]),
    ),
    read: |input| {
        let span = input.node.span;
        let (name, known) = (input.name(), input.diagnostics.references.len());
        match read(input)? {
            SecretRef::Source { .. } => {
                input.diagnostics.references.truncate(known);
                let message = format!("`{name}` cannot be in a source: sources need the state");
                input.diagnostics
                    .mistake(span, message)
                    .help("write `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ credential = \"NAME\" }`");
                None
            }
            reference => Some(reference),
        }
    },
};

/// A text that is not secret: a plain text or a reference.
pub const VALUE: ValueType<ValueRef> = ValueType {
    shape: Shape::Shared("value", &Shape::TextOr(&SECRET.shape)),
    read: |input| match input.node.value {
        Value::Text(_) => Some(ValueRef::Plain(input.text("…")?.to_owned())),
        _ => read(input).map(ValueRef::Ref),
    },
};

/// A secret that is written back to its file.
pub const SECRET_FILE: ValueType<PathBuf> = ValueType {
    shape: Shape::Shared("secret-file", &Shape::Table(&[&FILE])),
    read: |input| {
        let span = input.node.span;
        match read(input)? {
            SecretRef::File(path) => Some(path),
            _ => {
                input.diagnostics
                    .mistake(span, "`refresh_token` must be in a file")
                    .help("write `{ file = \"PATH\" }`: each token works once, and the next one is written to that file");
                None
            }
        }
    },
};

/// Reads the reference, and adds it to the references that must be resolvable.
fn read(input: &mut Input<'_>) -> Option<SecretRef> {
    if !matches!(input.node.value, Value::Table(_)) {
        input
            .wrong("is a secret, and a secret is never written in the configuration")
            .help(format!("keep it elsewhere and say where: {FORMS}"));
        return None;
    }
    let mut table = input.table(FORMS)?;
    table.only(ALL);
    let hearts = [ENV.name, FILE.name, CREDENTIAL.name, SOURCE.name];
    let given: Vec<_> = hearts
        .iter()
        .filter_map(|name| table.tree.get(name))
        .collect();
    let [heart] = given[..] else {
        let span = table.span;
        let message = match given.is_empty() {
            true => "this does not say where the secret is".to_owned(),
            false => {
                let names = given.iter().map(|entry| entry.name.as_str());
                format!("only one of {} can say where the secret is", list(names))
            }
        };
        table
            .diagnostics
            .mistake(span, message)
            .help(format!("write {FORMS}"));
        return None;
    };
    let mut spans = None;
    let secret = if heart.name == SOURCE.name {
        spans = table.written(&SOURCE).zip(table.written(&PATH));
        from_source(&mut table)
    } else {
        report_misplaced(&mut table, &heart.name);
        match heart.name.as_str() {
            "env" => table.get(&ENV).map(SecretRef::Env),
            "file" => table.get(&FILE).map(SecretRef::File),
            _ => table.get(&CREDENTIAL).map(SecretRef::Credential),
        }
    }?;
    let reference = Reference {
        secret: secret.clone(),
        spans,
    };
    table.diagnostics.references.push(reference);
    Some(secret)
}

/// Reports what stands beside `heart` and belongs to a secret in a source.
fn report_misplaced(table: &mut Reader<'_, '_>, heart: &str) {
    for name in [PATH.name, FIELD.name] {
        if let Some(extra) = table.tree.get(name) {
            let message = format!("`{name}` belongs to a secret in a source");
            table
                .diagnostics
                .mistake(extra.name_span, message)
                .help(format!(
                    "take it out, or write `source` instead of `{heart}`"
                ));
        }
    }
}

fn from_source(table: &mut Reader<'_, '_>) -> Option<SecretRef> {
    let (source, path) = (table.get(&SOURCE), table.get(&PATH));
    let field = table.get(&FIELD);
    Some(SecretRef::Source {
        source: SourceId::new(source?),
        path: path?,
        field,
    })
}
