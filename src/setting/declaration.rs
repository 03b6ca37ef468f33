//! Declares settings. Each table lists its settings once, with [`settings!`]. Reading, the "unknown setting"
//! message with its suggestion, and the JSON Schema all use that list.

use serde_json::Value as Json;

use super::input::{Input, Reader};
use super::span::Span;

/// A setting with a value of type `T`.
pub struct Setting<T: 'static> {
    /// Its name in the table.
    pub name: &'static str,
    /// Its description, for the schema.
    pub about: &'static str,
    /// The consequence of leaving it out.
    pub need: Need,
    /// The syntax of its value.
    pub value_type: &'static ValueType<T>,
}

/// The consequence of leaving a setting out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A mistake is reported.
    Required,
    /// A mistake is reported if `[defaults]` leaves it out, too.
    RequiredOrInherited,
    /// The value of the reference configuration is used.
    Default,
    /// The setting has no value.
    Optional,
}

/// The syntax of a value, and the function that reads it.
pub struct ValueType<T: 'static> {
    /// The syntax.
    pub shape: Shape,
    /// Reads it, or reports why not.
    pub read: fn(&mut Input<'_>) -> Option<T>,
}

impl ValueType<()> {
    /// A value whose syntax the schema shows, and which is read by a function of its own.
    pub const fn described(shape: Shape) -> Self {
        Self {
            shape,
            read: |_| None,
        }
    }
}

/// The syntax of a value, for the schema and for the list of known names.
pub enum Shape {
    /// A plain text, which may come from an environment variable.
    Text(fn() -> Json),
    /// A value that stands here and nowhere else: a number, a switch, the name of a variable.
    Leaf(fn() -> Json),
    /// A table.
    Table(Settings),
    /// A table whose names are the user's.
    Ids(&'static Shape),
    /// A table with the settings of one of the kinds of source.
    Source,
    /// A table with the settings of one of the kinds of trigger.
    Trigger,
    /// A table with the settings of one of the kinds of provider.
    Provider,
    /// A table whose settings depend on the one called `by`.
    Variants {
        /// The setting whose word decides.
        by: &'static str,
        /// Each word, with the settings that belong to it.
        of: &'static [(&'static str, Settings)],
    },
    /// A table with the settings of exactly one of these lists.
    OneOf(&'static [Settings]),
    /// A plain text, or what the other shape says.
    TextOr(&'static Shape),
    /// A shape that many settings have, by its name in the schema.
    Shared(&'static str, &'static Shape),
}

impl Shape {
    /// Returns an example of a value as it is written right of a `=`; `None` for tables.
    pub fn example(&self) -> Option<&'static str> {
        match self {
            Self::Text(_) | Self::Leaf(_) | Self::TextOr(_) => Some("\"…\""),
            Self::Shared("secret" | "secret-file", _) => Some("{ file = \"PATH\" }"),
            Self::Shared(_, inner) => inner.example(),
            Self::Table(_)
            | Self::Ids(_)
            | Self::Source
            | Self::Trigger
            | Self::Provider
            | Self::Variants { .. }
            | Self::OneOf(_) => None,
        }
    }
}

/// The settings of a table.
pub type Settings = &'static [&'static dyn Described];

/// A [`Setting`], whatever the type of its value.
pub trait Described: Sync {
    /// Returns its name.
    fn name(&self) -> &'static str;
    /// Returns its description.
    fn about(&self) -> &'static str;
    /// Returns the consequence of leaving it out.
    fn need(&self) -> Need;
    /// Returns the syntax of its value.
    fn shape(&self) -> &'static Shape;
    /// Reports mistakes in its value, if the table has one.
    fn check(&self, table: &mut Reader<'_, '_>);
}

impl<T> Described for Setting<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn need(&self) -> Need {
        self.need
    }

    fn shape(&self) -> &'static Shape {
        &self.value_type.shape
    }

    fn check(&self, table: &mut Reader<'_, '_>) {
        if table.written(self).is_some() {
            table.get(self);
        }
    }
}

/// One setting of a table, as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Field<T> {
    /// The value; `None` where it was left out and has no default, and where it is wrong.
    pub value: Option<T>,
    /// The place where it was written, valid or not.
    pub span: Option<Span>,
}

impl<T> Field<T> {
    /// Returns this one, or `other` where this one has no value.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self.value {
            Some(_) => self,
            None => other,
        }
    }
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self {
            value: None,
            span: None,
        }
    }
}

/// Lists the settings of a table, one a line. The comment above a setting is its description in the schema,
/// and the word at the end of its line a [`Need`].
///
/// `struct CONFIG, read by TABLE { name: Type = VALUE_TYPE, Need; … }` makes two types. `CONFIG` has a field
/// for each setting. `TABLE` has a constant [`Setting`] and a [`Field`] for each, `TABLE::ALL`, `TABLE::read`
/// for everything that stands in a table, `or` to lay one table over another, and `finish` for the `CONFIG` of
/// it, where nothing is missing.
/// `table TABLE fills CONFIG { … }` is the same for a `CONFIG` that stands elsewhere, and `table TABLE { … }`
/// for none. A field whose name is not the setting's is written `field("name")`.
///
/// `NAME: Type = "name", VALUE_TYPE, Need; …` makes a constant for each setting, and `ALL`.
#[macro_export]
macro_rules! settings {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@type Optional $type:ty) => { Option<$type> };
    (@type $need:ident $type:ty) => { $type };
    (@finish Optional $field:expr) => { $field.value };
    (@finish $need:ident $field:expr) => { $field.value? };

    ($(#[$meta:meta])* $vis:vis struct $config:ident, read by $table:ident { $(
        $(#[doc = $about:literal])+
        $field:ident $(($name:literal))?: $type:ty = $value_type:expr, $need:ident;
    )+ }) => {
        $(#[$meta])*
        $vis struct $config {
            $($(#[doc = $about])+ pub $field: $crate::settings!(@type $need $type),)+
        }

        $crate::settings! {
            #[doc = concat!("What is written of a [`", stringify!($config), "`].")]
            $vis table $table fills $config { $(
                $(#[doc = $about])+
                $field $(($name))?: $type = $value_type, $need;
            )+ }
        }
    };

    ($(#[$meta:meta])* $vis:vis table $table:ident fills $config:ident { $(
        $(#[doc = $about:literal])+
        $field:ident $(($name:literal))?: $type:ty = $value_type:expr, $need:ident;
    )+ }) => {
        $crate::settings! {
            $(#[$meta])*
            $vis table $table { $(
                $(#[doc = $about])+
                $field $(($name))?: $type = $value_type, $need;
            )+ }
        }

        #[allow(dead_code)] // not every table is laid over another
        impl $table {
            /// Returns these settings, and those of `general` where these say nothing.
            $vis fn or(self, general: Self) -> Self {
                Self {
                    $($field: self.$field.or(general.$field),)+
                }
            }

            /// Returns what is written, where nothing that is needed is missing or wrong.
            $vis fn finish(self) -> Option<$config> {
                Some($config {
                    $($field: $crate::settings!(@finish $need self.$field),)+
                })
            }
        }
    };

    ($(#[$meta:meta])* $vis:vis table $table:ident { $(
        $(#[doc = $about:literal])+
        $field:ident $(($name:literal))?: $type:ty = $value_type:expr, $need:ident;
    )+ }) => {
        $(#[$meta])*
        $vis struct $table {
            $($(#[doc = $about])+ pub $field: $crate::setting::declaration::Field<$type>,)+
        }

        // A setting is called as its field is, and not every table is read at once.
        #[allow(non_upper_case_globals, dead_code)]
        impl $table {
            $(
                $(#[doc = $about])+
                $vis const $field: $crate::setting::declaration::Setting<$type> = $crate::setting::declaration::Setting {
                    name: $crate::settings!(@name $field $($name)?),
                    about: concat!($($about),+),
                    need: $crate::setting::declaration::Need::$need,
                    value_type: &$value_type,
                };
            )+

            /// Every setting of the table.
            $vis const ALL: $crate::setting::declaration::Settings = &[$(&Self::$field),+];

            /// Reads a table that has no other settings than these.
            $vis fn of(input: &mut $crate::setting::input::Input<'_>) -> Option<Self> {
                let example = format!("`[{}]` and its settings below it", input.path);
                let mut table = input.table(&example)?;
                table.only(Self::ALL);
                Some(Self::read(&mut table))
            }

            /// Reads every setting of `table`.
            $vis fn read(table: &mut $crate::setting::input::Reader<'_, '_>) -> Self {
                Self {
                    $($field: table.field(&Self::$field),)+
                }
            }
        }
    };

    ($($(#[doc = $about:literal])+ $name:ident: $type:ty = $text:literal, $value_type:expr, $need:ident;)+) => {
        $(
            $(#[doc = $about])+
            pub const $name: $crate::setting::declaration::Setting<$type> = $crate::setting::declaration::Setting {
                name: $text,
                about: concat!($($about),+),
                need: $crate::setting::declaration::Need::$need,
                value_type: &$value_type,
            };
        )+
        /// Every one of these settings.
        pub const ALL: $crate::setting::declaration::Settings = &[$(&$name),+];
    };
}

pub use settings;
