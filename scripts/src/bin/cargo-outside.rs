//! What tests in wine run in cargo's place: has it run outside, where `cargo xtask windows` serves it, and prints what it printed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    match ask() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ask() -> Result<u8> {
    let outside = std::env::var("HOTBAY_TEST_CARGO_OUTSIDE")
        .context("failed to find cargo: `cargo xtask windows` runs this, and says where to ask")?;
    let (address, word) = outside.split_once(' ').context("failed to read where to ask")?;
    let folder = std::env::current_dir().context("failed to find the working directory")?;
    let passed = |(name, _): &(String, String)| name.starts_with("CARGO_");
    let environment: Map<String, Value> =
        std::env::vars().filter(passed).map(|(name, value)| (name, value.into())).collect();
    let asked = json!({
        "word": word,
        "arguments": std::env::args().skip(1).collect::<Vec<_>>(),
        "folder": folder.to_string_lossy(),
        "environment": environment,
    });
    let mut stream = TcpStream::connect(address).context("failed to ask for cargo")?;
    writeln!(stream, "{asked}").context("failed to ask for cargo")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("failed to hear of cargo")?;
    let ran: Value = serde_json::from_str(&line).context("failed to hear of cargo: it was not run")?;
    print!("{}", ran["stdout"].as_str().unwrap_or_default());
    eprint!("{}", ran["stderr"].as_str().unwrap_or_default());
    Ok(ran["code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
