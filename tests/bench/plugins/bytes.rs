//! Version 1 of a service whose state is bytes.

#![forbid(unsafe_code)]

#[path = "shared/bytes.rs"]
mod bytes;

use bytes::Keeper;
use hotbay_plugin_api::prelude::*;

const VERSION: &[u8] = b"1";

export_plugin!(Keeper: Stateful { name: "bytes", version: "1.0.0", methods: &["version"] });
