//! A plugin's configuration, `[plugin.NAME]` of `hotbay.toml`: its type, the schema that is made of it, and the table that comes
//! when somebody changed it.

mod entries;
mod kind;

pub use entries::Entries;
pub use kind::{Field, Kind, Setting, plain};

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// What a plugin's table may say: a JSON schema, which stands in the manifest.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ConfigSchema {
    /// Any table is handed to the plugin, which looks itself.
    None,
    /// A schema that was written by hand.
    Text(&'static str),
    /// Made of a type.
    Made(Kind),
}

impl ConfigSchema {
    /// The schema of a type that [`config!`](crate::config!) made.
    #[must_use]
    pub const fn of<S: Setting>() -> Self {
        Self::Made(S::KIND)
    }

    /// A schema that was written by hand, JSON. What a host understands of JSON Schema stands in `ABI.md`; one that uses more is refused
    /// with the plugin.
    #[must_use]
    pub const fn json(text: &'static str) -> Self {
        Self::Text(text)
    }
}

/// The plugin's table of `hotbay.toml` as somebody changed it, lent for the length of [`Plugin::on_config`](crate::Plugin::on_config).
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    json: &'a [u8],
}

impl<'a> Table<'a> {
    pub(crate) fn new(json: &'a [u8]) -> Self {
        Self { json }
    }

    /// The table as a type, as [`Context::config`](crate::Context::config) reads the one before.
    ///
    /// # Errors
    /// The table is not of this shape; the error names the key.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        read(self.json)
    }

    /// The table as a JSON object.
    #[must_use]
    pub fn json(&self) -> &'a [u8] {
        self.json
    }
}

/// A table as a type.
pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|e| Error::msg(format_args!("read the plugin's configuration: {e}")))
}

/// Makes the types of a plugin's configuration: structs, whose fields are the keys of a table, and enums, whose variants are words.
///
/// ```
/// # use hotbay_plugin_api::prelude::*;
/// config! {
///     /// The table `[plugin.greeter]` of `hotbay.toml`.
///     struct Settings {
///         /// What is said before the name.
///         greeting: String = "Hello",
///         /// How often.
///         #[range(1..=10)]
///         times: u8 = 1,
///         how: Tone = Tone::Plain,
///         /// Without a default a key must be there; of an `Option` it may be missing.
///         signed: Option<String>,
///     }
///
///     /// How it is said.
///     enum Tone {
///         Plain = "plain",
///         Loud = "loud",
///     }
/// }
/// ```
///
/// They read themselves by serde ([`Context::config`](crate::Context::config)), refuse keys that they do not know, and have a JSON schema, with
/// the comments as its descriptions: `export_plugin!(Greeter { config: ConfigSchema::of::<Settings>() })`. A field is of any type
/// with [`Setting`]: text, truth, numbers, `Option`, `Vec` and `BTreeMap` of such, and types of this macro's own.
#[macro_export]
macro_rules! config {
    () => {};
    (
        $(#[doc = $doc:expr])* $vis:vis struct $name:ident {
            $($(#[doc = $field_doc:expr])* $(#[range($range:expr)])? $field_vis:vis $field:ident : $kind:ty $(= $default:expr)?),* $(,)?
        }
        $($rest:tt)*
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $($(#[doc = $field_doc])* $field_vis $field: $kind,)*
        }

        impl $crate::config::Setting for $name {
            type Default = Self;
            const KIND: $crate::config::Kind = $crate::config::Kind::Table(&[
                $($crate::config::Field {
                    name: $crate::config::plain(stringify!($field)),
                    doc: &[$($field_doc),*],
                    kind: <$kind as $crate::config::Setting>::KIND,
                    range: $crate::config!(@range $($range)?),
                    default: $crate::config!(@text $($default)?),
                }),*
            ]);

            fn of(default: Self) -> Self {
                default
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                let mut entries = $crate::config::Entries::read(from)?;
                let all = Self {
                    $($field: entries.take::<$kind, D::Error>(
                        $crate::config::plain(stringify!($field)),
                        $crate::config!(@range $($range)?),
                        $crate::config!(@value $kind $(, $default)?),
                    )?,)*
                };
                entries.end()?;
                Ok(all)
            }
        }

        $crate::config! { $($rest)* }
    };
    (
        $(#[doc = $doc:expr])* $vis:vis enum $name:ident {
            $($(#[doc = $variant_doc:expr])* $variant:ident = $word:literal),+ $(,)?
        }
        $($rest:tt)*
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name {
            $($(#[doc = $variant_doc])* $variant,)+
        }

        impl $crate::config::Setting for $name {
            type Default = Self;
            const KIND: $crate::config::Kind = $crate::config::Kind::Choice(&[$($word),+]);

            fn of(default: Self) -> Self {
                default
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                let word = <::std::string::String as $crate::serde::Deserialize>::deserialize(from)?;
                match word.as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::serde::de::Error::unknown_variant(&word, &[$($word),+])),
                }
            }
        }

        $crate::config! { $($rest)* }
    };
    (@range) => { None };
    (@range $range:expr) => {
        Some({
            let range: ::core::ops::RangeInclusive<i64> = $range;
            (*range.start(), *range.end())
        })
    };
    (@text) => { None };
    (@text $default:expr) => { Some(stringify!($default)) };
    (@value $kind:ty) => { None };
    (@value $kind:ty, $default:expr) => { Some(|| <$kind as $crate::config::Setting>::of($default)) };
}

#[cfg(test)]
mod tests;
