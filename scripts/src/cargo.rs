//! Running cargo, and finding what it built.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The top of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The cargo that runs us, at the top of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// The folder that cargo builds in, which may be anywhere.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str();
    Ok(PathBuf::from(folder.context("failed to find the target folder in what cargo says")?))
}

/// The names of all integration tests but those of these packages. (To exclude the packages would have their dependencies built
/// once more, with fewer features.)
pub(crate) fn integration_tests(excluded: &[&str]) -> Result<Vec<String>> {
    let metadata = metadata()?;
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let chosen = packages.iter().filter(|package| !excluded.iter().any(|name| package["name"] == *name));
    let targets = chosen.flat_map(|package| list(&package["targets"]));
    let tests = targets.filter(|target| list(&target["kind"]).iter().any(|kind| kind == "test"));
    Ok(tests.filter_map(|test| test["name"].as_str().map(ToOwned::to_owned)).collect())
}

fn metadata() -> Result<serde_json::Value> {
    let output = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .context("failed to run cargo")?;
    serde_json::from_slice(&output.stdout).context("failed to read what cargo says of the workspace")
}

/// Whether `cargo SUBCOMMAND` exists.
pub(crate) fn has(subcommand: &str) -> bool {
    cargo(&[subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a run of the real thing needs.
#[derive(Debug)]
pub(crate) struct Built {
    /// The host.
    pub(crate) hotbay: PathBuf,
    /// The service `echo`, 1.0.0.
    pub(crate) echo: PathBuf,
    /// The service `echo`, 2.0.0.
    pub(crate) echo_v2: PathBuf,
    /// The service `logger`.
    pub(crate) logger: PathBuf,
    /// The service `autoscaler`.
    pub(crate) autoscaler: PathBuf,
    /// The service `kv`, 1.0.0.
    pub(crate) kv: PathBuf,
    /// Another store behind it, 2.0.0.
    pub(crate) kv_history: PathBuf,
}

/// Builds the host and the example plugins.
pub(crate) fn build() -> Result<Built> {
    let names = ["", "-autoscaler", "-echo", "-echo-v2", "-kv", "-kv-history", "-logger"];
    let packages: Vec<String> = names.iter().map(|name| format!("--package=hotbay{name}")).collect();
    let mut files = artefacts_of(&packages.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(Built {
        hotbay: files.take("hotbay")?,
        echo: files.take("echo")?,
        echo_v2: files.take("echo_v2")?,
        logger: files.take("logger")?,
        autoscaler: files.take("autoscaler")?,
        kv: files.take("kv")?,
        kv_history: files.take("kv_history")?,
    })
}

/// Files that were built, by their targets' names.
#[derive(Debug)]
pub(crate) struct Artefacts(BTreeMap<String, PathBuf>);

impl Artefacts {
    /// The file of a target.
    pub(crate) fn take(&mut self, name: &str) -> Result<PathBuf> {
        self.0.remove(name).with_context(|| format!("failed to find what cargo built of `{name}`"))
    }

    /// All that were not taken.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.values()
    }
}

/// Builds what the arguments of `cargo build` say. Where it lies is what cargo says, not what we guess: the target folder
/// may be anywhere.
pub(crate) fn artefacts_of(arguments: &[&str]) -> Result<Artefacts> {
    let output = cargo(&["build", "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("failed to run cargo")?;
    if !output.status.success() {
        bail!("failed to build what is to be run");
    }
    Ok(Artefacts(artefacts(&String::from_utf8_lossy(&output.stdout))))
}

/// The same, for what can do without: the error is cargo's first, in one line. All that cargo says is passed on.
pub(crate) fn artefacts_or_why_not(arguments: &[&str]) -> Result<Artefacts> {
    let mut building = cargo(&["build", "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to run cargo")?;
    let told = building.stderr.take().context("cargo has a stderr")?;
    let passing_on = std::thread::spawn(move || pass_on(told));
    let output = building.wait_with_output().context("failed to run cargo")?;
    let error = passing_on.join().ok().flatten();
    if !output.status.success() {
        bail!(error.unwrap_or_else(|| format!("cargo ended with {}", output.status)));
    }
    Ok(Artefacts(artefacts(&String::from_utf8_lossy(&output.stdout))))
}

/// Passes on what cargo says; its first error.
fn pass_on(told: impl std::io::Read) -> Option<String> {
    let mut error = None;
    for line in BufReader::new(told).lines().map_while(std::io::Result::ok) {
        eprintln!("{line}");
        if error.is_none() && line.starts_with("error") {
            error = Some(line.split_once(": ").map_or(line.as_str(), |(_, why)| why).to_owned());
        }
    }
    error
}

/// The binary or dynamic library of each target, by the target's name.
fn artefacts(messages: &str) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let Some(name) = message["target"]["name"].as_str() else { continue };
        let built = message["filenames"].as_array().into_iter().flatten().filter_map(|file| file.as_str());
        let library = built
            .map(PathBuf::from)
            .find(|file| file.extension() == Some(std::env::consts::DLL_EXTENSION.as_ref()));
        if let Some(file) = message["executable"].as_str().map(PathBuf::from).or(library) {
            files.insert(name.to_owned(), file);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_of_cargo_says_why() {
        let told =
            "   Compiling a v1.0.0\nerror: failed to download `b`: no net\n\nCaused by: x\nerror: later";
        assert_eq!(pass_on(told.as_bytes()).as_deref(), Some("failed to download `b`: no net"));
        assert_eq!(pass_on("warning: unused\n".as_bytes()), None);
    }

    #[test]
    fn binaries_and_libraries_are_found_in_what_cargo_says() {
        let library = format!("deep/libecho.{}", std::env::consts::DLL_EXTENSION);
        let messages = format!(
            "{}\n{}\nnot json\n{}",
            r#"{"reason":"compiler-artifact","target":{"name":"hotbay"},"filenames":["deep/hotbay"],"executable":"deep/hotbay"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"hotbay"},"filenames":["deep/libhotbay.rlib"],"executable":null}"#,
            serde_json::json!({ "target": { "name": "echo" }, "filenames": [library], "executable": null }),
        );
        let files = artefacts(&messages);
        assert_eq!(files["hotbay"], Path::new("deep/hotbay"));
        assert_eq!(files["echo"], Path::new(&library));
    }
}
