//! A plugin whose state is as many bytes as its configuration says, that says which version it is.

#[path = "ballast.rs"]
mod ballast;

use hotbay_plugin_api::Bytes;
use hotbay_plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde", deny_unknown_fields)]
struct Config {
    /// So much state.
    bytes: usize,
}

pub(crate) struct Keeper {
    state: State<Bytes>,
}

impl Plugin for Keeper {
    fn create(context: Context) -> Result<Self> {
        let config: Config = context.config()?;
        Ok(Self { state: State::new(Bytes((0..=250).cycle().take(config.bytes).collect())) })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "version" => reply.write(crate::VERSION),
            _ => Err(request.unknown_method()),
        }
    }
}

impl Stateful for Keeper {
    type State = Bytes;

    fn state(&self) -> &State<Bytes> {
        &self.state
    }
}
