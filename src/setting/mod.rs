//! The building blocks of a configuration: how a table declares its settings, how it is read, and how mistakes are
//! reported.
//!
//! Nothing here knows which settings there are. Whoever owns a table declares it with [`settings!`]: the
//! configuration for its own tables, each kind of source for its own. From that one list come the reading,
//! the "unknown setting" with its suggestion, and the JSON Schema. The defaults are not in it: they are read from
//! the reference configuration, which people write. The value types in [`value_types`] say how a single value is
//! written.
//!
//! Files are parsed into a [`tree`](tree::Tree) in which every value knows its [`Span`]. What is wrong goes into
//! [`Diagnostics`], which goes on reading, so that every mistake is in one [`Report`], with its place and a
//! remedy and without the value.

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
