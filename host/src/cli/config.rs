//! `hotbay config`: whether a file of settings is right, and what is in force.

use std::path::Path;

use serde::Serialize;

use super::output::{Output, Tint, narrate, one_line};
use crate::Config;
use crate::check::{Configured, configured};
use crate::config::{Origin, Setting};
use crate::control::client::{Client, ClientError};
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Request};
use crate::error::Code;

/// What `config check` found.
#[derive(Debug, Serialize)]
struct Checked {
    /// The file; `null` where there is none and the defaults are in force.
    file: Option<String>,
    /// The plugins of the folder, each with whether its table fits.
    plugins: Vec<Configured>,
    /// Tables of plugins that no file of the folder is.
    unused: Vec<String>,
}

pub(super) fn check(file: Option<&Path>, plugins: Option<&Path>, out: &Output) -> anyhow::Result<()> {
    let mut config = Config::load(file)?;
    if let Some(plugins) = plugins {
        plugins.clone_into(&mut config.plugins);
    }
    let plugins = configured(&config);
    let is_there = |name: &&String| plugins.iter().all(|plugin| plugin.service != **name);
    let unused: Vec<String> = config.plugin.keys().filter(is_there).cloned().collect();
    let file = config.source.named().filter(|file| file.exists()).map(|file| file.display().to_string());
    let checked = Checked { file, plugins, unused };
    if out.is_json() {
        out.json(&checked)?;
    } else {
        out.text(&screen(&checked, out))?;
    }
    for name in &checked.unused {
        narrate(&format!(
            "warning: `[plugin.{name}]` is for a plugin that is not in `{}`",
            config.plugins.display()
        ));
    }
    match checked.plugins.into_iter().find_map(|plugin| plugin.problem.zip(plugin.code)) {
        None => Ok(()),
        Some((problem, code)) => {
            let code = code.parse().unwrap_or(Code::ConfigMisfit);
            Err(Failure::new(Exit::Usage, code, problem).into())
        }
    }
}

fn screen(checked: &Checked, out: &Output) -> String {
    let mut lines = vec![match &checked.file {
        Some(file) => format!("{}: {}", one_line(file), out.tinted("read", Tint::Good)),
        None => "no file: the defaults are in force".to_owned(),
    }];
    for Configured { service, version, problem, has_schema, .. } in &checked.plugins {
        let told = match (problem, has_schema) {
            (Some(problem), _) => out.tinted(&one_line(problem), Tint::Bad),
            (None, true) => out.tinted("fits", Tint::Good),
            (None, false) => "any table: it declares no schema".to_owned(),
        };
        lines.push(format!("  plugin.{service}  {version}  {told}"));
    }
    lines.join("\n")
}

pub(super) fn show(client: &Client, file: Option<&Path>, origin: bool, out: &Output) -> anyhow::Result<()> {
    let settings: Vec<Setting> = match file {
        Some(file) => Config::load(Some(file))?.settings(),
        None => match client.ask(&Request::Config) {
            Ok(settings) => settings,
            Err(ClientError::Unreachable { .. }) => {
                narrate("no host runs: this is what one would be started with here");
                Config::load(None)?.settings()
            }
            Err(error) => return Err(error.into()),
        },
    };
    if out.is_json() {
        return out.json(&settings);
    }
    let width = settings.iter().map(|setting| setting.key.chars().count()).max().unwrap_or(0);
    let line = |setting: &Setting| {
        let Setting { key, value, waits, .. } = setting;
        let from = if origin { format!("  # {}", from(setting)) } else { String::new() };
        let waits = waits.as_ref().map(|waits| format!("  # the file says {waits}")).unwrap_or_default();
        one_line(&format!("{key:<width$} = {value}{from}{waits}"))
    };
    out.text(&settings.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn from(setting: &Setting) -> String {
    match (setting.origin, &setting.place) {
        (_, Some(place)) => place.clone(),
        (Origin::Default, None) => "default".to_owned(),
        (Origin::File, None) => "file".to_owned(),
        (Origin::CommandLine, None) => "command line".to_owned(),
        (Origin::Command, None) => "hotbay log-level".to_owned(),
    }
}
