//! Where the keys come from that seal state.

use std::path::{Path, PathBuf};

use hotbay_state::{Key, KeyError, KeyId, KeyRing};

use crate::config::KeySource;
use crate::error::{Code, Trouble};
use crate::{Config, ControlError, HostError};

const NOT_IN_A_FILE: &str = "failed to change the keys: the first of them comes from a credential or the environment; put \
     the new key there, before the old one and with white space between them, and restart the host: it seals anew what needs it";

/// Why keys are not rotated here.
pub(crate) fn not_in_a_file() -> Trouble {
    Trouble::new(Code::KeysNotInFile, NOT_IN_A_FILE)
}

/// The key whose id begins so.
pub(crate) fn by_id(ring: &KeyRing, id: &str) -> Result<KeyId, ControlError> {
    let mut like = ring.keys().map(hotbay_state::Key::id).filter(|of| of.to_string().starts_with(id));
    match (like.next(), like.next()) {
        (Some(one), None) if !id.is_empty() => Ok(one),
        _ => {
            let known: Vec<String> = ring.keys().map(|key| key.id().to_string()).collect();
            let reason = format!("failed to find a key `{id}`: there are {}", known.join(", "));
            Err(ControlError::NoFile { reason: Trouble::new(Code::NoSuchKey, reason) })
        }
    }
}

/// That no file needs a key.
pub(crate) fn is_free(id: KeyId, needed: &[PathBuf]) -> Result<(), ControlError> {
    let [first, rest @ ..] = needed else { return Ok(()) };
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    let reason = format!(
        "failed to retire key {id}: `{}`{more} can be read with no other, as far as can be told; a rotation seals anew what it can, and \
         goes on when the host is started; `hotbay events` tells how far it is, and `hotbay state prune --aside` removes what is damaged",
        first.display()
    );
    Err(ControlError::Refused { reason: Trouble::new(Code::KeyNeeded, reason) })
}

/// That the keys of all sources take one more: found out before it is made, for a host with too many does not start.
pub(crate) fn has_room(config: &Config) -> Result<(), ControlError> {
    let rotated = existing_ring(config).and_then(|ring| Ok(ring.rotated(Key::generate()?)?));
    rotated.map(drop).map_err(|error| match error {
        HostError::Key(error @ KeyError::TooMany { .. }) => ControlError::Refused { reason: error.into() },
        error => ControlError::Failed { reason: error.into() },
    })
}

/// The keys of all sources, in their order; on the first run one is made in the home folder.
pub(crate) fn ring(config: &Config) -> Result<KeyRing, HostError> {
    read(config, |path| Ok(KeyRing::load_or_create(path)?.0))
}

/// The same, and nothing is made.
pub(crate) fn existing_ring(config: &Config) -> Result<KeyRing, HostError> {
    read(config, KeyRing::load)
}

/// The keys that can be read, and why the first of the other sources cannot: for who asks which keys are missing.
#[cfg(feature = "cli")]
pub(crate) fn readable_ring(config: &Config) -> (Option<KeyRing>, Option<HostError>) {
    let (mut all, mut trouble) = (None, None);
    for source in sources(config) {
        let read = of_source(config, source, &KeyRing::load);
        if let Err(error) = read.and_then(|ring| join(&mut all, ring)) {
            trouble = trouble.or(Some(error));
        }
    }
    (all, trouble)
}

/// The file that a rotation writes: the first source, where that is a file.
pub(crate) fn file(config: &Config) -> Option<PathBuf> {
    match config.state.keys.first() {
        None | Some(KeySource::Home) => Some(in_home(config)),
        Some(KeySource::File(path)) => Some(path.clone()),
        Some(KeySource::Credential(_) | KeySource::Environment(_)) => None,
    }
}

fn in_home(config: &Config) -> PathBuf {
    config.home.join("state.key")
}

fn read(config: &Config, home: impl Fn(&Path) -> Result<KeyRing, KeyError>) -> Result<KeyRing, HostError> {
    let mut all = None;
    for source in sources(config) {
        join(&mut all, of_source(config, source, &home)?)?;
    }
    Ok(all.expect("there is a source"))
}

fn sources(config: &Config) -> &[KeySource] {
    if config.state.keys.is_empty() { &[KeySource::Home] } else { &config.state.keys }
}

fn join(all: &mut Option<KeyRing>, ring: KeyRing) -> Result<(), HostError> {
    match all {
        None => *all = Some(ring),
        Some(all) => all.join(&ring)?,
    }
    Ok(())
}

fn of_source(
    config: &Config,
    source: &KeySource,
    home: &impl Fn(&Path) -> Result<KeyRing, KeyError>,
) -> Result<KeyRing, HostError> {
    Ok(match source {
        KeySource::Home => home(&in_home(config))?,
        KeySource::File(path) => KeyRing::load(path)?,
        KeySource::Credential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
            let folder = folder.ok_or_else(|| HostError::NoCredentials { name: name.clone() })?;
            KeyRing::load_credential(&Path::new(&folder).join(name))?
        }
        KeySource::Environment(name) => {
            let text = std::env::var(name).map_err(|_| HostError::NoKey { name: name.clone() })?;
            tracing::warn!(
                "the key that seals state is in the environment, as `{name}`: plugins, child processes and whoever may look at \
                 this process can read it; `state.key_file` or `state.key_credential` keeps it from them"
            );
            KeyRing::parse(&zeroize::Zeroizing::new(text))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_is_full_over_all_its_sources_is_found_out_before_a_key_is_made() {
        let home = tempfile::tempdir().unwrap();
        let mut keys = 0..32_u8;
        let mut source = |name: &str, count| {
            let text: Vec<String> =
                keys.by_ref().take(count).map(|key| format!("{key:02x}5a").repeat(16)).collect();
            let path = home.path().join(name);
            let mut file = crate::os::private_file().open(&path).unwrap();
            std::io::Write::write_all(&mut file, text.join("\n").as_bytes()).unwrap();
            KeySource::File(path)
        };
        let mut config = Config::default();
        config.state.keys = vec![source("seals", 20), source("reads", 11)];
        has_room(&config).unwrap();
        config.state.keys.push(source("reads too", 1));
        let error = has_room(&config).unwrap_err();
        assert!(matches!(error, ControlError::Refused { .. }), "{error}");
    }
}
