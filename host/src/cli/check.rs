//! `hotbay check FILE`, with the settings that a host would have.

use std::path::{Path, PathBuf};

use super::change::existing;
use super::output::{Output, Tint, one_line, or_dash};
use crate::Config;
use crate::check::{self, Anatomy, Needed, Place, Report, Step, StepOutcome};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;

/// A title of a part stands alone; what is told of it, below.
const WIDTH: usize = 14;

pub(super) fn check(
    file: &Path,
    deep: bool,
    settings: Option<&Path>,
    home: Option<PathBuf>,
    out: &Output,
) -> anyhow::Result<()> {
    existing(file)?;
    let mut config = Config::load(settings)?;
    config.home = home.unwrap_or(config.home);
    let report = if deep { check::check_deep(file, &config) } else { check::check(file, &config) };
    if out.is_json() {
        out.json(&report)?;
    } else {
        out.text(&Screen::of(&report, out).lines.join("\n"))?;
    }
    if report.accepted {
        return Ok(());
    }
    let message = report.reason.unwrap_or_else(|| format!("failed to accept `{}`", file.display()));
    let (code, blame) = (report.code, report.blame);
    Err(Failure { exit: Exit::Refused, message, code, blame, retry_after_ms: None }.into())
}

/// A report in its parts, for people.
struct Screen<'a> {
    out: &'a Output,
    lines: Vec<String>,
}

impl<'a> Screen<'a> {
    fn of(report: &Report, out: &'a Output) -> Self {
        let mut screen = Self { out, lines: Vec::new() };
        let (verdict, tint) = if report.accepted { ("accepted", Tint::Good) } else { ("refused", Tint::Bad) };
        let name = one_line(&report.file.display().to_string());
        screen.lines.push(format!("{name}: {}", out.tinted(verdict, tint)));
        screen.file(report);
        screen.manifest(report);
        if let Some(anatomy) = &report.anatomy {
            screen.needs(anatomy);
        }
        screen.trial(report);
        if let Some(layout) = &report.layout {
            screen.title("layout");
            let lines = layout.lines().map(|line| format!("  {}", one_line(line)).trim_end().to_owned());
            screen.lines.extend(lines);
        }
        screen
    }

    fn title(&mut self, title: &str) {
        self.lines.push(format!("\n{}", self.out.tinted(title, Tint::Title)));
    }

    fn line(&mut self, what: &str, text: &str) {
        let line = format!("  {what:WIDTH$}{}", one_line(text));
        self.lines.push(line.trim_end().to_owned());
    }

    fn file(&mut self, report: &Report) {
        self.title("file");
        let what = report.anatomy.as_ref().map(|of| format!(", {}, {}", of.kind, of.architecture));
        self.line("format", &format!("{}{}", or_dash(report.format.as_ref()), what.unwrap_or_default()));
        self.line("bytes", &or_dash(report.bytes));
        self.line("digest", &or_dash(report.digest.as_ref()));
        if let Some(anatomy) = &report.anatomy {
            self.line("sections", &format!("{}, all within the file", anatomy.sections));
            self.line("root symbol", &anatomy.root);
        }
        if let Some(trust) = &report.trust {
            self.line("trust", trust);
        }
    }

    fn manifest(&mut self, report: &Report) {
        let Some(manifest) = &report.manifest else { return };
        self.title("manifest");
        self.line("service", &format!("{} {}", manifest.name, manifest.version));
        self.line("contract", &format!("{}, this host speaks {}", manifest.contract, check::contract()));
        self.line("methods", &list(&manifest.methods));
        if !manifest.streams.is_empty() {
            self.line("streams", &list(&manifest.streams));
        }
        self.line("requires", &list(&manifest.requires));
        if let Some(state) = &manifest.state {
            let mut text = format!("schema {}, {}", state.writes, state.content_type);
            if !state.reads.is_empty() {
                let reads: Vec<String> = state.reads.iter().map(u32::to_string).collect();
                text += &format!(", reads also {}", reads.join(", "));
            }
            if !state.back.is_empty() {
                let back: Vec<String> = state.back.iter().map(|older| older.writes.to_string()).collect();
                text += &format!(", goes back to {}", back.join(", "));
            }
            self.line("state", &text);
        }
        self.line("built by", &format!("{} for {}", manifest.toolchain, manifest.target));
        self.line("panics", &manifest.panic);
    }

    fn needs(&mut self, anatomy: &Anatomy) {
        self.title("loading");
        for (at, Needed { library, place, .. }) in anatomy.needs.iter().enumerate() {
            let (text, tint) = match place {
                Place::Host => ("the host has it".to_owned(), Tint::Good),
                Place::At(path) => (one_line(&path.display().to_string()), Tint::Good),
                Place::Missing => ("missing".to_owned(), Tint::Bad),
                Place::MissingBeside => {
                    ("missing: `$ORIGIN` is not its folder any more".to_owned(), Tint::Bad)
                }
                _ => ("known when it is loaded".to_owned(), Tint::Doubtful),
            };
            let what = if at == 0 { "needs" } else { "" };
            let text = self.out.tinted(&text, tint);
            self.lines.push(format!("  {what:WIDTH$}{}: {text}", one_line(library)));
        }
        if let Some(locals) = anatomy.thread_locals {
            let model = if locals.initial_exec {
                "initial-exec: of a small rest that all share"
            } else {
                "found by a call"
            };
            self.line("thread-locals", &format!("{} bytes, {model}", locals.bytes));
        }
        match &anatomy.stays_mapped {
            Some(why) => {
                let line =
                    format!("  {:WIDTH$}{}", "unloading", self.out.tinted(&one_line(why), Tint::Doubtful));
                self.lines.push(line);
            }
            None => self.line("unloading", "nothing in the file is against it"),
        }
    }

    fn trial(&mut self, report: &Report) {
        if report.probed {
            self.title("probe");
            self.line(
                "verdict",
                "mapped, created and dropped in a process of its own; nothing is changed by it",
            );
        }
        if report.steps.is_empty() {
            return;
        }
        self.title("life");
        let width =
            report.steps.iter().map(|step| step.step.chars().count()).max().unwrap_or(0).max(WIDTH - 2);
        for Step { step, outcome, micros, text, .. } in &report.steps {
            let (word, tint) = match outcome {
                StepOutcome::Ok => ("ok", Tint::Good),
                StepOutcome::Warning => ("warning", Tint::Doubtful),
                StepOutcome::Failed => ("FAILED", Tint::Bad),
                _ => ("skipped", Tint::Doubtful),
            };
            let time = micros
                .map_or_else(String::new, |micros| format!("{}.{:03} ms", micros / 1000, micros % 1000));
            let text = one_line(text.as_deref().unwrap_or_default());
            let word = self.out.tinted(&format!("{word:<7}"), tint);
            let line = format!("  {:width$}  {word}  {time:>12}  {text}", one_line(step));
            self.lines.push(line.trim_end().to_owned());
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}
