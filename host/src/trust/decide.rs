//! The verdict: from what is known of a file and what is asked of it. Touches nothing.

use std::fmt;
use std::io;
use std::path::PathBuf;

use hotbay_plugin_api::manifest::Manifest;

use super::exposure::Exposed;
use super::keys::{KeyId, TrustedKey};
use super::signature::Signature;
use super::statement::Statement;
use crate::config::Unsigned;
use crate::verify::Digest;

/// What is asked of a file.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    pub(super) unsigned: Option<Unsigned>,
    pub(super) keys: &'a [TrustedKey],
    pub(super) pins: Option<&'a [String]>,
    pub(super) floor: io::Result<u64>,
}

/// What is known of it.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) digest: &'a Digest,
    pub(super) bytes: &'a [u8],
    pub(super) signature: Option<&'a Signature>,
    pub(super) exposed: Option<Exposed>,
}

/// Who vouches for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// The settings name its digest.
    Pin,
    /// Whoever has this key.
    Key { name: String, id: KeyId },
    /// It is unsigned.
    Nobody,
}

/// How a file came to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) by: By,
    /// What its signature states; else 0.
    pub(crate) security: u64,
    /// The text of the signature.
    pub(super) signature: Option<String>,
    /// Who else could have written it, in words.
    pub(crate) exposed: Option<String>,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            By::Pin => write!(f, "its digest is pinned")?,
            By::Key { name, id } => write!(f, "signed by key `{name}` ({id})")?,
            By::Nobody => write!(f, "unsigned")?,
        }
        if self.by != By::Nobody {
            write!(f, ", security version {}", self.security)?;
        } else if let Some(exposed) = &self.exposed {
            write!(f, ", and others could have written it: {exposed}")?;
        }
        Ok(())
    }
}

/// Why a file is not to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Distrust {
    /// It has no signature, and the settings ask for one.
    #[error(
        "failed to trust it: it is unsigned, and `trust.unsigned` says to refuse that; sign it with `hotbay sign`"
    )]
    Unsigned,
    /// It has no signature, and somebody else may have written it.
    #[error(
        "failed to trust it: it is unsigned, and others could have written it: {0}; take that from them, sign it with `hotbay sign`, or set `trust.unsigned`"
    )]
    Exposed(Exposed),
    /// The file beside it is no signature.
    #[error("failed to read its signature `{}`: {why}; sign it again, or remove that file", path.display())]
    Signature { path: PathBuf, why: String },
    /// Nobody knows the key.
    #[error(
        "failed to trust it: it is signed by key {0}, which is not trusted here; `hotbay trust add KEY` if it is to be, or remove its signature"
    )]
    UnknownKey(KeyId),
    /// The key is for others.
    #[error(
        "failed to trust it: it is signed by key `{key}` ({id}), which may not sign for service `{service}`; let it with `--service`, or sign with another"
    )]
    OtherService { key: String, id: KeyId, service: String },
    /// Bytes and signature are not of each other.
    #[error(
        "failed to trust it: its signature by key `{key}` does not fit: {why}; bring file and signature anew, both"
    )]
    Bad { key: String, why: String },
    /// The settings name others.
    #[error(
        "failed to trust it: its digest is none of those that are pinned for service `{service}`; add {digest} to `trust.pins` if it is to run"
    )]
    NotPinned { service: String, digest: String },
    /// It is older than what served.
    #[error(
        "failed to trust it: its security version is {security}, and service `{service}` has come to {floor}; sign a newer one, or `hotbay trust floor {service} {security}` goes back"
    )]
    Below { service: String, security: u64, floor: u64 },
    /// How far the service has come is not known.
    #[error(
        "failed to read how far service `{service}` has come: {source}; `hotbay trust floor {service} NUMBER` says it anew"
    )]
    Floor { service: String, source: io::Error },
}

impl Distrust {
    /// Whether who is still writing the pair could explain it.
    pub(crate) fn may_be_unfinished(&self) -> bool {
        matches!(self, Self::Unsigned | Self::Exposed(_) | Self::Signature { .. } | Self::Bad { .. })
    }
}

/// The verdict.
pub(super) fn decide(policy: &Policy<'_>, subject: &Subject<'_>) -> Result<Standing, Distrust> {
    let Subject { manifest, digest, .. } = subject;
    // First of all: one that does not fit says that something is wrong, whatever else speaks for the file.
    let signed = subject.signature.map(|signature| signed(policy.keys, signature, subject)).transpose();
    let pinned = match policy.pins {
        Some(pins) if pins.iter().any(|pin| pin == digest.as_str()) => true,
        Some(_) => {
            signed?;
            let (service, digest) = (manifest.name.clone(), digest.as_str().to_owned());
            return Err(Distrust::NotPinned { service, digest });
        }
        None => false,
    };
    let signed = signed?;
    let security = signed.as_ref().map_or(0, |(_, security)| *security);
    let standing = |by| Standing {
        by,
        security,
        signature: subject.signature.map(|signature| signature.text.clone()),
        exposed: subject.exposed.as_ref().map(ToString::to_string),
    };
    // Who names a digest has this very file in mind, also where it is an older one.
    if pinned {
        return Ok(standing(By::Pin));
    }
    let by = match signed {
        Some((by, _)) => by,
        None => {
            let refuse = policy.unsigned == Some(Unsigned::Refuse);
            match &subject.exposed {
                _ if refuse => return Err(Distrust::Unsigned),
                Some(exposed) if policy.unsigned.is_none() => return Err(Distrust::Exposed(exposed.clone())),
                _ => By::Nobody,
            }
        }
    };
    // Also of what is unsigned: else whoever takes the signature away from an old version has it pass.
    match &policy.floor {
        Ok(floor) if security < *floor => {
            Err(Distrust::Below { service: manifest.name.clone(), security, floor: *floor })
        }
        Ok(_) => Ok(standing(by)),
        Err(error) => {
            let source = io::Error::new(error.kind(), error.to_string());
            Err(Distrust::Floor { service: manifest.name.clone(), source })
        }
    }
}

/// Whose signature it is, and the security version that it states.
fn signed(keys: &[TrustedKey], signature: &Signature, subject: &Subject<'_>) -> Result<(By, u64), Distrust> {
    let Subject { manifest, digest, bytes, .. } = subject;
    let (mut other_service, mut bad) = (None, None);
    // Two keys may have one number: whoever makes a key chooses it.
    for trusted in keys.iter().filter(|trusted| trusted.key.id == signature.id) {
        let TrustedKey { name, key, .. } = trusted;
        let refuse = |why: String| Distrust::Bad { key: name.clone(), why };
        if !signature.is_of(key, bytes) {
            let why =
                "one of the two was changed, belongs to another, or was made the old way, without a hash";
            bad = Some(refuse(why.to_owned()));
            continue;
        }
        if !trusted.may_sign_for(&manifest.name) {
            let (key, service) = (name.clone(), manifest.name.clone());
            other_service = Some(Distrust::OtherService { key, id: signature.id, service });
            continue;
        }
        let statement = Statement::parse(signature.comment()).map_err(refuse)?;
        if let Some(why) = statement.as_ref().and_then(|stated| stated.contradicts(manifest, digest)) {
            return Err(refuse(why));
        }
        let security = statement.map_or(0, |stated| stated.security);
        return Ok((By::Key { name: name.clone(), id: signature.id }, security));
    }
    Err(other_service.or(bad).unwrap_or(Distrust::UnknownKey(signature.id)))
}
