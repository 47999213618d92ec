//! The table of keys: one declaration from which everything else follows.
//!
//! A section is declared once, with [`section!`] or [`entry!`]: each key with its documentation,
//! the Rust type that consumers see, the kind of value that operators write, and its default. From
//! that come the public struct, the reader with its unknown-key detection, the way drop-ins are
//! layered over each other, and the configuration reference. There is no second list of keys.
//!
//! Nothing here knows a single key; those are in [`sections`](crate::sections).

use std::collections::BTreeMap;

use crate::mistake::Mistake;
use crate::place::Origin;
use crate::value::{Node, Table, Value};

/// A kind of value that an operator can write.
pub(crate) trait Kind {
    /// What consumers get.
    type Out;

    /// Describes what may be written.
    fn shape() -> Shape;

    /// Reads what was written; a mistake is recorded and yields `None`.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Out>;

    /// Writes a value as an operator would; empty where it is best left out.
    fn show(out: &Self::Out) -> String;
}

/// A table with known keys.
pub(crate) trait Section: Sized {
    /// The keys.
    const SCHEMA: &'static Schema;

    /// Reads every key; each mistake is recorded, and a missing value yields `None`.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;
}

/// The keys of a table, and what the table is about.
pub(crate) struct Schema {
    /// Documentation of the table.
    pub(crate) about: &'static str,
    /// The keys that tell one entry of a list of tables from another; the first one that is
    /// written counts. Empty for tables that stand alone.
    pub(crate) identity: &'static [&'static str],
    /// The keys in the order in which they are documented.
    pub(crate) keys: &'static [Key],
}

/// One key.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) shape: fn() -> Shape,
    pub(crate) fallback: fn() -> Fallback,
}

/// What may be written for a key.
pub(crate) enum Shape {
    /// A scalar or a list of them, in words.
    Value(String),
    /// One of these words, each with its meaning.
    Words(&'static [(&'static str, &'static str)]),
    /// A table with known keys.
    Table(&'static Schema),
    /// A list of tables with known keys.
    Tables(&'static Schema),
    /// A table with any keys, in words.
    Free(&'static str),
}

/// What counts where a key is not written.
pub(crate) enum Fallback {
    /// It has to be written.
    Required,
    /// This, as an operator would write it; empty for "nothing".
    Shown(String),
    /// This, in words.
    Told(&'static str),
}

/// Collects what reading a document brings to light.
#[derive(Default)]
pub(crate) struct Reader {
    path: String,
    pub(crate) incomplete: bool,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) origins: BTreeMap<String, Origin>,
    /// Keys of the document's own table that are not for this document.
    pub(crate) reserved: &'static [&'static str],
}

impl Reader {
    /// Makes a reader; `incomplete` tells that parts of the document are known to be missing, so
    /// that a missing key is no news.
    pub(crate) fn of(incomplete: bool) -> Self {
        Self { incomplete, ..Self::default() }
    }

    /// Returns the dotted path of what is being read.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Runs `read` one step further down the dotted path.
    pub(crate) fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        let result = read(self);
        self.path.truncate(length);
        result
    }

    /// Remembers where the value that is being read was written.
    pub(crate) fn remember(&mut self, node: &Node) {
        self.origins.insert(self.path.clone(), node.origin.clone());
    }

    /// Records a mistake about the key that is being read, and yields nothing.
    pub(crate) fn refuse<T>(
        &mut self,
        origin: &Origin,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<T> {
        self.mistakes.push(Mistake::new(origin, self.path.as_str(), message, remedy));
        None
    }

    /// Records that a value is not what was expected, and yields nothing.
    pub(crate) fn refuse_kind<T>(&mut self, node: &Node, what: &str, remedy: &str) -> Option<T> {
        let found = quoted(&node.value);
        self.refuse(&node.origin, format!("not {what}: {found}"), remedy)
    }

    /// Returns the table that `node` has to be, having refused every key it must not have.
    pub(crate) fn table<'n>(&mut self, node: &'n Node, schema: &Schema) -> Option<&'n Table> {
        let Value::Table(table) = &node.value else {
            let remedy = match self.path.as_str() {
                path if schema.identity.is_empty() => format!("write it as a table: [{path}]"),
                _ => "write each entry as a table of its own, in double brackets".to_owned(),
            };
            return self.refuse_kind(node, "a table", &remedy);
        };
        for (name, entry) in &table.0 {
            if schema.keys.iter().all(|key| key.name != name) {
                let reserved = if self.path.is_empty() { self.reserved } else { &[] };
                let remedy = remedy_for_unknown(name, schema, reserved);
                self.within(name, |reader| {
                    reader.refuse::<()>(&entry.key, "unknown key", remedy);
                });
            }
        }
        Some(table)
    }

    /// Reads the value of one key, or takes its default.
    pub(crate) fn field<K: Kind>(
        &mut self,
        node: &Node,
        table: &Table,
        name: &'static str,
        default: Option<fn() -> K::Out>,
    ) -> Option<K::Out> {
        self.within(name, |reader| {
            let Some(value) = table.get(name) else {
                return default
                    .map(|make| make())
                    .or_else(|| reader.refuse(&node.origin, "missing", format!("add {name} = …")));
            };
            reader.remember(value);
            K::read(value, reader).or_else(|| default.map(|make| make()))
        })
    }
}

/// Writes a value for a message: scalars as in TOML, everything else by its kind.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.scalar().unwrap_or_else(|| other.kind().to_owned()),
    }
}

fn remedy_for_unknown(name: &str, schema: &Schema, reserved: &[&str]) -> String {
    let names = schema.keys.iter().map(|key| key.name).filter(|name| !reserved.contains(name));
    match nearest(name, names.clone()) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let names: Vec<&str> = names.collect();
            format!("remove it; the keys here are {}", names.join(", "))
        }
    }
}

/// Returns the candidate that `word` most likely stands for, if one is near enough.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = word.to_lowercase().replace('-', "_");
    let tolerance = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Declares a table all of whose keys have defaults.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $type:ty as $kind:ty = $default:expr $(; $told:literal)?,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::schema::Section for $name {
            const SCHEMA: &'static $crate::schema::Schema = &$crate::schema::Schema {
                about: concat!($($about, "\n"),*),
                identity: &[],
                keys: &[ $( $crate::schema::key!(
                    [$($doc)*] $field $kind [$default] [$($told)?]
                ), )* ],
            };

            fn read(
                node: &$crate::value::Node,
                reader: &mut $crate::schema::Reader,
            ) -> Option<Self> {
                let table = reader.table(node, Self::SCHEMA)?;
                $( let $field = reader.field::<$kind>(
                    node, table, stringify!($field), Some(|| $default),
                ); )*
                Some(Self { $( $field: $field?, )* })
            }
        }
    };
}

/// Declares a table that has keys without a default, or that stands in a list with others like it.
///
/// Such a table remembers its place. Two of them are equal wherever they were written.
macro_rules! entry {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident by [$($identity:literal),*] {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $type:ty as $kind:ty $(= $default:expr)? $(; $told:literal)?,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
            /// Its dotted key, such as `user.3`.
            pub key: String,
            /// Where it was written.
            pub origin: $crate::place::Origin,
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                true $( && self.$field == other.$field )*
            }
        }

        impl $crate::schema::Section for $name {
            const SCHEMA: &'static $crate::schema::Schema = &$crate::schema::Schema {
                about: concat!($($about, "\n"),*),
                identity: &[$($identity),*],
                keys: &[ $( $crate::schema::key!(
                    [$($doc)*] $field $kind [$($default)?] [$($told)?]
                ), )* ],
            };

            fn read(
                node: &$crate::value::Node,
                reader: &mut $crate::schema::Reader,
            ) -> Option<Self> {
                let table = reader.table(node, Self::SCHEMA)?;
                $( let $field = reader.field::<$kind>(
                    node, table, stringify!($field), $crate::schema::default!($($default)?),
                ); )*
                let (key, origin) = (reader.path().to_owned(), node.origin.clone());
                Some(Self { $( $field: $field?, )* key, origin })
            }
        }
    };
}

/// Makes one row of a [`Schema`].
macro_rules! key {
    ([$($doc:literal)*] $field:ident $kind:ty [$($default:expr)?] [$($told:literal)?]) => {
        $crate::schema::Key {
            name: stringify!($field),
            doc: concat!($($doc, "\n"),*),
            shape: <$kind as $crate::schema::Kind>::shape,
            fallback: || $crate::schema::fallback!($kind, [$($default)?] [$($told)?]),
        }
    };
}

/// Makes the optional default of a key a function.
macro_rules! default {
    () => {
        None
    };
    ($default:expr) => {
        Some(|| $default)
    };
}

/// Makes the documented default of a key.
macro_rules! fallback {
    ($kind:ty, [] []) => {
        $crate::schema::Fallback::Required
    };
    ($kind:ty, [$($default:expr)?] [$told:literal]) => {
        $crate::schema::Fallback::Told($told)
    };
    ($kind:ty, [$default:expr] []) => {
        $crate::schema::Fallback::Shown(<$kind as $crate::schema::Kind>::show(&$default))
    };
}

pub(crate) use {default, entry, fallback, key, section};
