//! A Hotbay plugin: greets, and counts whom it greeted. The count goes on over each swap and restart.

#![forbid(unsafe_code)]

use hotbay_plugin_api::prelude::*;

/// What goes on to the next version. Add fields with `#[serde(default)]` freely.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Greeted {
    count: u64,
}

config! {
    /// What the plugin's table of `hotbay.toml` may say: the host checks it before it loads the plugin.
    struct Settings {
        /// What is said before the name.
        greeting: String = "Hello",
    }
}

/// One loaded version of the plugin.
struct Template {
    settings: Settings,
    state: State<Greeted>,
}

impl Plugin for Template {
    fn create(context: Context) -> Result<Self> {
        Ok(Self { settings: context.config()?, state: State::default() })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "greet" => {
                let name = request.text()?;
                self.state.write().count += 1;
                tracing::info!(name, "greeted");
                reply.write(format!("{}, {name}!", self.settings.greeting).as_bytes())
            }
            "count" => reply.json(&self.state.read().count),
            _ => Err(request.unknown_method()),
        }
    }
}

impl Stateful for Template {
    type State = Greeted;

    fn state(&self) -> &State<Greeted> {
        &self.state
    }
}

export_plugin!(Template: Stateful {
    name: "template",
    methods: &["greet", "count"],
    config: ConfigSchema::of::<Settings>(),
});

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_plugin_api::testkit::TestHost;

    #[test]
    fn the_count_goes_on_in_the_next_version() {
        let plugin = TestHost::new().start::<Template>().unwrap();
        assert_eq!(plugin.call("greet", b"Ada").unwrap(), b"Hello, Ada!");

        let state = plugin.export().unwrap();
        let next = TestHost::new().resume::<Template>(Template::SCHEMA, &state).unwrap();
        assert_eq!(next.call("count", b"").unwrap(), b"1");
    }
}
