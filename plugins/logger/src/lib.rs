//! The service `logger`: other services send it lines, it writes them into the host's log. It also writes down what they publish as
//! `events.…`, of which they need not know.
//!
//! It goes before others of its level (`priority`), and takes its default level from `[plugin.logger]`, also while it runs.

#![forbid(unsafe_code)]

use std::sync::{PoisonError, RwLock};

use hotbay_plugin_api::prelude::*;

config! {
    /// The table `[plugin.logger]`.
    struct Settings {
        /// The level of lines sent to `write`.
        level: Threshold = Threshold::Info,
    }

    enum Threshold {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
    }
}

struct Logger {
    context: Context,
    settings: RwLock<Settings>,
}

impl Logger {
    fn level(&self) -> Level {
        match self.settings.read().unwrap_or_else(PoisonError::into_inner).level {
            Threshold::Error => Level::Error,
            Threshold::Warn => Level::Warn,
            Threshold::Info => Level::Info,
            Threshold::Debug => Level::Debug,
        }
    }
}

impl Plugin for Logger {
    fn create(context: Context) -> Result<Self> {
        Ok(Self { context, settings: RwLock::new(context.config()?) })
    }

    fn on_config(&self, table: Table<'_>) -> Result<()> {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = table.read()?;
        Ok(())
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        let level = match request.method() {
            "write" => self.level(),
            "error" => Level::Error,
            "warn" => Level::Warn,
            "info" => Level::Info,
            "debug" => Level::Debug,
            _ => return Err(request.unknown_method()),
        };
        self.context.log(level, request.text()?);
        Ok(())
    }

    fn on_message(&self, message: &Message<'_>) -> Result<()> {
        let (sender, topic) = (message.sender(), message.topic());
        let text = message.text().unwrap_or("bytes that are no text");
        self.context.log(self.level(), format_args!("{topic} from {sender}: {text}"));
        Ok(())
    }
}

export_plugin!(Logger {
    name: "logger",
    priority: 100,
    methods: &["write", "error", "warn", "info", "debug"],
    topics: &["events.>"],
    config: ConfigSchema::of::<Settings>(),
});

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_plugin_api::testkit::TestHost;

    #[test]
    fn a_line_arrives_in_the_hosts_log() {
        let logger = TestHost::new().start::<Logger>().unwrap();
        logger.call("warn", b"careful").unwrap();
        assert_eq!(logger.log(), ["careful"]);
    }

    #[test]
    fn an_event_arrives_there_too() {
        let logger = TestHost::new().start::<Logger>().unwrap();
        logger.deliver("events.shop.sold", &[], b"7").unwrap();
        assert_eq!(logger.log(), ["events.shop.sold from test: 7"]);
    }

    #[test]
    fn an_unknown_level_is_refused_when_the_plugin_is_created() {
        let config = hotbay_plugin_api::serde_json::json!({ "level": "loud" });
        let error = TestHost::new().with_config(config).start::<Logger>().unwrap_err();
        assert!(error.message().contains("unknown variant `loud`"), "{error}");
    }
}
