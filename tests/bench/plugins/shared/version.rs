//! A plugin without state that says which version it is.

#[path = "ballast.rs"]
mod ballast;

use hotbay_plugin_api::prelude::*;

pub(crate) struct Versioned;

impl Plugin for Versioned {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "version" => reply.write(crate::VERSION),
            _ => Err(request.unknown_method()),
        }
    }
}
