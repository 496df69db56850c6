//! A plugin with as much state as its configuration says, that says which version it is.

#[path = "ballast.rs"]
mod ballast;

use hotbay_plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde", deny_unknown_fields)]
struct Config {
    /// So much state.
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
pub(crate) struct Load {
    text: String,
}

pub(crate) struct Carrier {
    state: State<Load>,
}

impl Plugin for Carrier {
    fn create(context: Context) -> Result<Self> {
        let config: Config = context.config()?;
        Ok(Self { state: State::new(Load { text: "x".repeat(config.bytes) }) })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "version" => reply.write(crate::VERSION),
            _ => Err(request.unknown_method()),
        }
    }
}

impl Stateful for Carrier {
    type State = Load;

    fn state(&self) -> &State<Load> {
        &self.state
    }
}
