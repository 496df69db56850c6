//! What can be typed behind `hotbay stream`.

use super::Target;
use super::values::target;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Stream {
    /// Service and stream, as in `kv.watch`
    #[arg(value_name = "NAME.METHOD", value_parser = target)]
    pub(in crate::cli) target: Target,
    /// What it is opened with: JSON or text as it is, `@FILE` for a file's bytes, `-` for stdin; empty without
    #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
    pub(in crate::cli) data: Option<String>,
    /// Send each line of a file as an item, `-` for stdin; nothing is sent without
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub(in crate::cli) lines: Option<String>,
    /// End after so many items
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) count: Option<u64>,
    /// End when the service is replaced, also where the stream could go on in its next version
    #[arg(long)]
    pub(in crate::cli) once: bool,
}
