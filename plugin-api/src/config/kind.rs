//! What a setting is, as far as a schema tells it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

/// What a value of a configuration is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Kind {
    /// Text.
    Text,
    /// True or false.
    Flag,
    /// A whole number between two, both of them included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number.
    Number,
    /// A list of such.
    List(&'static Kind),
    /// A table of such, with keys of any name.
    Map(&'static Kind),
    /// Such, or it is not there.
    Maybe(&'static Kind),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A table with these keys and no others.
    Table(&'static [Field]),
    /// Anything.
    Any,
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// The lines of its comment.
    pub doc: &'static [&'static str],
    /// What its value is.
    pub kind: Kind,
    /// Of a whole number, the least and the greatest that is meant.
    pub range: Option<(i64, i64)>,
    /// What it is where it is not there, as it is written in Rust.
    pub default: Option<&'static str>,
}

impl Field {
    /// Whether it must be there.
    pub(crate) const fn is_required(&self) -> bool {
        self.default.is_none() && !matches!(self.kind, Kind::Maybe(_))
    }
}

impl Kind {
    pub(crate) const fn is_whole_number(&self) -> bool {
        match self {
            Kind::Integer { .. } => true,
            Kind::Maybe(of) => of.is_whole_number(),
            _ => false,
        }
    }
}

/// A type that a value of a configuration can be of.
pub trait Setting: DeserializeOwned {
    /// What a default of it is written as: `"text"` of a `String`.
    type Default;

    /// What it is, for the schema.
    const KIND: Kind;

    /// A default.
    fn of(default: Self::Default) -> Self;

    /// What it is where it is not there and has no default; `None` where it must be.
    fn absent() -> Option<Self> {
        None
    }
}

macro_rules! settings {
    ($($kind:ty: $of:expr;)*) => {
        $(impl Setting for $kind {
            type Default = Self;
            const KIND: Kind = $of;

            fn of(default: Self) -> Self {
                default
            }
        })*
    };
}

settings! {
    bool: Kind::Flag;
    f64: Kind::Number;
    f32: Kind::Number;
    i8: Kind::Integer { min: i8::MIN as i64, max: i8::MAX as i64 };
    i16: Kind::Integer { min: i16::MIN as i64, max: i16::MAX as i64 };
    i32: Kind::Integer { min: i32::MIN as i64, max: i32::MAX as i64 };
    i64: Kind::Integer { min: i64::MIN, max: i64::MAX };
    u8: Kind::Integer { min: 0, max: u8::MAX as i64 };
    u16: Kind::Integer { min: 0, max: u16::MAX as i64 };
    u32: Kind::Integer { min: 0, max: u32::MAX as i64 };
    // A number of `hotbay.toml` is no greater.
    u64: Kind::Integer { min: 0, max: i64::MAX };
    usize: Kind::Integer { min: 0, max: i64::MAX };
    serde_json::Value: Kind::Any;
}

impl Setting for String {
    type Default = &'static str;
    const KIND: Kind = Kind::Text;

    fn of(default: &'static str) -> Self {
        default.to_owned()
    }
}

impl Setting for PathBuf {
    type Default = &'static str;
    const KIND: Kind = Kind::Text;

    fn of(default: &'static str) -> Self {
        default.into()
    }
}

impl<T: Setting> Setting for Option<T> {
    type Default = Self;
    const KIND: Kind = Kind::Maybe(&T::KIND);

    fn of(default: Self) -> Self {
        default
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    type Default = Self;
    const KIND: Kind = Kind::List(&T::KIND);

    fn of(default: Self) -> Self {
        default
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    type Default = Self;
    const KIND: Kind = Kind::Map(&T::KIND);

    fn of(default: Self) -> Self {
        default
    }
}

/// The name of a field as a key: `r#type` is `type`.
#[doc(hidden)]
#[must_use]
pub const fn plain(name: &'static str) -> &'static str {
    if let [b'r', b'#', rest @ ..] = name.as_bytes() {
        if let Ok(rest) = std::str::from_utf8(rest) {
            return rest;
        }
    }
    name
}
