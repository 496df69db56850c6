//! `[trust]`: which files may run at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Spanned, Value};

use hotbay_plugin_api::manifest::is_valid_name;

use crate::trust::keys::PublicKey;
use crate::verify::Digest;

/// Which files may run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Trust {
    /// `unsigned = "refuse" | "warn" | "allow"`. Without it a file that only the user could have written is taken, and any
    /// other is refused.
    pub unsigned: Option<Unsigned>,
    /// `exposed_home = "refuse" | "allow"`: what becomes of a home folder that others could put another in the place of.
    pub exposed_home: ExposedHome,
    /// `[trust.keys]`: the public keys whose signatures count, by the name that they are told by. Those of the home folder,
    /// which `hotbay trust add` writes, come on top.
    pub keys: BTreeMap<String, SigningKey>,
    /// `[trust.pins]`: by service, the BLAKE3 digests of the files that may provide it, in hex, and no others.
    pub pins: BTreeMap<String, Vec<String>>,
}

/// What becomes of a file without a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsigned {
    /// It is not loaded.
    Refuse,
    /// It is loaded, and each time told of.
    Warn,
    /// It is loaded.
    Allow,
}

/// What becomes of a home folder that others could put another in the place of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExposedHome {
    /// The host does not start.
    #[default]
    Refuse,
    /// The host starts, and says so.
    Allow,
}

/// A public key whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The key, as the second line of `minisign.pub` holds it.
    pub key: String,
    /// The services that it may sign for; all of them without any.
    pub services: Vec<String>,
}

/// The table as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    unsigned: Option<Unsigned>,
    exposed_home: Option<ExposedHome>,
    #[serde(default)]
    keys: BTreeMap<Spanned<String>, Spanned<Value>>,
    #[serde(default)]
    pins: BTreeMap<Spanned<String>, Spanned<Value>>,
}

/// A problem, and the byte that it is at.
pub(super) type Problem = (usize, String);

impl Table {
    pub(super) fn read(self) -> Result<Trust, Problem> {
        let mut trust = Trust { unsigned: self.unsigned, ..Trust::default() };
        trust.exposed_home = self.exposed_home.unwrap_or_default();
        for (name, value) in self.keys {
            let at = value.span().start;
            let key = signing_key(value.into_inner()).map_err(|problem| (at, problem))?;
            trust.keys.insert(name.into_inner(), key);
        }
        for (name, value) in self.pins {
            let at = value.span().start;
            service(name.get_ref()).map_err(|problem| (name.span().start, problem))?;
            let pins = digests(value.into_inner()).map_err(|problem| (at, problem))?;
            trust.pins.insert(name.into_inner(), pins);
        }
        Ok(trust)
    }
}

fn signing_key(value: Value) -> Result<SigningKey, String> {
    const FORM: &str = "write a key as \"RW…\", or as { key = \"RW…\", services = [\"NAME\"] }";
    let (key, services) = match value {
        Value::String(key) => (key, Vec::new()),
        Value::Table(mut table) => {
            let key = table.remove("key").and_then(|key| Some(key.as_str()?.to_owned())).ok_or(FORM)?;
            let services = match table.remove("services") {
                None => Vec::new(),
                Some(services) => {
                    let services = words(services).ok_or(FORM)?;
                    if services.is_empty() {
                        return Err("a key for no service is none; leave `services` out for all".to_owned());
                    }
                    services
                }
            };
            if let Some(unknown) = table.keys().next() {
                return Err(format!("unknown key `{unknown}`; known are key, services"));
            }
            (key, services)
        }
        _ => return Err(FORM.to_owned()),
    };
    PublicKey::parse(&key).map_err(|error| error.to_string())?;
    services.iter().try_for_each(|name| service(name))?;
    Ok(SigningKey { key, services })
}

fn digests(value: Value) -> Result<Vec<String>, String> {
    const FORM: &str =
        "write the BLAKE3 digest of a file, 64 hex digits, or a list of such; `hotbay check FILE` tells it";
    let digests = match value {
        Value::String(digest) => vec![digest],
        other => words(other).ok_or(FORM)?,
    };
    if digests.is_empty() || digests.iter().any(|digest| Digest::parse(digest).is_none()) {
        return Err(FORM.to_owned());
    }
    Ok(digests)
}

fn words(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    values.into_iter().map(|value| Some(value.as_str()?.to_owned())).collect()
}

fn service(name: &str) -> Result<(), String> {
    if is_valid_name(name) {
        return Ok(());
    }
    Err(format!("no service can be called `{name}`: names are [a-z0-9_-]{{1,64}}"))
}
