//! `[discover.…]`: rules that make keys of what a source has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::key::{self, AI_TYPES, FIELDS};
use super::keys::{General, check_of};
use super::model::RuleConfig;
use super::sources::Sources;
use super::verify::{VERIFY, Verify};
use crate::discovery::template::VARIABLES;
use crate::discovery::{OnRemoved, Pattern, Rule, Template};
use crate::document::FieldMap;
use crate::model::{RuleId, SourceId};
use crate::setting::mask::shown_name;
use crate::setting::suggest::{list, suggest};
use crate::setting::tree::{Tree, Value};
use crate::setting::value_types::place;
use crate::setting::value_types::text::{TEXT, words};
use crate::setting::value_types::time::{INTERVAL, RHYTHM, Rhythm, WATCH, within};
use crate::setting::{Choice, Diagnostics, Input, Reader, Shape, Span, ValueType, settings};
use crate::source::MOST_ENTRIES;

settings! {
    /// The settings of a rule, as they are written. Each text of `name`, `ai_type`, `endpoint` and `workspace_id` may have variables in it: {path}, {last}, {parent}, {meta.NAME}, {tag.NAME}.
    pub table RuleTable {
        /// The source that is listed: the name of a `[sources.…]` table.
        source: String = TEXT, RequiredOrInherited;
        /// Which secrets are keys: a glob. Vault: below the mount. AWS: names. Files: below the directory. `*` stands for any part of a name, `**` for any folders.
        path: String = TEXT, Default;
        /// Globs of the secrets that are none of them.
        exclude: Vec<String> = TEXTS, Optional;
        /// Tags that the secrets have, each with its value. Vault: entries of their custom metadata.
        tags: BTreeMap<String, String> = TAGS, Optional;
        /// How often it is listed. Where the source has events, what is new is found at once.
        every: Duration = EVERY, Default;
        /// The name of each key in Flashback, unique in the workspace.
        name: Template = TEMPLATE, Default;
        /// The provider of each key: OPENAI, GOOGLE, ANTHROPIC, AWS or OTHER.
        ai_type: Template = AI_TYPE, RequiredOrInherited;
        /// The provider's base URL. OPENAI, ANTHROPIC and GOOGLE have a default; AWS and OTHER need one.
        endpoint: Template = ENDPOINT, Optional;
        /// The workspace of each key. Default: that of `[flashback]`.
        workspace_id: Template = TEMPLATE, Optional;
        /// Which stored fields are the credentials. Can be left out where each secret is one plain text or has one field.
        fields: FieldMap = FIELDS, Optional;
        /// When each key is looked at, as in `[schedule]`. Default: what stands there.
        check: Rhythm = RHYTHM, Optional;
        /// How old the live version of each key may be before people are warned; "off" for no limit, which is the default.
        max_age: Option<Duration> = WATCH, Optional;
        /// The verification of each key; what is left out is taken from `[verify]`.
        verify: Verify = VERIFY, Optional;
        /// More secrets than this are an error, and change nothing.
        limit: usize = LIMIT, Default;
        /// "keep": a configuration whose secret is gone stays in Flashback; "delete": what this rule has created there is deleted a day later.
        on_removed: OnRemoved = ON_REMOVED, Default;
    }
}

/// A rule, as its own table describes it.
pub struct Discover {
    /// The name of its table.
    id: RuleId,
    /// The place of its table in the files.
    span: Span,
    /// The settings in its table.
    table: RuleTable,
}

/// The settings of `[discover.…]`, for the schema.
pub const DISCOVER: ValueType<()> = ValueType::described(Shape::Ids(&Shape::Table(RuleTable::ALL)));

/// Reads all `[discover.…]` tables.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Discover> {
    let rules = root.entries("discover", "rule", |id, input| {
        let mut input = input.table("the rule's settings below `[discover.ID]`")?;
        input.only(RuleTable::ALL);
        Some(Discover {
            id: RuleId::new(id),
            span: input.span,
            table: RuleTable::read(&mut input),
        })
    });
    rules.into_iter().flatten().collect()
}

/// Checks and completes the rules. Returns `None` if one is invalid, after reporting it to `diagnostics`.
pub fn check_rules(
    rules: Vec<Discover>,
    sources: &Sources,
    general: &General,
    reference: &Tree,
    diagnostics: &mut Diagnostics,
) -> Option<BTreeMap<RuleId, Arc<RuleConfig>>> {
    let mut configs = Some(BTreeMap::new());
    for rule in rules {
        let pattern = pattern(&rule, diagnostics);
        check_source(&rule, pattern.as_ref(), sources, diagnostics);
        check_workspace(&rule, general, diagnostics);
        let id = rule.id.clone();
        let config = finish_rule(rule, pattern, general, reference);
        configs = configs.zip(config).map(|(mut configs, config)| {
            configs.insert(id, Arc::new(config));
            configs
        });
    }
    configs
}

fn pattern(rule: &Discover, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let (path, exclude) = (&rule.table.path, &rule.table.exclude);
    let none = Vec::new();
    let globs = exclude.value.as_ref().unwrap_or(&none);
    let written = path.value.as_deref()?;
    match Pattern::new(written, globs) {
        Ok(pattern) => Some(pattern),
        Err(wrong) => {
            let (name, span) = match wrong == written {
                true => ("path", path.span),
                false => ("exclude", exclude.span),
            };
            diagnostics
                .mistake(span.unwrap_or(rule.span), format!("`{name}` is no glob"))
                .help("write one such as `llm/**` or `llm/*/openai-?`; a `[` and a `{` are closed");
            None
        }
    }
}

fn check_source(
    rule: &Discover,
    pattern: Option<&Pattern>,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
) {
    let source = &rule.table.source;
    if let (Some(id), Some(span)) = (source.value.as_ref().map(SourceId::new), source.span)
        && sources.knows(&id, span, diagnostics)
        && let (Some(pattern), Some(span)) = (pattern, rule.table.path.span)
    {
        let prefix = pattern.prefix().trim_end_matches('/');
        if !prefix.is_empty() {
            sources.check_path(&id, prefix, span, diagnostics);
        }
    }
}

fn check_workspace(rule: &Discover, general: &General, diagnostics: &mut Diagnostics) {
    if rule.table.workspace_id.span.is_none() && !general.names_workspace {
        let id = shown_name(rule.id.as_str());
        diagnostics
            .missing(rule.span, format!("`[discover.{id}]` has no workspace"))
            .help("write `workspace_id` in it, or in `[flashback]` for all keys");
    }
}

fn finish_rule(
    rule: Discover,
    pattern: Option<Pattern>,
    general: &General,
    reference: &Tree,
) -> Option<RuleConfig> {
    let table = rule.table;
    let general_workspace = general.workspace_id.clone();
    let workspace_id = match table.workspace_id.span {
        Some(_) => table.workspace_id.value?,
        None => Template::plain(general_workspace.clone()?),
    };
    let is_wrong = |span: Option<Span>, read: bool| span.is_some() && !read;
    if is_wrong(table.endpoint.span, table.endpoint.value.is_some())
        || is_wrong(table.exclude.span, table.exclude.value.is_some())
        || is_wrong(table.tags.span, table.tags.value.is_some())
        || is_wrong(table.fields.span, table.fields.value.is_some())
    {
        return None;
    }
    let verify = table.verify.value.unwrap_or_default();
    let (check, check_with_events) = check_of(table.check.value, general)?;
    Some(RuleConfig {
        rule: Rule {
            id: rule.id,
            source: SourceId::new(table.source.value?),
            pattern: pattern?,
            tags: table.tags.value.unwrap_or_default(),
            every: table.every.value?,
            name: table.name.value?,
            ai_type: table.ai_type.value?,
            endpoint: table.endpoint.value,
            workspace_id,
            general_workspace,
            fields: table.fields.value.unwrap_or_default(),
            limit: table.limit.value?,
            on_removed: table.on_removed.value?,
            endpoints: key::endpoints(reference),
        },
        check,
        check_with_events,
        verify: verify.or(general.verify).finish()?,
        max_age: table.max_age.value.flatten(),
    })
}

/// A text with variables.
const TEMPLATE: ValueType<Template> = ValueType {
    shape: TEXT.shape,
    read: |input| {
        let text = input.text("{last}")?;
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                input.wrong(&error.to_string()).help(VARIABLES);
                None
            }
        }
    },
};

/// A provider, or a text with variables.
const AI_TYPE: ValueType<Template> = ValueType {
    shape: Shape::Text(|| {
        let template = json!({ "type": "string", "pattern": "\\{" });
        json!({ "anyOf": [words(AI_TYPES), template] })
    }),
    read: |input| {
        let template = (TEMPLATE.read)(input)?;
        let known = || AI_TYPES.iter().map(|(word, _)| *word);
        if let Some(word) = template.constant()
            && !known().any(|known| known == word)
        {
            let help = match suggest(word, known()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("it is one of {}, or has variables in it", list(known())),
            };
            input.wrong("is no provider").help(help);
            return None;
        }
        Some(template)
    },
};

/// A URL, or a text with variables.
const ENDPOINT: ValueType<Template> = ValueType {
    shape: TEXT.shape,
    read: |input| {
        let template = (TEMPLATE.read)(input)?;
        match template.constant() {
            Some(_) => (place::ENDPOINT.read)(input).map(Template::plain),
            None => Some(template),
        }
    },
};

/// The shortest time between two listings.
const SHORTEST: Duration = Duration::from_secs(1);

const EVERY: ValueType<Duration> = ValueType {
    shape: INTERVAL.shape,
    read: |input| {
        let every = (INTERVAL.read)(input)?;
        within(input, every, SHORTEST, "must be 1s or longer")
    },
};

const TEXTS: ValueType<Vec<String>> = ValueType {
    shape: Shape::Leaf(
        || json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
    ),
    read: |input| {
        let Value::Array(items) = &input.node.value else {
            let help = format!("write `{} = [\"llm/tmp/*\"]`", input.name());
            input.wrong_kind("a list of texts").help(help);
            return None;
        };
        let texts = items.iter().map(|node| {
            let mut item = Input {
                node,
                path: input.path,
                defaults: Vec::new(),
                variable: input.variable,
                diagnostics: input.diagnostics,
            };
            (TEXT.read)(&mut item)
        });
        // Each is read before any is missed, so that every mistake is found.
        texts.collect::<Vec<_>>().into_iter().collect()
    },
};

const TAGS: ValueType<BTreeMap<String, String>> = ValueType {
    shape: Shape::Leaf(
        || json!({ "type": "object", "additionalProperties": { "type": "string", "minLength": 1 } }),
    ),
    read: |input| {
        let table = input.table("`tags = { team = \"ai\" }`")?;
        let diagnostics = table.diagnostics;
        let tags = table.tree.entries.iter().map(|entry| {
            let mut item = Input {
                node: &entry.node,
                path: "tags",
                defaults: Vec::new(),
                variable: None,
                diagnostics,
            };
            Some((entry.name.clone(), (TEXT.read)(&mut item)?))
        });
        tags.collect::<Vec<_>>().into_iter().collect()
    },
};

const LIMIT: ValueType<usize> = ValueType {
    shape: Shape::Leaf(|| json!({ "type": "integer", "minimum": 1, "maximum": MOST_ENTRIES })),
    read: |input| {
        let limit = match input.node.value {
            Value::Integer(Some(number)) => usize::try_from(number).ok(),
            _ => None,
        };
        let limit = limit.filter(|limit| (1..=MOST_ENTRIES).contains(limit));
        if limit.is_none() {
            input
                .wrong(&format!("must be a whole number from 1 to {MOST_ENTRIES}"))
                .help("write `limit = 500`");
        }
        limit
    },
};

const ON_REMOVEDS: Choice<OnRemoved> = &[("keep", OnRemoved::Keep), ("delete", OnRemoved::Delete)];

const ON_REMOVED: ValueType<OnRemoved> = ValueType {
    shape: Shape::Text(|| words(ON_REMOVEDS)),
    read: |input| input.choice(ON_REMOVEDS),
};
