//! How a command ends that did not do what it was to do: its exit code, and the line that says why.

use std::fmt::Display;
use std::io::Write as _;

use super::output::{narrate, one_line};
use crate::HostError;
use crate::config::ConfigError;
use crate::control::client::ClientError;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::{Code, chain};

/// What was tried, and what kind of trouble it is that it failed.
pub(super) trait Otherwise<T> {
    /// The value; else a failure of this kind, told with `what` before it.
    fn otherwise<W: Display>(self, code: Code, what: impl FnOnce() -> W) -> anyhow::Result<T>;
}

impl<T, E: std::error::Error> Otherwise<T> for Result<T, E> {
    fn otherwise<W: Display>(self, code: Code, what: impl FnOnce() -> W) -> anyhow::Result<T> {
        self.map_err(|error| {
            Failure::new(Exit::Failed, code, format!("{}: {}", what(), chain(&error))).into()
        })
    }
}

/// Says on stderr why: `error[HB0204]: failed to …`
pub(super) fn tell(error: &anyhow::Error) {
    let code = code_of(error).map(|code| format!("[{}]", one_line(&code))).unwrap_or_default();
    narrate(&format!("error{code}: {}", one_line(&format!("{error:#}"))));
}

/// What the parser says: help, which was asked for and goes to stdout, or what is wrong with the command line.
pub(super) fn tell_usage(error: &clap::Error) {
    // Whoever is told may be gone by now.
    if !error.use_stderr() {
        let _ = error.print();
        return;
    }
    let text = error.render();
    let colored = std::io::IsTerminal::is_terminal(&std::io::stderr()) && super::output::colors_are_welcome();
    let text = if colored { text.ansi().to_string() } else { text.to_string() };
    let _ = write!(
        std::io::stderr(),
        "{}",
        text.replacen("error:", &format!("error[{}]:", Code::CommandLine), 1)
    );
}

/// How a command ends that ends with `error`: the one place that knows.
pub(super) fn exit_of(error: &anyhow::Error) -> Exit {
    let cause = |error: &(dyn std::error::Error + 'static)| {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            Some(failure.exit)
        } else if let Some(error) = error.downcast_ref::<ClientError>() {
            Some(error.exit())
        } else if let Some(error) = error.downcast_ref::<HostError>() {
            Some(Exit::from(error))
        } else {
            error.is::<ConfigError>().then_some(Exit::Usage)
        }
    };
    error.chain().find_map(cause).unwrap_or(Exit::Failed)
}

/// What kind of trouble it is; `None` where a host of another version did not say.
fn code_of(error: &anyhow::Error) -> Option<String> {
    let cause = |error: &(dyn std::error::Error + 'static)| {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            Some(failure.code.clone())
        } else if let Some(error) = error.downcast_ref::<ClientError>() {
            Some(error.code())
        } else if let Some(error) = error.downcast_ref::<HostError>() {
            Some(Some(error.code().to_string()))
        } else {
            error.downcast_ref::<ConfigError>().map(|error| Some(error.code().to_string()))
        }
    };
    // What is left are steps of this program's own.
    error.chain().find_map(cause).unwrap_or_else(|| Some(Code::OwnSide.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn every_cause_has_its_code_wherever_it_stands_in_the_chain() {
        let told = |error: anyhow::Error| (exit_of(&error), code_of(&error));
        let code = |code: Code| Some(code.to_string());
        let refused = Failure::new(Exit::Refused, Code::Damaged, "failed");
        let refused = anyhow::Error::new(refused).context("around it");
        assert_eq!(told(refused), (Exit::Refused, code(Code::Damaged)));
        let config = Config::parse("x = 1", "hotbay.toml".as_ref()).unwrap_err();
        assert_eq!(told(config.into()), (Exit::Usage, code(Code::SettingsWrong)));
        let locked = HostError::Locked { path: "lock".into() };
        assert_eq!(told(locked.into()), (Exit::Refused, code(Code::HomeLocked)));
        let unreachable =
            ClientError::Unreachable { home: "h".into(), source: std::io::ErrorKind::NotFound.into() };
        assert_eq!(told(unreachable.into()), (Exit::Unreachable, code(Code::Unreachable)));
        assert_eq!(told(anyhow::anyhow!("whatever")), (Exit::Failed, code(Code::OwnSide)));
        // A host that tells no codes.
        let silent =
            Failure { code: None, blame: None, ..Failure::new(Exit::Failed, Code::Defect, "failed") };
        assert_eq!(told(ClientError::from(silent).into()), (Exit::Failed, None));
    }

    #[test]
    fn what_failed_is_told_before_why() {
        let failed: Result<(), _> = Err(std::io::Error::other("no"));
        let error = failed.otherwise(Code::NotRead, || "failed to read it").unwrap_err();
        assert_eq!(
            (format!("{error:#}"), code_of(&error)),
            ("failed to read it: no".into(), Some("HB1209".into()))
        );
    }
}
