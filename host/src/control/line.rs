//! A message, or an item of a stream, as one line of JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use crate::bus::MessageView;

/// What a message says of itself, and its bytes.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "http", schemars(rename = "Message"))]
pub(crate) struct Line<'a> {
    #[serde(flatten)]
    message: MessageView,
    #[serde(flatten)]
    bytes: Item<'a>,
}

/// Bytes: one of `text` and `base64` is there.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub(crate) struct Item<'a> {
    /// The bytes, where they are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// The bytes, where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> Line<'a> {
    /// Of a message with these bytes.
    pub(crate) fn new(message: MessageView, bytes: &'a [u8]) -> Self {
        Self { message, bytes: Item::new(bytes) }
    }
}

impl<'a> Item<'a> {
    /// Of these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        let base64 = text.is_none().then(|| BASE64_STANDARD.encode(bytes));
        Self { text, base64 }
    }
}
