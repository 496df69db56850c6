//! What can be typed.

mod services;
mod state;
mod stream;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

pub(super) use services::{BreakerWanted, Services};
pub(super) use state::{Keys, State};
pub(super) use stream::Stream;
pub(super) use values::{Target, Wanted, millis};
use values::{duration, header, level, target};

use crate::bus::Pattern;

/// Loads native plugins from a folder, talks to them at native speed, and replaces them while traffic flows.
#[derive(Debug, Parser)]
#[command(name = "hotbay", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 swap failed and rolled back, \
                        6 host unreachable, 7 timed out."
)]
pub(super) struct Args {
    /// The folder of everything that a run leaves behind; it names the host [default: .hotbay]
    #[arg(long, global = true, env = "HOTBAY_HOME", value_name = "DIR")]
    pub(super) home: Option<PathBuf>,

    /// How data is shown
    #[arg(short, long, global = true, env = "HOTBAY_OUTPUT", value_name = "FORMAT", default_value = "table")]
    pub(super) output: Format,

    /// How long to wait: `30s`, `500ms`, `2m`; seconds without a unit. What is followed ends after so long
    /// [default: 30s; of a call, what the service's settings say; of what is followed, for ever]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(super) timeout: Option<Duration>,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs: a stable contract.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Load the plugins folder and serve until SIGINT, SIGTERM or Ctrl-C, then stop all in order
    Run(Run),
    /// What runs, and which files were not taken
    List,
    /// One service on one screen
    Status {
        /// The service
        name: String,
    },
    /// Why a service is as it is, and what to do next
    Why {
        /// The service
        name: String,
    },
    /// The receipts of a service's swaps, newest last
    History {
        /// The service
        name: String,
    },
    /// What happened
    Events {
        /// Stay for what is to come
        #[arg(short, long)]
        follow: bool,
        /// Begin with so many of the past
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100)]
        past: usize,
    },
    /// The log: the last lines, of one service or of all and the host
    Logs {
        /// The service
        name: Option<String>,
        /// Stay for what is to come
        #[arg(short, long)]
        follow: bool,
        /// Begin with so many of the past
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100)]
        past: usize,
    },
    /// Set how much of a plugin is logged, until the host ends or hotbay.toml says another level
    LogLevel {
        /// The service
        name: String,
        /// `error`, `warn`, `info`, `debug` or `trace`; `default` for what hotbay.toml says
        #[arg(value_parser = level)]
        level: Wanted,
    },
    /// The settings: whether a file is right, and what is in force
    Config {
        #[command(subcommand)]
        command: Config,
    },
    /// Call a method; the reply goes to stdout as it is
    Call {
        /// Service and method, as in `greeter.greet`
        #[arg(value_name = "NAME.METHOD", value_parser = target)]
        target: Target,
        /// The request: JSON or text as it is, `@FILE` for a file's bytes, `-` for stdin; empty without
        #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
        data: Option<String>,
    },
    /// Publish a message; who subscribed to its topic gets it
    Publish {
        /// The topic, as in `orders.created`
        topic: String,
        /// The bytes: JSON or text as it is, `@FILE` for a file's bytes, `-` for stdin; none without
        #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
        data: Option<String>,
        /// What stands beside the bytes; may be given more than once
        #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = header)]
        headers: Vec<(String, String)>,
        /// Wait until every mailbox took it, and name those that did not: with exit code 7 where one was full all the time, else with 4
        #[arg(long)]
        confirm: bool,
    },
    /// Ask by topic: one of those who answer it does; the reply goes to stdout as it is
    Request {
        /// The topic, as in `orders.price`
        topic: String,
        /// The bytes: JSON or text as it is, `@FILE` for a file's bytes, `-` for stdin; none without
        #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
        data: Option<String>,
        /// What stands beside the bytes; may be given more than once
        #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = header)]
        headers: Vec<(String, String)>,
    },
    /// Show messages as they come, until Ctrl-C or for `--timeout`; where fewer come in that time than `-n` says, that ends with 7
    Subscribe {
        /// What to subscribe to: `orders.created`, `orders.*` for any one word, `orders.>` for all that follows
        #[arg(required = true, value_name = "PATTERN")]
        patterns: Vec<Pattern>,
        /// As a member of this queue group: of each message one member gets it
        #[arg(long, value_name = "GROUP")]
        queue: Option<String>,
        /// End after so many
        #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// Open a stream of a service; its items go to stdout, one on each line, until it ends or Ctrl-C
    Stream(Stream),
    /// Topics that were published to, and who is subscribed
    Topics,
    /// What was counted, as OpenMetrics text
    Metrics,
    /// Look over the machine and the folders for what keeps a host from its work, and say what to do; needs no host. Ends with 1 if
    /// anything fails
    Doctor {
        /// The configuration of the host that is, or is to be [default: hotbay.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Its plugins folder [default: plugins]
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
    },
    /// Write the completions of a shell to stdout
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Copy a plugin into the plugins folder and wait until it is live or refused
    Add {
        /// The library
        file: PathBuf,
        /// Where the old version does not hand its state over, go on from the newest snapshot, and say what that cost
        #[arg(long)]
        force: bool,
    },
    /// Load a service's file anew, also when its bytes did not change
    Reload {
        /// The service
        name: String,
        /// Where the old version does not hand its state over, go on from the newest snapshot, and say what that cost
        #[arg(long)]
        force: bool,
    },
    /// Go back to the version that served before, with the state; the one that is left is not loaded again by itself
    Rollback {
        /// The service
        name: String,
    },
    /// Delete a service's file and stop the service; its state is kept
    Remove {
        /// The service
        name: String,
    },
    /// Start services that were stopped, or could not be started
    Start {
        #[command(flatten)]
        services: Services,
        /// Begin with empty state; the old file is kept aside. For one service
        #[arg(long, conflicts_with_all = ["all", "dry_run"])]
        fresh: bool,
    },
    /// Stop services until they are started again, also over restarts of the host
    Stop {
        #[command(flatten)]
        services: Services,
        /// Also where its state cannot be kept: it then has that of its newest snapshot. For one service
        #[arg(long, conflicts_with_all = ["all", "dry_run"])]
        force: bool,
    },
    /// Stop services and start them again, with their state
    Restart(Services),
    /// Hold the circuit breaker of a service open or closed, or leave it to itself
    Breaker {
        /// The service
        name: String,
        /// `open` refuses every call, `close` lets every call pass, `auto` leaves it to itself
        wanted: BreakerWanted,
    },
    /// Say whether a host would take a file, and why not; needs no host
    Check {
        /// The library
        file: PathBuf,
        /// Also have it live once in a process of its own: start, call each method, export, import, stop, unload
        #[arg(long)]
        deep: bool,
        /// The configuration of the host that is to take it [default: hotbay.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Sign a plugin, as FILE.minisig beside it: hosts that trust the key take it, and nobody can change it
    Sign(super::sign::Sign),
    /// Whose signatures count
    Trust {
        /// The host's configuration, which may name keys as well [default: hotbay.toml, if there is one]
        #[arg(long, global = true, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: super::trust::Trust,
    },
    /// What a code is about: what it means, what is unchanged, what to do next; without a code, all of them
    Explain {
        /// The code: `HB0204`, or `204`
        code: Option<String>,
        /// All of them as one page, in Markdown
        #[arg(long, conflicts_with = "code", hide = true)]
        page: bool,
    },
    /// Write a new plugin crate
    New {
        /// The service, the crate and its folder
        name: String,
        /// Build against this contract, a folder or a version, and not against the one that comes along
        #[arg(long, value_name = "PATH|VERSION")]
        api: Option<String>,
    },
    /// Sealed state: look at it, check it, copy it, go back to an earlier snapshot
    State {
        /// The host's configuration, which says where the keys are [default: hotbay.toml, if there is one]
        #[arg(long, global = true, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: State,
    },
    /// The keys that seal state; none of them is ever shown
    Keys {
        /// The host's configuration, which says where the keys are [default: hotbay.toml, if there is one]
        #[arg(long, global = true, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: Keys,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Say whether a file is right, also for the plugins of the folder; needs no host. Ends with 2 if it is not
    Check {
        /// The file [default: hotbay.toml, if there is one]
        file: Option<PathBuf>,
        /// The folder of the plugins [default: as the file says]
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
    },
    /// The settings that are in force in the host, or in a file
    Show {
        /// A file, in place of the host
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Also where each comes from
        #[arg(long)]
        origin: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The folder that plugins are dropped into [default: plugins]
    #[arg(long, value_name = "DIR")]
    pub(super) plugins: Option<PathBuf>,
    /// The configuration [default: hotbay.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Let other programs of this user look into the host: debuggers, profilers. Its memory holds the key and state in the clear (Linux)
    #[arg(long)]
    pub(super) debuggable: bool,
    /// Also serve HTTP at an address of loopback, such as 127.0.0.1:7070; the token is in the file `token` of the home folder
    #[cfg(feature = "http")]
    #[arg(long, value_name = "ADDR")]
    pub(super) http: Option<std::net::SocketAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let args =
            Args::try_parse_from(["hotbay", "call", "a.b", "-d", "-1", "--home", "h", "-o", "json"]).unwrap();
        assert_eq!((args.home, args.output), (Some("h".into()), Format::Json));
    }
}
