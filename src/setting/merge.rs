//! Several files of a configuration as one tree.

use super::diagnostics::Diagnostics;
use super::tree::{Tree, Value, join};

/// Adds the tree of another file to `tree`; `path` leads to both. A setting that both have is a mistake
/// at its second place.
pub fn merge(tree: &mut Tree, other: Tree, path: &str, diagnostics: &mut Diagnostics) {
    tree.explicit |= other.explicit;
    for entry in other.entries {
        let full = join(path, &entry.name);
        let Some(mine) = tree.entries.iter_mut().find(|e| e.name == entry.name) else {
            tree.entries.push(entry);
            continue;
        };
        match (&mut mine.node.value, entry.node.value) {
            (Value::Table(first), Value::Table(second)) if !(first.explicit && second.explicit) => {
                if second.explicit {
                    // The header is the better place to point at.
                    mine.node.span = entry.node.span;
                    mine.name_span = entry.name_span;
                }
                merge(first, second, &full, diagnostics);
            }
            (Value::Table(_), Value::Table(_)) => {
                let message = format!("the table `[{full}]` is defined in two files");
                diagnostics
                    .mistake(entry.node.span, message)
                    .help("keep one of the two, and move its settings there")
                    .also(mine.node.span, "it is defined here first");
            }
            _ => {
                diagnostics
                    .mistake(entry.name_span, format!("`{full}` is set in two files"))
                    .help("keep one of the two")
                    .also(mine.name_span, "it is set here first");
            }
        }
    }
}
