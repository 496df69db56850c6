//! The transcript of README.md, run as it is written: in an empty folder, with the real binary and a real cargo.
//!
//! Of the section about the first plugin, each `console` block is played: a line `$ COMMAND` is run, and what follows is
//! compared with what it printed, on stdout and stderr as a terminal shows both. `[..]` stands for any text in a line, a
//! line `...` for any lines.

mod transcript;
mod settings;
mod platforms;
mod unit;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hotbay_tests::{cargo, eventually, hotbay_binary};
use transcript::{Step, matches, steps};

#[test]
fn the_first_plugin_is_made_as_the_readme_says() {
    let steps = steps(&readme(), "## Your first plugin");
    assert!(steps.len() > 10, "the transcript was not found: {steps:?}");

    let mut reader = Reader::default();
    for step in steps {
        let said = reader.run(&step);
        assert!(
            matches(&step.output, &said),
            "README.md:{}: `{}` should print\n{}\n\nbut prints\n{said}\n\nThe host's log:\n{}",
            step.line,
            step.command,
            step.output.join("\n"),
            reader.log(),
        );
    }
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    fs::read_to_string(path).expect("README.md can be read")
}

/// Someone who follows the README: one terminal for the host, one for the rest.
struct Reader {
    host: Option<Child>,
    folder: tempfile::TempDir,
}

impl Default for Reader {
    fn default() -> Self {
        let folder =
            tempfile::Builder::new().prefix("hotbay-").tempdir().expect("a temporary folder can be made");
        Self { host: None, folder }
    }
}

impl Reader {
    /// Does what the step says, and answers what was printed.
    fn run(&mut self, step: &Step) -> String {
        match step.words().as_slice() {
            ["mkdir", name] => fs::create_dir(self.path(name)).expect("a folder can be made"),
            ["hotbay", "run"] => self.restart(),
            ["hotbay", rest @ ..] => return self.finish(self.hotbay(rest)),
            ["cargo", rest @ ..] => {
                let mut command = cargo();
                // All that it needs came with Hotbay.
                command.args(rest).env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR");
                return self.finish(command);
            }
            ["sed", "-i.bak", edit, file] => self.edit(edit, file),
            _ => panic!("README.md:{}: a command that this test does not know: {}", step.line, step.command),
        }
        String::new()
    }

    /// The terminal of the host: what runs there is stopped by Ctrl-C, then it is started.
    fn restart(&mut self) {
        self.stop();
        let log =
            File::options().create(true).append(true).open(self.path("host.log")).expect("a log can be made");
        let mut host = self.hotbay(&["run"]);
        host.stdout(log.try_clone().expect("a file can be used twice")).stderr(log).stdin(Stdio::null());
        self.host = Some(hotbay_tests::terminable(&mut host).spawn().expect("the host can be started"));
        // By the time that a person has typed the next command, the plugins found there are loaded.
        let files = fs::read_dir(self.path("plugins")).expect("the plugins folder can be read").count();
        eventually("the host answers", || {
            let said = self.hotbay(&["list", "-o", "json"]).output().expect("a command can be run");
            let running = String::from_utf8_lossy(&said.stdout).matches("\"phase\": \"running\"").count();
            (said.status.success() && running == files).then_some(())
        });
    }

    fn stop(&mut self) {
        let Some(mut host) = self.host.take() else { return };
        hotbay_tests::terminate(&host);
        let status = eventually("the host ends", || host.try_wait().expect("the host can be waited for"));
        assert!(status.success(), "the host ended with {status}:\n{}", self.log());
    }

    fn hotbay(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(hotbay_binary());
        command.args(arguments).env_remove("HOTBAY_HOME").env_remove("RUST_LOG");
        command.current_dir(self.folder.path());
        command
    }

    /// Runs it to its end; the output of both kinds, in the order in which it came.
    fn finish(&self, mut command: Command) -> String {
        let both = self.path("printed");
        let file = File::create(&both).expect("a file can be made");
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(file.try_clone().expect("a file can be used twice")).stderr(file);
        let status = command.status().expect("a command can be run");
        let said = fs::read_to_string(both).expect("what was printed is text");
        assert!(
            status.success(),
            "{command:?} ended with {status}:\n{said}\n\nThe host's log:\n{}",
            self.log()
        );
        said
    }

    /// `s/FROM/TO/`, in place: in each line once.
    fn edit(&self, edit: &str, file: &str) {
        let parts: Vec<&str> = edit.split('/').collect();
        let ["s", from, to, ""] = parts[..] else { panic!("an edit is s/FROM/TO/, not {edit}") };
        let (file, text) =
            (self.path(file), fs::read_to_string(self.path(file)).expect("the source can be read"));
        let edited: String = text.split_inclusive('\n').map(|line| line.replacen(from, to, 1)).collect();
        assert_ne!(edited, text, "there is no `{from}` in it");
        fs::write(file, edited).expect("the source can be written");
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("host.log")).unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // After a failure; and at the end, when nothing is left to look at.
        if let Some(mut host) = self.host.take() {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}
