//! The command line: a command is a request to the host, or a look at files.
//!
//! Data goes to stdout, everything else to stderr; the exit codes are in [`Exit`].

mod args;
mod change;
mod check;
mod call;
mod completions;
mod config;
mod doctor;
mod explain;
mod failed;
mod events;
mod history;
mod keys;
mod lifecycle;
mod list;
mod log;
mod logs;
mod new;
mod output;
mod publish;
mod request;
mod run;
mod sign;
mod signals;
mod state;
mod status;
mod stream;
mod subscribe;
mod systemd;
mod topics;
mod trust;
mod when;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::Config;
use crate::control::client::Client;
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Request};
use crate::error::Code;
use crate::kernel::view::Action;
use args::{Args, Command};
use output::{Closed, Output};

/// How long a command waits where nobody says.
const DEADLINE: Duration = Duration::from_secs(30);
/// No service's own deadline is longer.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Does what the arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            failed::tell_usage(&error);
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    match dispatch(args) {
        Ok(()) => Exit::Ok.into(),
        // Whoever read our data has had enough of it.
        Err(error) if error.is::<Closed>() => Exit::Ok.into(),
        Err(error) => {
            failed::tell(&error);
            failed::exit_of(&error).into()
        }
    }
}

fn dispatch(args: Args) -> anyhow::Result<()> {
    let out = Output::new(args.output);
    let deadline = args.timeout.unwrap_or(DEADLINE);
    let home = args.home;
    let client = || Client::new(&home_or_default(home.clone()), deadline);
    match args.command {
        Command::Run(run) => run::run(run, home),
        Command::List => list::list(&client(), &out),
        Command::Status { name } => status::status(&client(), &name, &out),
        Command::Why { name } => why::why(&client(), &name, &out),
        Command::History { name } => history::history(&client(), &name, &out),
        Command::Events { follow, past } => {
            events::events(&client().lasting(args.timeout), past, follow, &out)
        }
        Command::Call { target, data } => {
            // Where nobody says, the service's settings do, which may be longer.
            let patient = Client::new(&home_or_default(home.clone()), args.timeout.unwrap_or(LONGEST));
            call::call(&patient, &target, data.as_deref(), args.timeout, &out)
        }
        Command::Logs { name, follow, past } => {
            logs::logs(&client().lasting(args.timeout), name, past, follow, &out)
        }
        Command::LogLevel { name, level } => logs::set_level(&client(), name, level.0, &out),
        Command::Config { command: args::Config::Check { file, plugins } } => {
            config::check(file.as_deref(), plugins.as_deref(), &out)
        }
        Command::Config { command: args::Config::Show { config, origin } } => {
            config::show(&client(), config.as_deref(), origin, &out)
        }
        Command::Publish { topic, data, headers, confirm } => {
            publish::publish(&client(), topic, data.as_deref(), headers, confirm, deadline, &out)
        }
        Command::Request { topic, data, headers } => {
            request::request(&client(), topic, data.as_deref(), headers, deadline, &out)
        }
        Command::Subscribe { patterns, queue, count } => {
            subscribe::subscribe(&client().lasting(args.timeout), patterns, queue, count, &out)
        }
        Command::Stream(asked) => stream::stream(&client(), asked, args.timeout, &out),
        Command::Topics => topics::topics(&client(), &out),
        Command::Metrics => metrics(&client(), &out),
        Command::Doctor { config, plugins } => doctor::doctor(config.as_deref(), plugins, home, &out),
        Command::Completions { shell } => completions::completions(shell, &out),
        Command::Add { file, force } => change::add(&client(), &file, force, deadline, &out),
        Command::Reload { name, force } => change::change(
            &client(),
            &Request::Reload { name, force, deadline_ms: args::millis(deadline) },
            &out,
        ),
        Command::Rollback { name } => {
            change::change(&client(), &Request::Rollback { name, deadline_ms: args::millis(deadline) }, &out)
        }
        Command::Remove { name } => change::remove(&client(), name, deadline, &out),
        Command::Start { services, fresh } => {
            lifecycle::lifecycle(&client(), Action::Start, services, fresh, deadline, &out)
        }
        Command::Stop { services, force } => {
            lifecycle::lifecycle(&client(), Action::Stop, services, force, deadline, &out)
        }
        Command::Restart(services) => {
            lifecycle::lifecycle(&client(), Action::Restart, services, false, deadline, &out)
        }
        Command::Breaker { name, wanted } => lifecycle::breaker(&client(), name, wanted, &out),
        Command::Check { file, deep, config } => check::check(&file, deep, config.as_deref(), home, &out),
        Command::Sign(asked) => sign::sign(&asked, &out),
        Command::Trust { config, command } => {
            trust::trust(&state::Offline::new(home, config.as_deref(), false)?, &command, &out)
        }
        Command::Explain { code, page } => explain::explain(code.as_deref(), page, &out),
        Command::New { name, api } => new::new(&name, api.as_deref()),
        Command::State { config, command } => {
            let at = state::Offline::new(home, config.as_deref(), command.only_looks())?;
            state::state(&at, command, deadline, &out)
        }
        Command::Keys { config, command } => {
            let at = state::Offline::new(home, config.as_deref(), false)?;
            keys::keys(&at, &command, &Client::new(&at.config.home, deadline), &out)
        }
    }
}

fn metrics(client: &Client, out: &Output) -> anyhow::Result<()> {
    if out.is_json() {
        let message =
            "failed to show metrics as JSON: they are OpenMetrics text, which `-o table` shows as it is";
        return Err(Failure::new(Exit::Usage, Code::CommandLine, message).into());
    }
    out.bytes(&client.pass(&Request::Metrics, &[])?)
}

/// The home folder of a command that is not `run`.
///
/// A host that was started in this folder read `hotbay.toml` here. Where that cannot be read, it is the host's to say:
/// one that runs already is not to be out of reach because its next configuration is being written.
fn home_or_default(home: Option<PathBuf>) -> PathBuf {
    home.unwrap_or_else(|| Config::load(None).unwrap_or_default().home)
}
