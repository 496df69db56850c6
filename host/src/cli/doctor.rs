//! `hotbay doctor`: looks over the machine and the folders of a host that is, or is to be, and says what to do. It changes nothing.

mod folders;
mod machine;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::output::{Output, Tint, one_line};
use crate::Config;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::{Code, chain};

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, and something of it is not as it should be.
    Warn,
    /// A host does not start like that, or does not do its work.
    Fail,
}

/// What was looked at, and what was found. A stable contract, as JSON.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do, where there is something.
    next: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), next: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found: found.into(), next: Some(next.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found: found.into(), next: Some(next.into()) }
    }
}

pub(super) fn doctor(
    file: Option<&Path>,
    plugins: Option<PathBuf>,
    home: Option<PathBuf>,
    out: &Output,
) -> anyhow::Result<()> {
    let (settings, mut config) = settings(file);
    config.plugins = plugins.unwrap_or(config.plugins);
    config.home = home.unwrap_or(config.home);
    let mut all = vec![settings];
    all.extend(folders::look(&config));
    all.extend(machine::look(&config));
    if out.is_json() {
        out.json(&all)?;
    } else {
        out.text(&all.iter().map(|finding| line(finding, out)).collect::<String>())?;
    }
    let failed: Vec<&str> =
        all.iter().filter(|finding| finding.verdict == Verdict::Fail).map(|finding| finding.check).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let message =
        format!("failed to find all in order: {}; what to do stands beside each", failed.join(", "));
    Err(Failure::new(Exit::Failed, Code::NotInOrder, message).into())
}

fn settings(file: Option<&Path>) -> (Finding, Config) {
    let name = file.map_or_else(|| "hotbay.toml".to_owned(), |file| file.display().to_string());
    match Config::load(file) {
        Ok(config) if file.is_none() && !Path::new(&name).exists() => {
            (Finding::ok("settings", "there is no `hotbay.toml` here: every setting is its default"), config)
        }
        Ok(config) => (Finding::ok("settings", format!("`{name}` can be read")), config),
        Err(error) => {
            let next = "mend it; the looks below are as if it were empty";
            (Finding::fail("settings", chain(&error), next), Config::default())
        }
    }
}

fn line(finding: &Finding, out: &Output) -> String {
    let (word, tint) = match finding.verdict {
        Verdict::Ok => ("ok  ", Tint::Good),
        Verdict::Warn => ("warn", Tint::Doubtful),
        Verdict::Fail => ("fail", Tint::Bad),
    };
    let next =
        finding.next.as_ref().map(|next| format!("{:>20}{}\n", "-> ", one_line(next))).unwrap_or_default();
    format!("{}  {:<11} {}\n{next}", out.tinted(word, tint), finding.check, one_line(&finding.found))
}

/// How long a host that holds the home has to answer.
const ANSWER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_what_to_do_stands_below_it() {
        let out = Output::new(crate::cli::args::Format::Table);
        assert_eq!(line(&Finding::ok("clock", "fine"), &out), "ok    clock       fine\n");
        let told = line(&Finding::warn("disk", "little\nleft", "make room"), &out);
        assert_eq!(told, "warn  disk        little left\n                 -> make room\n");
    }

    #[test]
    fn what_programs_read_is_a_contract() {
        let told = serde_json::to_value(Finding::fail("key", "it is gone", "bring it back")).unwrap();
        let wanted = serde_json::json!({
            "check": "key", "verdict": "fail", "found": "it is gone", "next": "bring it back",
        });
        assert_eq!(told, wanted);
    }
}
