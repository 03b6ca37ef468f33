//! Secret references: where a secret is, never what it is.

use std::path::PathBuf;

use super::{TEXT, place};
use crate::config::diagnostics::Reference;
use crate::config::setting::{Form, Look, Need, Setting, Settings, Shape, list, settings};
use crate::config::tree::Value;
use crate::config::value_types;
use crate::config::{SecretRef, ValueRef, variable};
use crate::model::SourceId;

const FORMS: &str = "`{ env = \"NAME\" }`, `{ file = \"PATH\" }`, `{ credential = \"NAME\" }` or `{ source = \"ID\", path = \"…\", field = \"…\" }`";

settings! {
    /// The environment variable that holds it.
    ENV: String = "env", Required, variable::NAME;
    /// The file that holds it. It loses one trailing newline, and is read again when it changes.
    FILE: PathBuf = "file", Required, place::PATH;
    /// The systemd credential that holds it: a file in $CREDENTIALS_DIRECTORY (LoadCredential=).
    CREDENTIAL: String = "credential", Required, CREDENTIAL_NAME;
    /// The source that holds it: the name of a `[sources.…]` table.
    SOURCE: String = "source", Required, TEXT;
    /// Where in that source.
    PATH: String = "path", Required, place::IN_SOURCE;
    /// Which field of it, or a JSON pointer that begins with `/`. Can be left out where it has only one, or is one plain text.
    FIELD: String = "field", Optional, value_types::FIELD;
}

const CREDENTIAL_NAME: Form<String> = Form {
    shape: Shape::Text(|| serde_json::json!({ "type": "string", "pattern": "^[^/]+$" })),
    read: |look| {
        let text = look.text("flashback-token")?;
        if text.contains('/') || text.starts_with('.') {
            look.wrong("is not a credential's name")
                .help("write the name that stands left of the `:` in LoadCredential=; for a path use `{ file = \"PATH\" }`");
            return None;
        }
        Some(text.to_owned())
    },
};

const SHAPE: Shape = Shape::OneOf(&[&[&ENV], &[&FILE], &[&CREDENTIAL], &[&SOURCE, &PATH, &FIELD]]);

/// A secret.
pub(in crate::config) const SECRET: Form<SecretRef> = Form {
    shape: Shape::Shared("secret", &SHAPE),
    read,
};

/// A secret that no source holds: what it opens is needed before the sources are.
pub(in crate::config) const OUTSIDE: Form<SecretRef> = Form {
    shape: Shape::Shared(
        "secret-outside-of-sources",
        &Shape::OneOf(&[&[&ENV], &[&FILE], &[&CREDENTIAL]]),
    ),
    read: |look| {
        let span = look.node.span;
        let (name, known) = (look.name(), look.diagnostics.references.len());
        match read(look)? {
            SecretRef::Source { .. } => {
                look.diagnostics.references.truncate(known);
                let message = format!("`{name}` cannot be in a source: sources need the state");
                look.diagnostics
                    .mistake(span, message)
                    .help("write `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ credential = \"NAME\" }`");
                None
            }
            reference => Some(reference),
        }
    },
};

/// What is no secret: a plain text or a reference.
pub(in crate::config) const VALUE: Form<ValueRef> = Form {
    shape: Shape::Shared("value", &Shape::TextOr(&SECRET.shape)),
    read: |look| match look.node.value {
        Value::Text(_) => Some(ValueRef::Plain(look.text("…")?.to_owned())),
        _ => read(look).map(ValueRef::Ref),
    },
};

/// A secret that is written back to its file.
pub(in crate::config) const SECRET_FILE: Form<PathBuf> = Form {
    shape: Shape::Shared("secret-file", &Shape::Table(&[&FILE])),
    read: |look| {
        let span = look.node.span;
        match read(look)? {
            SecretRef::File(path) => Some(path),
            _ => {
                look.diagnostics
                    .mistake(span, "`refresh_token` must be in a file")
                    .help("write `{ file = \"PATH\" }`: each token works once, and the next one is written to that file");
                None
            }
        }
    },
};

fn read(look: &mut Look<'_>) -> Option<SecretRef> {
    if !matches!(look.node.value, Value::Table(_)) {
        look.wrong("is a secret, and a secret is never written in the configuration")
            .help(format!("keep it elsewhere and say where: {FORMS}"));
        return None;
    }
    let mut table = look.table(FORMS)?;
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
    if heart.name == SOURCE.name {
        return from_source(look);
    }
    for name in [PATH.name, FIELD.name] {
        if let Some(extra) = table.tree.get(name) {
            let message = format!("`{name}` belongs to a secret in a source");
            table
                .diagnostics
                .mistake(extra.name_span, message)
                .help(format!(
                    "take it out, or write `source` instead of `{}`",
                    heart.name
                ));
        }
    }
    match heart.name.as_str() {
        "env" => table.get(&ENV).map(SecretRef::Env),
        "file" => table.get(&FILE).map(SecretRef::File),
        _ => table.get(&CREDENTIAL).map(SecretRef::Credential),
    }
}

fn from_source(look: &mut Look<'_>) -> Option<SecretRef> {
    let mut table = look.table(FORMS)?;
    let spots = (table.written(&SOURCE), table.written(&PATH));
    let (source, path) = (table.get(&SOURCE), table.get(&PATH));
    let field = table.get(&FIELD);
    let (source, path) = (SourceId::new(source?), path?);
    if let (Some(span), Some(path_span)) = spots {
        table.diagnostics.references.push(Reference {
            span,
            source: source.clone(),
            path: path.clone(),
            path_span,
        });
    }
    Some(SecretRef::Source {
        source,
        path,
        field,
    })
}
