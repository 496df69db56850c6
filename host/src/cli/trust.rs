//! `hotbay trust`: whose signatures count, and how far each service has come. What it writes holds for a running host at once.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use hotbay_plugin_api::manifest::is_valid_name;
use minisign::KeyPair;
use serde::Serialize;

use super::failed::Otherwise as _;
use super::output::{Output, narrate};
use super::sign::{password, replace};
use super::state::Offline;
use crate::config::Unsigned;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;
use crate::trust::keys::{self, PublicKey, TrustedKey};
use crate::trust::records;

#[derive(Debug, Subcommand)]
pub(super) enum Trust {
    /// The keys whose signatures count, and the lowest security version of each service that may run
    List,
    /// Have the signatures of a key count
    Add {
        /// The public key: the file that `minisign -G` or `hotbay trust new-key` wrote, or the text that begins with RW
        key: String,
        /// What it is called [default: the name of the file, else its number]
        #[arg(long)]
        name: Option<String>,
        /// A service that it may sign for, as often as there are services [default: all]
        #[arg(long = "service", value_name = "NAME")]
        services: Vec<String>,
    },
    /// Have the signatures of a key count no more; what runs goes on until it is loaded anew
    Remove {
        /// Its name or number
        key: String,
    },
    /// Set the lowest security version of a service that may run, as to go back to an older one
    Floor {
        /// The service
        service: String,
        /// The number; 0 for any
        security: u64,
    },
    /// Make a key to sign with: FILE, which is secret, and FILE.pub
    NewKey {
        /// Where to
        file: PathBuf,
        /// Replace what is there: what that key signed can be signed by it no more
        #[arg(short, long)]
        force: bool,
        /// Whoever has the file can sign with it
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
        /// A file with the key's password in its first line, `-` for stdin; else it is asked for
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

#[derive(Debug, Serialize)]
struct Listed {
    unsigned: Option<&'static str>,
    keys: Vec<Key>,
    floors: Vec<Floor>,
    pins: std::collections::BTreeMap<String, Vec<String>>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Key {
    name: String,
    id: String,
    /// `null` for all.
    services: Option<Vec<String>>,
    /// `settings` or `home`.
    from: &'static str,
}

#[derive(Debug, Serialize)]
struct Floor {
    service: String,
    /// `null` where it cannot be read: then nothing of the service is loaded that is not pinned.
    security: Option<u64>,
}

pub(super) fn trust(at: &Offline, command: &Trust, out: &Output) -> anyhow::Result<()> {
    match command {
        Trust::List => list(at, out),
        Trust::Add { key, name, services } => add(at, key, name.as_deref(), services, out),
        Trust::Remove { key } => remove(at, key),
        Trust::Floor { service, security } => floor(at, service, *security),
        Trust::NewKey { file, force, no_password, password_file } => {
            new_key(file, *force, *no_password, password_file.as_deref(), out)
        }
    }
}

fn list(at: &Offline, out: &Output) -> anyhow::Result<()> {
    let (known, mut problems) = known(at)?;
    let mut floors = Vec::new();
    for (service, security) in
        records::all_floors(&at.config.home).otherwise(Code::TrustUnread, || "failed to read the floors")?
    {
        if let Err(error) = &security {
            problems.push(format!(
                "failed to read the floor of service `{service}`: {error}; `hotbay trust floor {service} NUMBER` says it anew"
            ));
        }
        floors.push(Floor { service, security: security.ok() });
    }
    let unsigned = at.config.trust.unsigned.map(|unsigned| match unsigned {
        Unsigned::Refuse => "refuse",
        Unsigned::Warn => "warn",
        Unsigned::Allow => "allow",
    });
    let keys = known.iter().map(shown).collect();
    let listed = Listed { unsigned, keys, floors, pins: at.config.trust.pins.clone(), problems };
    for problem in &listed.problems {
        narrate(problem);
    }
    if out.is_json() {
        return out.json(&listed);
    }
    let row = |key: &Key| {
        let services = key.services.as_ref().map_or_else(|| "all".to_owned(), |services| services.join(", "));
        vec![key.name.clone(), key.id.clone(), services, key.from.to_owned()]
    };
    out.table(&["KEY", "NUMBER", "SERVICES", "FROM"], &listed.keys.iter().map(row).collect::<Vec<_>>())?;
    let row = |floor: &Floor| {
        let security = floor.security.map_or_else(|| "damaged".to_owned(), |security| security.to_string());
        vec![floor.service.clone(), security]
    };
    if listed.floors.is_empty() {
        return Ok(());
    }
    out.table(&["SERVICE", "FLOOR"], &listed.floors.iter().map(row).collect::<Vec<_>>())
}

/// All keys, and what cannot be read of them.
fn known(at: &Offline) -> anyhow::Result<(Vec<TrustedKey>, Vec<String>)> {
    let (mut known, mut problems) = (keys::of_settings(&at.config.trust), Vec::new());
    let all = keys::of_home(&at.config.home);
    for key in all.otherwise(Code::TrustUnread, || "failed to read the keys of the home folder")? {
        match key {
            Ok(key) => known.push(key),
            Err((path, why)) => problems.push(format!(
                "failed to read the key `{}`: {why}; its signatures do not count: remove it, and add it again",
                path.display()
            )),
        }
    }
    Ok((known, problems))
}

fn shown(key: &TrustedKey) -> Key {
    Key {
        name: key.name.clone(),
        id: key.key.id.to_string(),
        services: (!key.services.is_empty()).then(|| key.services.clone()),
        from: if key.file.is_some() { "home" } else { "settings" },
    }
}

fn add(at: &Offline, key: &str, name: Option<&str>, services: &[String], out: &Output) -> anyhow::Result<()> {
    let file = Path::new(key);
    let from_file = file.is_file();
    let text = if from_file {
        std::fs::read_to_string(file).otherwise(Code::NotRead, || format!("failed to read `{key}`"))?
    } else {
        key.to_owned()
    };
    let usage = |code, message: String| Failure::new(Exit::Usage, code, message);
    let public = PublicKey::parse(&text)
        .map_err(|error| format!("failed to read `{key}`: {error}, or a file with it"))
        .map_err(|message| usage(Code::NoPublicKey, message))?;
    // `release.pub` and `release.key.pub` are both of `release`.
    let stem = file.file_name().filter(|_| from_file).and_then(|name| name.to_str()?.split('.').next());
    let name = name.or(stem).filter(|name| is_valid_name(name)).map(ToOwned::to_owned);
    let name = name.unwrap_or_else(|| public.id.to_string().to_lowercase());
    if let Some(service) = services.iter().find(|service| !is_valid_name(service)) {
        return Err(usage(Code::CommandLine, no_service(service)).into());
    }
    own_home(at)?;
    let (known, _) = known(at)?;
    if let Some(other) = known.iter().find(|other| other.name == name || other.key == public) {
        let message = format!(
            "failed to add key {}: `{}` is trusted already, number {}; `hotbay trust remove {}` comes first",
            public.id, other.name, other.key.id, other.name
        );
        return Err(Failure::new(Exit::Refused, Code::KeyTrustedAlready, message).into());
    }
    let path = keys::add(&at.config.home, &name, &public, services)
        .otherwise(Code::NotWritten, || format!("failed to write key `{name}` to the home folder"))?;
    let added = TrustedKey { name, key: public, services: services.to_vec(), file: Some(path) };
    let whose = if services.is_empty() { "every service".to_owned() } else { services.join(", ") };
    narrate(&format!("what key `{}` ({}) signs may run as {whose}", added.name, added.key.id));
    if out.is_json() { out.json(&shown(&added)) } else { Ok(()) }
}

fn remove(at: &Offline, wanted: &str) -> anyhow::Result<()> {
    own_home(at)?;
    let (known, _) = known(at)?;
    let fits = |key: &&TrustedKey| key.name == wanted || key.key.id.to_string().eq_ignore_ascii_case(wanted);
    let damaged = keys::folder(&at.config.home).join(format!("{wanted}.json"));
    let file = match known.iter().find(fits) {
        Some(TrustedKey { file: None, .. }) => {
            let message = format!(
                "failed to remove key `{wanted}`: it stands in the settings; take it out of `[trust.keys]`"
            );
            return Err(Failure::new(Exit::Refused, Code::KeyInSettings, message).into());
        }
        Some(TrustedKey { file: Some(file), .. }) => file.clone(),
        None if is_valid_name(wanted) && damaged.is_file() => damaged,
        None => {
            let names: Vec<&str> = known.iter().map(|key| key.name.as_str()).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = format!("failed to find key `{wanted}`; there are: {there}");
            return Err(Failure::new(Exit::NotFound, Code::NoSuchTrustedKey, message).into());
        }
    };
    std::fs::remove_file(&file)
        .otherwise(Code::NotWritten, || format!("failed to remove `{}`", file.display()))?;
    narrate(&format!(
        "what key `{wanted}` signed is not loaded any more; what runs goes on until it is loaded anew"
    ));
    Ok(())
}

fn floor(at: &Offline, service: &str, security: u64) -> anyhow::Result<()> {
    if !is_valid_name(service) {
        return Err(Failure::new(Exit::Usage, Code::CommandLine, no_service(service)).into());
    }
    own_home(at)?;
    records::set_floor(&at.config.home, service, security)
        .otherwise(Code::NotWritten, || format!("failed to set the floor of service `{service}`"))?;
    narrate(&format!("of service `{service}` nothing below security version {security} is loaded"));
    Ok(())
}

fn no_service(text: &str) -> String {
    format!("failed to read `{text}`: services match [a-z0-9_-]{{1,64}}")
}

fn new_key(
    file: &Path,
    force: bool,
    no_password: bool,
    password_file: Option<&Path>,
    out: &Output,
) -> anyhow::Result<()> {
    let mut public_file = file.as_os_str().to_owned();
    public_file.push(".pub");
    let public_file = PathBuf::from(public_file);
    if let Some(there) = [file, &public_file].into_iter().find(|path| path.symlink_metadata().is_ok())
        && !force
    {
        let message = format!("failed to make a key: `{}` exists; `--force` replaces it", there.display());
        return Err(Failure::new(Exit::Refused, Code::FileThere, message).into());
    }
    let made = || "failed to make a key";
    let pair = if no_password {
        KeyPair::generate_unencrypted_keypair().otherwise(Code::NotSigned, made)?
    } else {
        let typed = password(password_file, "password of the new key: ")?;
        if password_file.is_none() && typed != password(None, "once more: ")? {
            let message = "failed to make a key: the two passwords differ";
            return Err(Failure::new(Exit::Usage, Code::NotSigned, message).into());
        }
        KeyPair::generate_encrypted_keypair(Some(typed)).otherwise(Code::NotSigned, made)?
    };
    let comment = if no_password { "hotbay secret key, without a password" } else { "hotbay secret key" };
    let secret = pair.sk.to_box(Some(comment)).otherwise(Code::NotSigned, made)?.into_string();
    let public = pair.pk.to_box().otherwise(Code::NotSigned, made)?.into_string();
    // Beside it, closed to all others, and then in its place: at no moment there is none.
    let written = hotbay_state::write_durably(file, secret.as_bytes(), std::time::Duration::from_secs(2));
    written.otherwise(Code::NotWritten, || format!("failed to write `{}`", file.display()))?;
    replace(&public_file, public.as_bytes())
        .otherwise(Code::NotWritten, || format!("failed to write `{}`", public_file.display()))?;
    let id = PublicKey::parse(&public).otherwise(Code::NotSigned, made)?.id.to_string();
    narrate(&format!(
        "key {id}: `{}` is secret, and signs with `hotbay sign`; `hotbay trust add {}` has a host trust it",
        file.display(),
        public_file.display()
    ));
    let made = serde_json::json!({ "id": id, "secret": file, "public": public_file });
    if out.is_json() { out.json(&made) } else { Ok(()) }
}

/// That the home folder is this user's: what another one writes there, as root with `sudo`, its host may not be able to read.
fn own_home(at: &Offline) -> anyhow::Result<()> {
    let home = &at.config.home;
    if home.exists() && !crate::os::owns(home)? {
        let message = format!(
            "failed to change files in `{}`: it belongs to another user; run this as that user",
            home.display()
        );
        return Err(Failure::new(Exit::Refused, Code::HomeOfAnother, message).into());
    }
    Ok(())
}
