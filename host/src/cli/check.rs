//! `hotbay check FILE`, with the settings of `hotbay.toml` in the working directory.

use std::path::{Path, PathBuf};

use super::change::existing;
use super::output::{Output, one_line, or_dash};
use crate::Config;
use crate::check::{self, Report};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;

pub(super) fn check(file: &Path, home: Option<PathBuf>, out: &Output) -> anyhow::Result<()> {
    existing(file)?;
    let mut config = Config::load(None)?;
    config.home = home.unwrap_or(config.home);
    let report = check::check(file, &config);
    if out.is_json() {
        out.json(&report)?;
    } else {
        out.text(&screen(&report))?;
    }
    if report.accepted {
        return Ok(());
    }
    let message = report.reason.unwrap_or_else(|| format!("failed to accept `{}`", file.display()));
    Err(Failure { exit: Exit::Refused, message, code: report.code, blame: report.blame }.into())
}

fn screen(report: &Report) -> String {
    let verdict = if report.accepted { "accepted" } else { "refused" };
    let mut lines = vec![one_line(&format!("{}: {verdict}", report.file.display()))];
    let mut line = |what: &str, text: String| lines.push(format!("  {what:<10}  {}", one_line(&text)));
    line("format", or_dash(report.format.as_ref()));
    line("bytes", or_dash(report.bytes));
    line("digest", or_dash(report.digest.as_ref()));
    if let Some(trust) = &report.trust {
        line("trust", trust.clone());
    }
    if let Some(manifest) = &report.manifest {
        line("service", format!("{} {}", manifest.name, manifest.version));
        line("contract", manifest.contract.clone());
        line("methods", manifest.methods.join(", "));
        line("requires", manifest.requires.join(", "));
        if let Some(state) = &manifest.state {
            let reads: Vec<String> = state.reads.iter().map(u32::to_string).collect();
            let also =
                if reads.is_empty() { String::new() } else { format!(", reads also {}", reads.join(", ")) };
            line("state", format!("schema {}{also}", state.writes));
        }
        line("built by", format!("{} for {}", manifest.toolchain, manifest.target));
    }
    lines.join("\n")
}
