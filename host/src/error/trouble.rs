//! What went wrong, on its way to whoever is told: a text with its code.

use std::fmt;
use std::ops::Deref;

use super::Code;

/// An error of which each variant has a code. The matches have no wildcard: a variant without a code does not compile.
pub(crate) trait Coded: std::error::Error {
    /// What kind of trouble it is.
    fn code(&self) -> Code;

    /// The whole of it on one line.
    fn in_words(&self) -> String {
        self.to_string()
    }
}

/// What went wrong, in words, and its code. As a `str` it is the words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// What kind of trouble it is.
    pub code: Code,
    /// In words, on one line; mostly it completes the sentence "failed to …".
    pub text: String,
}

impl Trouble {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The same trouble, told in other words.
    pub(crate) fn told(&self, tell: impl FnOnce(&str) -> String) -> Self {
        Self { code: self.code, text: tell(&self.text) }
    }

    /// The same trouble, with words before it.
    pub(crate) fn within(&self, before: impl fmt::Display) -> Self {
        self.told(|text| format!("{before}: {text}"))
    }
}

impl<E: Coded> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self { code: error.code(), text: error.in_words() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Deref for Trouble {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// Why something is as it is: trouble, or something that is meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) code: Option<Code>,
    pub(crate) text: String,
}

impl Why {
    /// As trouble: where it is none, it is what stands in the way of something else.
    pub(crate) fn as_trouble(&self, otherwise: Code) -> Trouble {
        Trouble { code: self.code.unwrap_or(otherwise), text: self.text.clone() }
    }
}

impl From<Trouble> for Why {
    fn from(Trouble { code, text }: Trouble) -> Self {
        Self { code: Some(code), text }
    }
}

impl From<&Trouble> for Why {
    fn from(trouble: &Trouble) -> Self {
        trouble.clone().into()
    }
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self { code: None, text }
    }
}

impl From<&str> for Why {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// A code as it is shown in data: text, since another host may know others.
pub(crate) fn shown(code: Option<Code>) -> (Option<String>, Option<super::Blame>) {
    (code.map(|code| code.to_string()), code.map(Code::blame))
}
