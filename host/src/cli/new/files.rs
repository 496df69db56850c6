//! The files of a new plugin.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::Path;

use super::embedded::{CONTRACT, TEMPLATE};
use super::lock::lock;
use super::name::Name;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;

const VENDORED: &str = "vendor/hotbay-plugin-api";

/// Where the contract comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Api {
    /// It comes along, in `vendor/`.
    Vendored,
    /// A folder with its sources; absolute.
    Path(String),
    /// A version from the registry.
    Version(String),
}

impl Api {
    /// What `--api` says.
    pub(super) fn of(text: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = text else { return Ok(Api::Vendored) };
        if Path::new(text).join("Cargo.toml").is_file() {
            let failed = |error| format!("failed to find `{text}`: {error}");
            let absolute = std::path::absolute(text).map_err(failed);
            let absolute = absolute.map_err(|message| Failure::new(Exit::Failed, Code::NotRead, message))?;
            return Ok(Api::Path(absolute.to_string_lossy().into_owned()));
        }
        if semver::VersionReq::parse(text).is_ok() {
            return Ok(Api::Version(text.to_owned()));
        }
        let message =
            format!("failed to find the contract at `{text}`: it is neither a version nor a crate's folder");
        Err(Failure::new(Exit::NotFound, Code::NoContractThere, message))
    }

    fn dependency(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        match self {
            Api::Vendored => format!("{{ path = {} }}", quoted(VENDORED)),
            Api::Path(path) => format!("{{ path = {} }}", quoted(path)),
            Api::Version(version) => quoted(version),
        }
    }
}

/// Every file with its path in the crate.
pub(super) fn all(name: &Name, api: &Api) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("Cargo.toml".to_owned(), manifest(name, api).into_bytes()),
        ("src/lib.rs".to_owned(), source(name).into_bytes()),
        ("README.md".to_owned(), readme(name).into_bytes()),
        (".gitignore".to_owned(), b"/target/\n".to_vec()),
    ];
    match api {
        Api::Vendored => {
            files.push(("Cargo.lock".to_owned(), lock(name).into_bytes()));
            files.extend(CONTRACT.iter().map(|(path, bytes)| (format!("{VENDORED}/{path}"), bytes.to_vec())));
        }
        // Sources that look the same to the lock file; where they do not, cargo mends it.
        Api::Path(_) => files.push(("Cargo.lock".to_owned(), lock(name).into_bytes())),
        // Its entry would need a checksum that only the registry knows.
        Api::Version(_) => {}
    }
    files
}

/// The template under its new name.
pub(super) fn source(name: &Name) -> String {
    TEMPLATE
        .replace("\"template\"", &format!("\"{}\"", name.service()))
        .replace("Template", &name.type_name())
}

fn manifest(name: &Name, api: &Api) -> String {
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
rust-version = "1.85"

[lib]
crate-type = ["cdylib"]

[dependencies]
hotbay-plugin-api = {dependency}

# A workspace of its own, wherever it lies; what is in `vendor/` is built and not worked on.
[workspace]
exclude = ["vendor"]
"#,
        name = name.service(),
        dependency = api.dependency()
    )
}

fn readme(name: &Name) -> String {
    format!(
        "# {name}\n\n\
         A plugin for Hotbay. It greets, and counts whom it greeted; the count goes on over each swap and restart.\n\n\
         From the folder in which `hotbay run` was started, where this crate is `{name}`:\n\n\
         ```sh\n\
         cargo test --manifest-path {name}/Cargo.toml     # runs the plugin in-process, without a host\n\
         cargo build --manifest-path {name}/Cargo.toml\n\
         hotbay add {name}/target/debug/{DLL_PREFIX}{library}{DLL_SUFFIX}\n\
         hotbay call {name}.greet -d Ada\n\
         hotbay call {name}.count\n\
         ```\n\n\
         Elsewhere, `--home DIR` names the host by its home folder, `.hotbay` where it was started.\n\n\
         Change `src/lib.rs`, raise `version` in `Cargo.toml`, build and add again: the new code answers, and the count \
         is still there.\n\
         `vendor/hotbay-plugin-api/README.md` is the tutorial.\n",
        name = name.service(),
        library = name.library(),
    )
}
