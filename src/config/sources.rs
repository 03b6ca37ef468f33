//! `[sources.…]`: what a source of any kind has. The rest stands with its kind.

use std::collections::BTreeMap;

use super::events;
use super::kinds::{self, KIND, Kinds, choose};
use super::model::SourceConfig;
use crate::credential::SecretRef;
use crate::model::SourceId;
use crate::setting::diagnostics::{Diagnostics, Reference};
use crate::setting::suggest::{list, which_there_are};
use crate::setting::tree::Value;
use crate::setting::value_types::number::{RATE, SWITCH};
use crate::setting::{Described, Input, Reader, Shape, Span, ValueType, settings};
use crate::source::{Certainty, Hint, Kind, SourceKind};

settings! {
    /// What kind of store it is.
    TYPE: () = "type", KIND, Required;
    /// The calls a second that are made to it, failures and retries included.
    MAX_RPS: f64 = "max_rps", RATE, Default;
    /// Tell the store which version is live, so that whoever rotates knows when the old key can go.
    ACKNOWLEDGE: bool = "acknowledge", SWITCH, Default;
    /// What tells of changes in the source at once, so that it is polled less often.
    EVENTS: () = "events", events::EVENTS, Optional;
}

/// The settings of `[sources.…]`, for the schema.
pub const SOURCES: ValueType<()> = ValueType::described(Shape::Ids(&Shape::Source));

/// The labels that metrics use for other services, which are not available as ids of sources.
const TAKEN: [(&str, &str); 3] = [
    ("flashback", "Flashback itself"),
    ("notify", "the receivers of notifications"),
    ("provider", "the providers of the keys"),
];

/// Returns the settings of a kind's sources in the order in which people write them: tables come last.
pub fn settings_of(kind: &Kind, kinds: Kinds) -> Vec<&'static dyn Described> {
    let is_table = |setting: &&&dyn Described| setting.shape().example().is_none();
    let own = || kind.settings.iter();
    let mut all: Vec<&'static dyn Described> = vec![&TYPE];
    all.extend(own().filter(|setting| !is_table(setting)));
    all.push(&MAX_RPS);
    if kind.acknowledges.is_some() {
        all.push(&ACKNOWLEDGE);
    }
    all.extend(own().filter(is_table));
    if kinds.triggers_of(kind).next().is_some() {
        all.push(&EVENTS);
    }
    all
}

/// Returns the description of a setting of `[sources.…]`, with what the kinds have to say of it.
pub fn about(setting: &dyn Described, kinds: Kinds) -> String {
    let about = setting.about().trim();
    if setting.name() == TYPE.name {
        let names = kinds.sources.iter().map(|kind| kind.name);
        return format!("{}.", kinds::about(setting, names));
    }
    if setting.name() == ACKNOWLEDGE.name {
        return format!("{about} {} can be told.", who_acknowledges(kinds));
    }
    about.to_owned()
}

/// Returns the names of the sources that accept acknowledgements, joined for a sentence.
fn who_acknowledges(kinds: Kinds) -> String {
    let who = kinds.sources.iter().filter_map(|kind| kind.acknowledges);
    list(who).replace('`', "").replace(" or ", " and ")
}

/// A source, as its own table describes it.
pub struct Source {
    /// The name of its table.
    pub id: SourceId,
    /// The secrets that its table refers to.
    pub references: Vec<Reference>,
    /// Its settings; `None` where they are wrong.
    pub config: Option<SourceConfig>,
}

/// Reads all `[sources.…]` tables.
pub fn read(root: &mut Reader<'_, '_>, kinds: Kinds) -> Vec<Source> {
    for entry in root
        .tree
        .table("sources")
        .iter()
        .flat_map(|sources| &sources.entries)
    {
        if let Some((id, what)) = TAKEN.iter().find(|(id, _)| entry.name == *id) {
            root.diagnostics
                .mistake(entry.name_span, format!("the id `{id}` is taken"))
                .help(format!(
                    "metrics call {what} so: give the source another id"
                ));
        }
    }
    root.entries("sources", "source", |id, input| Source {
        id: SourceId::new(id),
        config: read_one(input, kinds),
        references: std::mem::take(&mut input.diagnostics.references),
    })
}

fn read_one(input: &mut Input<'_>, kinds: Kinds) -> Option<SourceConfig> {
    let mut table = input.table("`type`, and what belongs to it, below `[sources.ID]`")?;
    let words = kinds.sources.iter().map(|kind| (kind.name, kind));
    let any = |kind: &'static Kind| [ALL, kind.settings].concat();
    let kind = choose(&mut table, &TYPE, &words.collect::<Vec<_>>(), any)?;
    table.of_variant(TYPE.name, kind.name);
    report_misplaced(&mut table, kind, kinds);
    let max_rps = table.get(&MAX_RPS);
    let acknowledge = match kind.acknowledges {
        Some(_) => table.get(&ACKNOWLEDGE),
        None => Some(false),
    };
    let settings = (kind.read)(&mut table);
    let mut events = Some(None);
    if let Some(settings) = &settings {
        refuse_acknowledge(&mut table, kind, settings.as_ref(), kinds);
        events = events::read(&mut table, &EVENTS, kind, settings.as_ref(), kinds);
    }
    Some(SourceConfig {
        max_rps: max_rps?,
        acknowledge: acknowledge?,
        title: kind.title,
        events: events?,
        kind: settings?,
    })
}

/// Reports the settings that this kind does not have. For a setting that only another kind has, the message says
/// so; `acknowledge` is left to [`refuse_acknowledge`], which knows the reason.
fn report_misplaced(table: &mut Reader<'_, '_>, kind: &Kind, kinds: Kinds) {
    let mut known = settings_of(kind, kinds);
    if kind.acknowledges.is_none() && table.written(&ACKNOWLEDGE).is_some() {
        known.push(&ACKNOWLEDGE);
    }
    let others = kinds.sources.iter().filter(|other| other.name != kind.name);
    for (other, (name, help)) in
        others.flat_map(|other| other.alone.iter().map(move |it| (other, it)))
    {
        let Some(entry) = table.tree.get(name) else {
            continue;
        };
        if known.iter().any(|setting| setting.name() == *name) {
            continue;
        }
        known.extend(
            other
                .settings
                .iter()
                .find(|setting| setting.name() == *name),
        );
        let message = format!("`{name}` is for `{}` alone", other.name);
        table
            .diagnostics
            .mistake(entry.node.span, message)
            .help(*help);
    }
    table.only(&known);
}

/// Reports `acknowledge` if the source cannot record which version is live.
fn refuse_acknowledge(
    table: &mut Reader<'_, '_>,
    kind: &Kind,
    settings: &dyn SourceKind,
    kinds: Kinds,
) {
    const NEVER: &str = "a source of this kind cannot be told which version is live";
    let never = kind.acknowledges.is_none().then_some(NEVER);
    if let Some(why) = settings.cannot_acknowledge().or(never)
        && let Some(entry) = table.tree.get(ACKNOWLEDGE.name)
        && !matches!(entry.node.value, Value::Boolean(false))
    {
        let help = format!(
            "take `acknowledge` out; {} can be told",
            who_acknowledges(kinds)
        );
        table.diagnostics.mistake(entry.node.span, why).help(help);
    }
}

/// The sources, including those with mistakes, so that a key which names one of them is not reported for naming an
/// unknown source.
pub struct Sources(pub BTreeMap<SourceId, Option<SourceConfig>>);

impl Sources {
    /// Returns `true` if there is such a source, and otherwise reports at `span` that there is none.
    pub fn knows(&self, id: &SourceId, span: Span, diagnostics: &mut Diagnostics) -> bool {
        if self.0.contains_key(id) {
            return true;
        }
        let names = self.0.keys().map(SourceId::as_str);
        diagnostics
            .missing(span, "there is no such source")
            .help(which_there_are(id.as_str(), "source", names));
        false
    }

    /// Reports what is wrong with a secret reference to a source.
    pub fn check_reference(
        &self,
        secret: &SecretRef,
        span: Span,
        path_span: Span,
        diagnostics: &mut Diagnostics,
    ) {
        if let SecretRef::Source { source, path, .. } = secret
            && self.knows(source, span, diagnostics)
        {
            self.check_path(source, path, path_span, diagnostics);
        }
    }

    /// Returns the sources if none of them has a mistake.
    pub fn finish(self) -> Option<BTreeMap<SourceId, SourceConfig>> {
        self.0
            .into_iter()
            .map(|(id, config)| Some((id, config?)))
            .collect()
    }

    /// Reports mistakes and doubts about a path in a source that can be seen without asking the source.
    pub fn check_path(
        &self,
        source: &SourceId,
        path: &str,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) {
        let source = self.0.get(source).and_then(Option::as_ref);
        match source.and_then(|source| source.kind.check_path(path)) {
            Some(Hint {
                text,
                certainty: Certainty::Certain,
            }) => {
                let (what, help) = text.split_once(": ").unwrap_or((&text, ""));
                diagnostics.mistake(span, what).help(help);
            }
            Some(Hint {
                text,
                certainty: Certainty::Likely,
            }) => diagnostics.warn(Some(span), text),
            _ => {}
        }
    }
}
