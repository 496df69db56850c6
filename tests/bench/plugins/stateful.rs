//! Version 1 of a service with state.

#![forbid(unsafe_code)]

#[path = "shared/carrier.rs"]
mod carrier;

use carrier::Carrier;
use hotbay_plugin_api::prelude::*;

const VERSION: &[u8] = b"1";

export_plugin!(Carrier: Stateful { name: "stateful", version: "1.0.0", methods: &["version"] });
