//! Trust: whether verified bytes may run here, by who signed them, who could have written them, and what the settings name.
//!
//! Judged between `verify` and `stage`, over the very bytes that are staged; the look at the folder judges as well, so that
//! what is refused is told before anything begins. Each judgement reads keys and marks from the disk anew: what `hotbay trust`
//! changes beside a running host holds from the next one on. A refused file never disturbs the version that serves.

pub(crate) mod exposure;
pub(crate) mod keys;
pub(crate) mod records;
pub(crate) mod signature;
pub(crate) mod statement;
mod decide;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::config::{Config, Unsigned};
use crate::kernel::records::IN_USE;
use crate::verify::{Digest, Verified};

pub(crate) use decide::{By, Distrust, Standing};
use decide::{Policy, Subject, decide};
use exposure::Exposed;
use records::Origin;
use signature::Signature;

/// So many versions of a service are remembered beside the one that serves and the one to go back to.
const REMEMBERED: usize = 16;

/// What a host trusts: its settings, and what lies in its home folder.
#[derive(Debug)]
pub(crate) struct Trust {
    settings: crate::config::Trust,
    home: PathBuf,
    known: Mutex<BTreeMap<String, Known>>,
}

/// What is in memory of a service's records.
#[derive(Debug, Default)]
struct Known {
    origins: Vec<Origin>,
    /// The mark was raised as far as this.
    raised: u64,
}

/// What judgements rest on beside the files themselves. Where it is another than before, all are judged anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    keys: Digest,
    floors: Vec<(String, Option<u64>)>,
    folder: Option<Exposed>,
}

impl Trust {
    pub(crate) fn new(config: &Config) -> Self {
        Self { settings: config.trust.clone(), home: config.home.clone(), known: Mutex::default() }
    }

    pub(crate) fn stamp(&self, folder: &Path) -> Stamp {
        let floors = records::all_floors(&self.home).unwrap_or_default();
        let floors = floors.into_iter().map(|(service, floor)| (service, floor.ok())).collect();
        Stamp { keys: keys::stamp(&self.home), floors, folder: exposure::of_folder(folder) }
    }

    /// Judges a file where it lies, by the signature beside it.
    pub(crate) fn judge(&self, verified: &Verified) -> Result<Standing, Distrust> {
        let exposed = exposure::of_file(&verified.path, verified.source.as_ref());
        let until_there = signature::path_until_there(&verified.path, &verified.digest);
        // Of one that fits, nothing more is to be asked; of one that does not, the other one's failure is told.
        if let Ok(Some(signature)) = signature::read(&until_there)
            && let Ok(standing) = self.decide(verified, Some(&signature), exposed.clone())
        {
            return Ok(standing);
        }
        let path = signature::path_of(&verified.path);
        let signature =
            signature::read(&path).map_err(|error| Distrust::Signature { path, why: error.to_string() })?;
        self.decide(verified, signature.as_ref(), exposed)
    }

    /// Judges bytes that are about to be copied into `folder`, under a name of their own.
    pub(crate) fn judge_for(
        &self,
        verified: &Verified,
        signature: Option<&Signature>,
        folder: Option<&Path>,
    ) -> Result<Standing, Distrust> {
        self.decide(verified, signature, folder.and_then(exposure::of_folder))
    }

    /// Judges bytes that were kept in the home folder, by where they came from.
    pub(crate) fn judge_kept(&self, verified: &Verified) -> Result<Standing, Distrust> {
        let origin = self.origin(&verified.manifest.name, &verified.digest);
        let damaged = |error: signature::NoSignature| Distrust::Signature {
            path: verified.path.clone(),
            why: error.to_string(),
        };
        let text = origin.as_ref().and_then(|origin| origin.signature.clone());
        let signature = text.map(Signature::parse).transpose().map_err(damaged)?;
        let exposed = origin.and_then(|origin| origin.exposed);
        let exposed = exposed.map(|why| Exposed { path: verified.path.clone(), why });
        self.decide(
            verified,
            signature.as_ref(),
            exposed.or_else(|| exposure::of_file(&verified.path, verified.source.as_ref())),
        )
    }

    fn decide(
        &self,
        verified: &Verified,
        signature: Option<&Signature>,
        exposed: Option<Exposed>,
    ) -> Result<Standing, Distrust> {
        let name = &verified.manifest.name;
        let mut keys = keys::of_settings(&self.settings);
        // A folder of keys that cannot be read has none.
        keys.extend(keys::of_home(&self.home).unwrap_or_default().into_iter().flatten());
        let policy = Policy {
            unsigned: self.settings.unsigned,
            keys: &keys,
            pins: self.settings.pins.get(name).map(Vec::as_slice),
            floor: records::floor(&self.home, name),
        };
        let subject = Subject {
            manifest: &verified.manifest,
            digest: &verified.digest,
            bytes: &verified.bytes,
            signature,
            exposed,
        };
        decide(&policy, &subject)
    }

    /// Remembers where a version came from, before anything of it runs: its bytes may be kept.
    pub(crate) fn remember(&self, service: &str, digest: &Digest, standing: &Standing) -> io::Result<()> {
        let mut known = self.known(service);
        let known = known.entry(service.to_owned()).or_default();
        let origin = Origin::of(digest, standing);
        // A swap to what is known waits for no disk.
        if known.origins.contains(&origin) {
            return Ok(());
        }
        let mut origins = known.origins.clone();
        origins.retain(|other| other.digest != origin.digest);
        origins.push(origin);
        records::set_origins(&self.home, service, &origins)?;
        known.origins = origins;
        Ok(())
    }

    /// Where a version came from.
    pub(crate) fn origin(&self, service: &str, digest: &Digest) -> Option<Origin> {
        let known = self.known(service);
        known.get(service)?.origins.iter().find(|origin| origin.digest == digest.as_str()).cloned()
    }

    /// A version serves and is not on probation: from here on nothing goes below its security version by itself. Also forgets
    /// versions that are neither this one, nor the one to go back to, nor among the newest.
    pub(crate) fn settle(&self, service: &str, serves: &Digest, good: Option<&Digest>) -> io::Result<()> {
        let mut known = self.known(service);
        let Some(known) = known.get_mut(service) else { return Ok(()) };
        let of = |origin: &Origin, digest: &Digest| origin.digest == digest.as_str();
        let security = known.origins.iter().find(|origin| of(origin, serves)).map_or(0, |o| o.security);
        if security > known.raised {
            if records::floor(&self.home, service)? < security {
                records::set_floor(&self.home, service, security)?;
            }
            known.raised = security;
        }
        if known.origins.len() > 2 * REMEMBERED {
            let old = known.origins.len() - REMEMBERED;
            let mut kept = known.origins.clone();
            let mut at = 0;
            kept.retain(|origin| {
                at += 1;
                at > old || of(origin, serves) || good.is_some_and(|good| of(origin, good))
            });
            records::set_origins(&self.home, service, &kept)?;
            known.origins = kept;
        }
        Ok(())
    }

    /// With the service's records read, once.
    fn known(&self, service: &str) -> MutexGuard<'_, BTreeMap<String, Known>> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(service) {
            let origins = records::origins_of(&self.home, service).unwrap_or_else(|error| {
                tracing::warn!(plugin = service, %error, "failed to read where its versions came from: kept ones are taken for unsigned");
                Vec::new()
            });
            all.insert(service.to_owned(), Known { origins, raised: 0 });
        }
        all
    }
}

/// Whether a service's unsigned files are told of each time.
pub(crate) fn warns(settings: &crate::config::Trust, standing: &Standing) -> bool {
    settings.unsigned == Some(Unsigned::Warn) && standing.by == By::Nobody
}

/// Writes a record in one step, to be there after a power cut as well.
fn write(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(record)?;
    hotbay_state::write_durably(path, &json, IN_USE).map_err(|error| error.source)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::samples;
