//! The host's log on stderr: time, level, text, and `plugin` and `generation` where a line has them.

use std::io::{self, IsTerminal as _};

use hotbay_plugin_api::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

use super::output::colors_are_welcome;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;
use crate::kernel::settle::TARGET;

/// Says in the syntax of `tracing` what is logged, over the configuration: `debug`, or `info,hotbay::swap=trace`.
const VARIABLE: &str = "HOTBAY_LOG";

pub(super) fn start(level: Level) -> anyhow::Result<()> {
    let filter = match std::env::var(VARIABLE) {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(&directives).map_err(|error| {
            let message = format!("failed to understand {VARIABLE}=`{directives}`: {error}");
            Failure::new(Exit::Usage, Code::LogFilter, message)
        })?,
        _ => EnvFilter::default().add_directive(filter(level).into()),
    };
    // Goes all the way through the log, but for the last step.
    let filter = filter.add_directive(format!("{TARGET}=trace").parse()?);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr.with_filter(|line| line.target() != TARGET))
        .with_ansi(io::stderr().is_terminal() && colors_are_welcome())
        .with_target(false)
        // It would complain on stderr that stderr is closed, and panic since it is.
        .log_internal_errors(false)
        .init();
    Ok(())
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
