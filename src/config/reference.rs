//! The reference configuration: every setting with its default and a comment. The defaults are read from it.
//!
//! It is put together from the parts of this directory and those of the kinds of source. A copy of the whole,
//! `config/flashback-rotator.toml`, is kept in step by a test.

use std::collections::HashSet;
use std::path::Path;

use super::kinds::Kinds;
use super::{events, providers, root, sources};
use crate::setting::mask::Names;
use crate::setting::tree::Tree;
use crate::setting::variable::Variable;
use crate::setting::{Described, Diagnostics, Shape};

/// The tables before those of the sources, and those behind them.
const BEFORE: &str = include_str!("reference/general.toml");
const BEHIND: &str = include_str!("reference/keys.toml");

/// Returns the reference configuration of a program with these kinds of source.
pub fn reference(kinds: Kinds) -> String {
    let of_sources = kinds.sources.iter().map(|kind| kind.reference);
    let of_triggers = kinds.triggers.iter().map(|kind| kind.reference);
    let of_providers = kinds.providers.iter().map(|kind| kind.reference);
    let of_kinds = of_sources
        .chain(of_triggers)
        .chain(of_providers)
        .filter(|part| !part.is_empty());
    let parts = [BEFORE].into_iter().chain(of_kinds).chain([BEHIND]);
    parts.collect::<Vec<_>>().join("\n")
}

/// Begins to read a configuration: the reference is its first file.
pub fn begin(kinds: Kinds) -> (Diagnostics, Tree) {
    let mut names = Names::default();
    for setting in root::ALL {
        if matches!(setting.shape(), Shape::Ids(_)) {
            names.of_ids.insert(setting.name());
        }
        collect(*setting, kinds, &mut names.known);
    }
    let mut diagnostics = Diagnostics::new(names);
    let path = Path::new("config/flashback-rotator.toml");
    let tree = diagnostics.add_file(path, &reference(kinds));
    (diagnostics, tree)
}

/// Adds the name of a setting, and those of the settings in it.
fn collect(setting: &dyn Described, kinds: Kinds, names: &mut HashSet<String>) {
    names.insert(setting.name().to_owned());
    collect_shape(setting.shape(), kinds, names);
}

fn collect_shape(shape: &Shape, kinds: Kinds, names: &mut HashSet<String>) {
    let mut all = |settings: &[&dyn Described]| {
        for setting in settings {
            collect(*setting, kinds, names);
        }
    };
    match shape {
        Shape::Leaf(_) => {}
        Shape::Text(_) => all(Variable::ALL),
        Shape::Table(settings) => all(settings),
        Shape::Source => {
            let kinds_of = kinds.sources.iter();
            kinds_of.for_each(|kind| all(&sources::settings_of(kind, kinds)));
        }
        Shape::Trigger => {
            let kinds_of = kinds.triggers.iter();
            kinds_of.for_each(|kind| all(&events::settings_of(kind)));
        }
        Shape::Provider => {
            let kinds_of = kinds.providers.iter();
            kinds_of.for_each(|kind| all(&providers::settings_of(kind)));
        }
        Shape::Variants { of, .. } => of.iter().for_each(|(_, settings)| all(settings)),
        Shape::OneOf(lists) => lists.iter().for_each(|settings| all(settings)),
        Shape::Ids(inner) | Shape::TextOr(inner) | Shape::Shared(_, inner) => {
            collect_shape(inner, kinds, names);
        }
    }
}
