//! Version 1 of a service without state.

#![forbid(unsafe_code)]

#[path = "shared/version.rs"]
mod version;

use hotbay_plugin_api::prelude::*;
use version::Versioned;

const VERSION: &[u8] = b"1";

export_plugin!(Versioned { name: "stateless", version: "1.0.0", methods: &["version"] });
