//! Public keys whose signatures count: those of the settings, and those that `hotbay trust add` wrote into the home folder.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotbay_plugin_api::manifest::is_valid_name;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::verify::Digest;

const EXTENSION: &str = "json";

/// The number that a key and its signatures are known by, as `minisign` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId(u64);

impl KeyId {
    /// That which stands in a key or in a signature: two bytes say what it is, eight are the number.
    pub(super) fn within(base64: &str) -> Option<Self> {
        let bytes = BASE64.decode(base64).ok()?;
        Some(Self(u64::from_le_bytes(bytes.get(2..10)?.try_into().ok()?)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub(crate) id: KeyId,
    pub(super) key: minisign_verify::PublicKey,
    text: String,
}

/// Why a text is no public key.
#[derive(Debug, thiserror::Error)]
#[error("it is no public key of minisign; that is the second line of `minisign.pub`, and begins with RW")]
pub(crate) struct NoKey;

impl PublicKey {
    /// Reads a key: alone, or as the file that `minisign` writes.
    pub(crate) fn parse(text: &str) -> Result<Self, NoKey> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.rfind(|line| !line.starts_with("untrusted comment:")).ok_or(NoKey)?;
        let key = minisign_verify::PublicKey::from_base64(line).map_err(|_| NoKey)?;
        Ok(Self { id: KeyId::within(line).ok_or(NoKey)?, key, text: line.to_owned() })
    }

    /// As it is written down.
    #[cfg(feature = "cli")]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// A key with what it is called and what it may sign.
#[derive(Debug, Clone)]
pub(crate) struct TrustedKey {
    pub(crate) name: String,
    pub(crate) key: PublicKey,
    /// All without any.
    pub(crate) services: Vec<String>,
    /// Where it stands, if it can be taken away by a command.
    pub(crate) file: Option<PathBuf>,
}

impl TrustedKey {
    pub(crate) fn may_sign_for(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|name| name == service)
    }
}

/// A key as it lies in the home folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    key: String,
    #[serde(default)]
    services: Vec<String>,
}

/// The folder in a home folder.
pub(crate) fn folder(home: &Path) -> PathBuf {
    home.join("trust").join("keys")
}

/// The keys of the settings.
pub(crate) fn of_settings(trust: &config::Trust) -> Vec<TrustedKey> {
    let read = |(name, set): (&String, &config::SigningKey)| {
        // It was read when the settings were; an embedding program may have set what is none, which signs nothing then.
        let key = PublicKey::parse(&set.key).ok()?;
        Some(TrustedKey { name: name.clone(), key, services: set.services.clone(), file: None })
    };
    trust.keys.iter().filter_map(read).collect()
}

/// What lies in the home folder: keys, and files that are none. A key less is never a file more that runs.
pub(crate) fn of_home(home: &Path) -> io::Result<Vec<Result<TrustedKey, (PathBuf, String)>>> {
    let entries = match std::fs::read_dir(folder(home)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_valid_name(name));
        // Others are what an interrupted write left.
        let (Some(name), true) = (name, path.extension().is_some_and(|end| end == EXTENSION)) else {
            continue;
        };
        all.push(read(&path, name).map_err(|why| (path.clone(), why)));
    }
    all.sort_by(|a, b| file_of(a).cmp(&file_of(b)));
    Ok(all)
}

fn file_of(listed: &Result<TrustedKey, (PathBuf, String)>) -> Option<&Path> {
    match listed {
        Ok(key) => key.file.as_deref(),
        Err((path, _)) => Some(path),
    }
}

fn read(path: &Path, name: &str) -> Result<TrustedKey, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let key = PublicKey::parse(&kept.key).map_err(|error| error.to_string())?;
    Ok(TrustedKey { name: name.to_owned(), key, services: kept.services, file: Some(path.to_owned()) })
}

/// Writes a key into the home folder, and answers its file; refused where there is one of that name.
#[cfg(feature = "cli")]
pub(crate) fn add(home: &Path, name: &str, key: &PublicKey, services: &[String]) -> io::Result<PathBuf> {
    let folder = folder(home);
    crate::os::private_folder(&folder)?;
    let path = folder.join(format!("{name}.{EXTENSION}"));
    if path.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let kept = Kept { key: key.text().to_owned(), services: services.to_vec() };
    super::write(&path, &kept)?;
    Ok(path)
}

/// What of a home folder's keys changes when any of them does.
pub(super) fn stamp(home: &Path) -> Digest {
    let mut text = String::new();
    for key in of_home(home).unwrap_or_default().into_iter().flatten() {
        text.push_str(&format!("{} {} {:?}\n", key.name, key.key.text, key.services));
    }
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That of the documentation of minisign.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_is_read_alone_and_with_its_comment_and_shows_the_number_that_minisign_does() {
        let alone = PublicKey::parse(KEY).unwrap();
        let file = format!("untrusted comment: minisign public key E7620F1842B4E81F\n{KEY}\n");
        assert_eq!(PublicKey::parse(&file).unwrap(), alone);
        assert_eq!(alone.id.to_string(), "E7620F1842B4E81F");
        for text in ["", "x", "untrusted comment: x", &KEY[1..], &KEY[..40]] {
            assert!(PublicKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_told_of_and_the_others_are_read() {
        let home = tempfile::tempdir().unwrap();
        assert!(of_home(home.path()).unwrap().is_empty());
        let folder = folder(home.path());
        std::fs::create_dir_all(&folder).unwrap();
        let none = stamp(home.path());
        std::fs::write(folder.join("good.json"), format!(r#"{{"key":"{KEY}","services":["a"]}}"#)).unwrap();
        std::fs::write(folder.join("bad.json"), "{").unwrap();
        std::fs::write(folder.join("bad.json.tmp"), "{").unwrap();
        let all = of_home(home.path()).unwrap();
        assert!(all[0].is_err() && all.len() == 2);
        let good = all[1].as_ref().unwrap();
        assert!(good.may_sign_for("a") && !good.may_sign_for("b"));
        assert_ne!(stamp(home.path()), none);
    }
}
