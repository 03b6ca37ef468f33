//! The JSON Schema of the configuration, for completion and checks in editors.
//!
//! It is generated from the lists of settings that the configuration is read with. A test keeps the copy in
//! `config/schema.json` in step.

use serde_json::{Map, Value as Json, json};

use super::key::KeyTable;
use super::kinds::Kinds;
use super::reference::reference;
use super::{events, providers, root, sources};
use crate::setting::variable::Variable;
use crate::setting::{Described, Need, Shape};

/// Returns the schema of a program with these kinds of source, in JSON Schema draft 2020-12.
pub fn schema(kinds: Kinds) -> Json {
    let mut writer = Writer {
        shared: Map::new(),
        defaults: toml::from_str(&reference(kinds)).ok(),
        kinds,
    };
    let mut schema = writer.table(root::ALL, "");
    let Json::Object(top) = &mut schema else {
        return schema;
    };
    // [flashback] can be left out as far as its own defaults go, but not its sign-in.
    top.insert("required".into(), json!(["flashback"]));
    top.insert("allOf".into(), here_or_in_defaults());
    top.insert(
        "$schema".into(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    top.insert("title".into(), json!("flashback-rotator"));
    top.insert("$defs".into(), Json::Object(writer.shared));
    schema
}

/// Returns the rules for settings that each key must have unless `[defaults]` has them.
fn here_or_in_defaults() -> Json {
    let settings = KeyTable::ALL
        .iter()
        .filter(|setting| setting.need() == Need::RequiredOrInherited);
    let rules = settings.map(|setting| {
        let has_it = json!({ "required": [setting.name()] });
        json!({ "anyOf": [
            { "required": ["defaults"], "properties": { "defaults": has_it } },
            { "properties": { "keys": { "additionalProperties": has_it } } },
        ] })
    });
    rules.collect()
}

struct Writer {
    shared: Map<String, Json>,
    defaults: Option<toml::Table>,
    kinds: Kinds,
}

impl Writer {
    fn table(&mut self, settings: &[&dyn Described], path: &str) -> Json {
        let mut properties = Map::new();
        for setting in settings {
            let schema = self.setting(*setting, path);
            properties.insert(setting.name().to_owned(), schema);
        }
        let required: Vec<_> = settings
            .iter()
            .filter(|setting| setting.need() == Need::Required)
            .map(|setting| setting.name())
            .collect();
        let mut table = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            table["required"] = json!(required);
        }
        table
    }

    fn setting(&mut self, setting: &dyn Described, path: &str) -> Json {
        let path = match path {
            "" => setting.name().to_owned(),
            path => format!("{path}.{}", setting.name()),
        };
        let mut schema = self.shape(setting.shape(), &path);
        schema["description"] = json!(setting.about().trim());
        if setting.need() == Need::Default
            && matches!(setting.shape(), Shape::Text(_) | Shape::Leaf(_))
            && let Some(default) = self.default(&path)
        {
            schema["default"] = default;
        }
        schema
    }

    fn shape(&mut self, shape: &Shape, path: &str) -> Json {
        match shape {
            Shape::Leaf(schema) => schema(),
            Shape::Text(schema) => self.or_variable(&schema()),
            Shape::Table(settings) => self.table(settings, path),
            Shape::Ids(inner) => json!({
                "type": "object",
                "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,100}$" },
                "additionalProperties": self.shape(inner, &format!("{path}.*")),
            }),
            Shape::Source => {
                let kinds = self.kinds;
                let all = kinds.sources.iter();
                let all = all.map(|kind| (kind.name, sources::settings_of(kind, kinds)));
                let mut schema = self.variants("type", all, path);
                for table in schema["anyOf"].as_array_mut().into_iter().flatten() {
                    for setting in sources::ALL {
                        if let Some(schema) = table["properties"].get_mut(setting.name()) {
                            schema["description"] = json!(sources::about(*setting, kinds));
                        }
                    }
                }
                schema
            }
            Shape::Trigger => {
                let kinds = self.kinds;
                let source = kinds.sources.iter().find(|kind| {
                    let table = format!("type={}", kind.name);
                    path.split('.').any(|step| step == table)
                });
                let all = source.into_iter().flat_map(|kind| kinds.triggers_of(kind));
                let all = all.map(|kind| (kind.name, events::settings_of(kind)));
                self.variants("type", all, path)
            }
            Shape::Provider => self.providers(path),
            Shape::Variants { by, of } => {
                let all = of.iter().map(|(word, settings)| (*word, settings.to_vec()));
                self.variants(by, all, path)
            }
            Shape::OneOf(all) => {
                let ways = all.iter().map(|settings| self.table(settings, path));
                json!({ "type": "object", "oneOf": ways.collect::<Vec<_>>() })
            }
            Shape::TextOr(other) => {
                let other = self.shape(other, path);
                let text = self.or_variable(&json!({ "type": "string", "minLength": 1 }));
                json!({ "anyOf": [text, other] })
            }
            Shape::Shared(name, inner) => {
                if !self.shared.contains_key(*name) {
                    let schema = self.shape(inner, path);
                    self.shared.insert((*name).to_owned(), schema);
                }
                json!({ "$ref": format!("#/$defs/{name}") })
            }
        }
    }

    fn providers(&mut self, path: &str) -> Json {
        let all = self.kinds.providers.iter();
        let all = all.map(|kind| (kind.name, providers::settings_of(kind)));
        self.variants("type", all, path)
    }

    /// Returns the schema of a table whose settings depend on the word in `by`.
    fn variants<'w>(
        &mut self,
        by: &str,
        all: impl Iterator<Item = (&'w str, Vec<&'static dyn Described>)>,
        path: &str,
    ) -> Json {
        let variants = all.map(|(word, settings)| {
            let mut table = self.table(&settings, &format!("{path}.{by}={word}"));
            let about = table["properties"][by]["description"].take();
            table["properties"][by] = self.or_variable(&json!({ "const": word }));
            table["properties"][by]["description"] = about;
            table
        });
        // Several fit where the word comes from the environment.
        json!({ "type": "object", "anyOf": variants.collect::<Vec<_>>() })
    }

    /// Returns the schema of a text, or of the environment variable that holds it.
    fn or_variable(&mut self, text: &Json) -> Json {
        if !self.shared.contains_key("variable") {
            let schema = self.table(Variable::ALL, "");
            self.shared.insert("variable".to_owned(), schema);
        }
        json!({ "anyOf": [text, { "$ref": "#/$defs/variable" }] })
    }

    /// Returns the value at `path` in the reference, in which `*` is any table and `name=word` one where
    /// the setting `name` is `word`.
    fn default(&self, path: &str) -> Option<Json> {
        let mut places = vec![toml::Value::Table(self.defaults.clone()?)];
        for step in path.split('.') {
            places = places
                .iter()
                .flat_map(|place| follow(place, step))
                .collect();
        }
        serde_json::to_value(places.first()?).ok()
    }
}

fn follow(place: &toml::Value, step: &str) -> Vec<toml::Value> {
    let Some(table) = place.as_table() else {
        return Vec::new();
    };
    if step == "*" {
        return table.values().cloned().collect();
    }
    match step.split_once('=') {
        None => table.get(step).cloned().into_iter().collect(),
        Some((name, word)) => {
            let is_it = table.get(name).and_then(toml::Value::as_str) == Some(word);
            is_it.then(|| place.clone()).into_iter().collect()
        }
    }
}
