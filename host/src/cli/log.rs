//! The host's log: on stderr time, level, text, and `plugin` and `generation` where a line has them; and in memory for `hotbay logs`.

use std::fmt::Debug;
use std::io::{self, IsTerminal as _};

use hotbay_plugin_api::Level;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

use super::output::colors_are_welcome;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;
use crate::kernel::lines::{Fields, LINES, Line};
use crate::kernel::settle::TARGET;

/// Says in the syntax of `tracing` what is logged, over the configuration: `debug`, or `info,hotbay::swap=trace`.
const VARIABLE: &str = "HOTBAY_LOG";

/// What lines of plugins have: the host picks them by the level of each plugin.
const PLUGINS: &str = "hotbay::plugin";

/// The log while the host runs.
pub(super) struct Log {
    // Of the host's own lines; none where the environment says what is logged.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

impl Log {
    /// Whether the environment says what is logged.
    pub(super) fn is_over(&self) -> bool {
        self.filter.is_none()
    }

    /// Logs so much of the host itself from here on.
    pub(super) fn set_level(&self, level: Level) {
        // It fails where the log is gone.
        if let (Some(filter), Ok(new)) = (&self.filter, of_level(level)) {
            let _ = filter.reload(new);
        }
    }
}

pub(super) fn start(level: Level) -> anyhow::Result<Log> {
    let (filter, is_over) = match std::env::var(VARIABLE) {
        Ok(directives) if !directives.is_empty() => {
            let filter = EnvFilter::try_new(&directives).map_err(|error| {
                let message = format!("failed to understand {VARIABLE}=`{directives}`: {error}");
                Failure::new(Exit::Usage, Code::LogFilter, message)
            })?;
            // Goes all the way through the log, but for the last step.
            (filter.add_directive(format!("{TARGET}=trace").parse()?), true)
        }
        _ => (of_level(level)?, false),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let stderr = fmt::layer()
        .with_writer(io::stderr.with_filter(|line| line.target() != TARGET))
        .with_ansi(io::stderr().is_terminal() && colors_are_welcome())
        .with_target(false)
        // It would complain on stderr that stderr is closed, and panic since it is.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(stderr).with(Keep).init();
    Ok(Log { filter: (!is_over).then_some(handle) })
}

fn of_level(level: Level) -> anyhow::Result<EnvFilter> {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let filter = EnvFilter::default().add_directive(level.into());
    let filter = filter.add_directive(format!("{PLUGINS}=trace").parse()?);
    // Goes all the way through the log, but for the last step.
    Ok(filter.add_directive(format!("{TARGET}=trace").parse()?))
}

/// Keeps the host's own lines; those of plugins are kept where they come in, with all that they have.
struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if [TARGET, PLUGINS].contains(&metadata.target()) {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        LINES.push(Line {
            sequence: 0,
            unix_ms: 0,
            level: metadata.level().as_str().to_lowercase(),
            service: said.service,
            generation: said.generation,
            target: metadata.target().to_owned(),
            text: said.text,
            fields: said.fields.all(),
            spans: Vec::new(),
        });
    }
}

#[derive(Default)]
struct Said {
    text: String,
    service: Option<String>,
    generation: Option<u64>,
    fields: Fields,
}

impl Said {
    fn note(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.text = text,
            ("plugin", Value::String(name)) => self.service = Some(name),
            ("generation", Value::Number(number)) => self.generation = number.as_u64(),
            (name, value) => self.fields.add(name, value),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value.into());
    }
}
