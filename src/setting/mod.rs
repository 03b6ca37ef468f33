//! The building blocks of a configuration: how a table declares its settings, how it is read, and how mistakes are
//! reported.
//!
//! Nothing here knows which settings there are. Each table is declared with [`settings!`] in the module that owns it:
//! the general tables in the configuration, the tables of a kind of source in that kind. The declaration generates the
//! code that reads the table, the message about an unknown setting with its suggestion, and the JSON Schema. Defaults
//! come from the reference configuration. The value types in [`value_types`] define the syntax of single values.
//!
//! Files are parsed into a [`tree`](tree::Tree) in which every value has a [`Span`]. Mistakes are added to
//! [`Diagnostics`] and reading continues, so that one [`Report`] lists all of them, with span and remedy and without
//! the value.

pub mod declaration;
pub mod diagnostics;
mod foreign;
pub mod input;
pub(crate) mod mask;
pub(crate) mod merge;
pub(crate) mod plain;
mod reader;
pub(crate) mod report;
pub mod span;
pub(crate) mod suggest;
mod syntax;
pub mod tree;
mod twice;
pub mod value_types;
pub(crate) mod variable;

pub use declaration::{Described, Field, Need, Setting, Settings, Shape, ValueType, settings};
pub use diagnostics::Diagnostics;
pub use input::{Choice, Input, Reader};
pub use report::{Mistake, Report};
pub use span::Span;
