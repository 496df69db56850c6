//! cargo for programs in wine, which cannot run it: they ask for it here, and get back what it printed.
//!
//! They run `cargo-outside.exe` (`bin/cargo-outside.rs`) in its place. It sends one line of JSON over the loopback and takes
//! one back; a word that only the tests know keeps others on this machine from having cargo run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::wine::Wine;
use crate::cargo::{cargo, target_folder};

/// The environment of a command that reaches cargo, set or not.
const PASSED: &[&str] = &["CARGO_TARGET_DIR", "CARGO_NET_OFFLINE"];

/// Runs cargo for whoever knows the word, for as long as this process lives.
#[derive(Debug)]
pub(super) struct Outside {
    address: String,
    word: String,
    program: PathBuf,
}

impl Outside {
    pub(super) fn listen(target: &'static str, wine: &Wine) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("failed to listen on the loopback")?;
        let address = listener.local_addr().context("failed to listen on the loopback")?.to_string();
        let word = word()?;
        let program = target_folder()?.join(target).join("debug/cargo-outside.exe");
        if !program.is_file() {
            bail!("failed to find what cargo built of `cargo-outside`: {} is not there", program.display());
        }
        let (known, wine) = (word.clone(), wine.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (known, wine) = (known.clone(), wine.clone());
                // One at a time per asker; several tests may ask at once, and cargo has locks of its own.
                thread::spawn(move || {
                    if let Err(error) = serve(&stream, &known, target, &wine) {
                        eprintln!("cargo outside: {error:#}");
                    }
                });
            }
        });
        Ok(Self { address, word, program })
    }

    /// Tells the tests where to ask.
    pub(super) fn environment(&self, command: &mut Command) {
        command.env("HOTBAY_TEST_CARGO", &self.program);
        command.env("HOTBAY_TEST_CARGO_OUTSIDE", format!("{} {}", self.address, self.word));
    }
}

fn word() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("failed to read random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn serve(stream: &TcpStream, word: &str, target: &str, wine: &Wine) -> Result<()> {
    let prefix = wine.prefix();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("failed to read what is asked")?;
    let asked: Value = serde_json::from_str(&line).context("failed to read what is asked")?;
    if asked["word"].as_str() != Some(word) {
        bail!("failed to know who asks: the word is another");
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let arguments: Vec<Value> = asked["arguments"].as_array().cloned().unwrap_or_default();
    let mut command = cargo(&[]);
    for argument in &arguments {
        command.arg(unix_path(&text(argument), prefix));
    }
    command.current_dir(unix_path(&text(&asked["folder"]), prefix)).env("CARGO_BUILD_TARGET", target);
    for name in PASSED {
        match asked["environment"][name].as_str() {
            Some(value) => command.env(name, unix_path(value, prefix)),
            None => command.env_remove(name),
        };
    }
    // The tests of what is built are programs of Windows as well.
    command.env(super::RUNNER, wine.program());
    wine.environment(&mut command);
    // What cargo told the tests is not for the one that they run.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR") {
            command.env_remove(name);
        }
    }
    let ran =
        super::environment(&mut command).stdin(Stdio::null()).output().context("failed to run cargo")?;
    let answer = json!({
        "code": ran.status.code().unwrap_or(-1),
        "stdout": String::from_utf8_lossy(&ran.stdout),
        "stderr": String::from_utf8_lossy(&ran.stderr),
    });
    let mut stream = stream;
    writeln!(stream, "{answer}").context("failed to answer")
}

/// A path as wine shows it, as this system has it: a drive is a link in the prefix. What is no path stays.
fn unix_path(text: &str, prefix: &Path) -> String {
    let path = text.strip_prefix(r"\\?\").unwrap_or(text);
    let mut chars = path.chars();
    match (chars.next(), chars.next(), chars.next()) {
        (Some('Z' | 'z'), Some(':'), Some('\\' | '/')) => path[2..].replace('\\', "/"),
        (Some(drive), Some(':'), Some('\\' | '/')) if drive.is_ascii_alphabetic() => {
            let drive = drive.to_ascii_lowercase();
            format!("{}/dosdevices/{drive}:{}", prefix.display(), path[2..].replace('\\', "/"))
        }
        // A path of this system that a program in wine went on from.
        (Some('/'), ..) => path.replace('\\', "/"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_wine_are_found_on_this_system() {
        let there = |text: &str| unix_path(text, Path::new("/wine"));
        assert_eq!(there(r"Z:\tmp\a b"), "/tmp/a b");
        assert_eq!(there(r"\\?\C:\users\x"), "/wine/dosdevices/c:/users/x");
        assert_eq!(there(r"/tmp/target\new"), "/tmp/target/new");
        for other in ["--offline", "build", "greeter/Cargo.toml", ""] {
            assert_eq!(there(other), other);
        }
    }
}
