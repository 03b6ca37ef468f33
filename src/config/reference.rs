//! The reference configuration, which is where the defaults are.

use std::collections::HashSet;
use std::path::Path;

use super::diagnostics::Diagnostics;
use super::setting::{Settings, Shape};
use super::tree::Tree;
use super::{tables, variable};

/// `config/flashback-rotator.toml`: every setting with its default and a comment.
pub const REFERENCE: &str = include_str!("../../config/flashback-rotator.toml");

/// The reference as a tree. It must be the first file that `findings` takes in.
pub(super) fn tree(diagnostics: &mut Diagnostics) -> Tree {
    let path = Path::new("config/flashback-rotator.toml");
    diagnostics.add_file(path, REFERENCE)
}

/// Whether the names in the table of this name are the user's.
pub(super) fn is_of_ids(name: &str) -> bool {
    let of_ids = |shape| matches!(shape, &Shape::Ids(_));
    tables::ALL
        .iter()
        .any(|table| table.name() == name && of_ids(table.shape()))
}

/// The name of every setting and table there is.
pub(super) fn known_names() -> HashSet<String> {
    let mut names = HashSet::new();
    collect(tables::ALL, &mut names);
    names
}

fn collect(settings: Settings, names: &mut HashSet<String>) {
    for setting in settings {
        names.insert(setting.name().to_owned());
        collect_shape(setting.shape(), names);
    }
}

fn collect_shape(shape: &Shape, names: &mut HashSet<String>) {
    match shape {
        Shape::Leaf(_) => {}
        Shape::Text(_) => collect(variable::ALL, names),
        Shape::Table(settings) => collect(settings, names),
        Shape::Ids(inner) | Shape::TextOr(inner) | Shape::Shared(_, inner) => {
            collect_shape(inner, names);
        }
        Shape::Variants { of, .. } => of.iter().for_each(|(_, settings)| collect(settings, names)),
        Shape::OneOf(all) => all.iter().for_each(|settings| collect(settings, names)),
    }
}
