//! The plugins folder as the kernel knows it. Level-triggered: each look compares what is there with what was there;
//! notifications only say when to look.

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotbay_plugin_api::manifest::Manifest;

use super::view::{Phase, Row};
use crate::config::Watch;
use crate::discover::{self, Fingerprint};
use crate::error::{Trouble, shown};
use crate::trust::{Stamp, Standing, Trust, signature};
use crate::verify::{Digest, Verified};

/// A file that does not parse whole gets this long, standing still, before it is refused: its writer may have paused.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many bytes of files that were just read are handed on to whoever loads them at once. What is more is read again.
const HANDED_ON: usize = 64 << 20;

/// And so many files: each may hold a descriptor.
const HANDED_ON_FILES: usize = 64;

/// A verified file. Its bytes are read again, and compared by digest, when it is loaded later than it was read.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) version: semver::Version,
}

/// A candidate that is to be loaded.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) candidate: Candidate,
    /// The file itself, where it was read a moment ago.
    pub(crate) read: Option<Box<Verified>>,
}

impl Candidate {
    fn of(verified: &Verified) -> Self {
        Self {
            path: verified.path.clone(),
            digest: verified.digest.clone(),
            manifest: verified.manifest.clone(),
            version: verified.version.clone(),
        }
    }
}

impl Wanted {
    /// With its bytes, if they are among those that were read.
    pub(crate) fn among(read: &mut Vec<Verified>, candidate: Candidate) -> Self {
        let same = |read: &mut Verified| read.path == candidate.path && read.digest == candidate.digest;
        let read = read.extract_if(.., same).next().map(Box::new);
        Self { candidate, read }
    }
}

impl From<Candidate> for Wanted {
    fn from(candidate: Candidate) -> Self {
        Self { candidate, read: None }
    }
}

/// A file that is no plugin.
#[derive(Debug, Clone)]
pub(crate) struct NoPlugin {
    pub(crate) digest: Option<Digest>,
    pub(crate) manifest: Option<Box<Manifest>>,
    pub(crate) reason: Trouble,
}

#[derive(Debug)]
enum Content {
    Unread,
    Plugin(Box<Candidate>),
    NoPlugin(NoPlugin),
}

#[derive(Debug)]
struct Known {
    fingerprint: Option<Fingerprint>,
    // That of the file of its signature: the two are a pair.
    signature: Option<Fingerprint>,
    changed: Instant,
    // To be read: now, or when it stood still.
    pending: bool,
    whole: bool,
    // It could not be read: it is tried again with each look.
    unread: bool,
    // Why it is waited for so long.
    held: Option<Trouble>,
    gone: Option<Instant>,
    content: Content,
    // How the content came to be trusted.
    standing: Option<Standing>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// When to look again at the latest, where something is not settled.
    pub(crate) again: Option<Instant>,
    /// Files that were read: verified ones and refused ones.
    pub(crate) verified: Vec<Candidate>,
    pub(crate) refused: Vec<(PathBuf, NoPlugin)>,
    /// Files that are trusted in another way than before, whether they are what they were or not.
    pub(crate) vouched: Vec<(Candidate, Standing)>,
    /// Files that are gone for good.
    pub(crate) gone: Vec<PathBuf>,
    /// Verified files with their bytes.
    pub(crate) read: Vec<Verified>,
}

/// The files of the folder.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    settle: Duration,
    grace: Duration,
    known: BTreeMap<PathBuf, Known>,
    first: bool,
    // What the last look judged by.
    stamp: Option<Stamp>,
}

impl Files {
    pub(crate) fn new(folder: PathBuf, watch: &Watch) -> Self {
        Self {
            folder,
            settle: watch.settle,
            grace: watch.grace,
            known: BTreeMap::new(),
            first: true,
            stamp: None,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks at the folder. `renamed` are paths that something was moved to: such a file is whole at once.
    pub(crate) fn look(&mut self, renamed: &BTreeSet<PathBuf>, trust: &Trust) -> io::Result<Look> {
        let now = Instant::now();
        let present: BTreeSet<PathBuf> = discover::scan(&self.folder)?.into_iter().collect();
        let mut look = Look::default();
        let stamp = Some(trust.stamp(&self.folder));
        if std::mem::replace(&mut self.stamp, stamp.clone()) != stamp {
            for known in self.known.values_mut().filter(|known| !known.pending) {
                (known.pending, known.whole) = (true, true);
            }
        }
        for path in &present {
            self.note(path, renamed, now);
        }
        self.first = false;
        for (path, known) in &mut self.known {
            if !present.contains(path) {
                known.gone.get_or_insert(now);
                continue;
            }
            if known.pending {
                known.read(path, self.settle, now, trust, &mut look);
            }
        }
        let grace = self.grace;
        self.known.retain(|path, known| {
            let Some(gone) = known.gone else { return true };
            if now.duration_since(gone) < grace {
                look.look_again(gone + grace);
                return true;
            }
            look.gone.push(path.clone());
            false
        });
        Ok(look)
    }

    fn note(&mut self, path: &Path, renamed: &BTreeSet<PathBuf>, now: Instant) {
        let of_signature = signature::path_of(path);
        let fingerprint = discover::fingerprint(path);
        let signature = discover::fingerprint(&of_signature);
        let (renamed, signature_is_whole) = (renamed.contains(path), renamed.contains(&of_signature));
        let first = self.first;
        let known = self.known.entry(path.to_owned()).or_insert_with(|| Known {
            fingerprint: None,
            signature,
            changed: now,
            pending: false,
            whole: false,
            unread: false,
            held: None,
            gone: None,
            content: Content::Unread,
            standing: None,
        });
        let back = known.gone.take().is_some();
        if known.fingerprint != fingerprint
            || back
            || matches!(known.content, Content::Unread) && !known.pending
        {
            // What lies there since before the host was started is not being written.
            let old =
                first && fingerprint.and_then(|f| f.still_for()).is_some_and(|still| still > self.settle);
            known.whole = renamed || old;
            known.fingerprint = fingerprint;
            known.changed = now;
            known.pending = true;
        } else if renamed {
            known.whole = true;
        } else if known.unread {
            (known.pending, known.whole) = (true, true);
        }
        if std::mem::replace(&mut known.signature, signature) != signature {
            known.whole = signature_is_whole && (known.whole || !known.pending);
            (known.pending, known.changed) = (true, now);
        }
    }

    /// Reads a file anew at the next look, also where it did not change.
    pub(crate) fn reread(&mut self, path: &Path) {
        if let Some(known) = self.known.get_mut(path) {
            known.pending = true;
            known.whole = true;
        }
    }

    /// Reads a file anew when it stood still: it was found to be another than it was.
    pub(crate) fn unsettle(&mut self, path: &Path) {
        if let Some(known) = self.known.get_mut(path) {
            known.pending = true;
            known.whole = false;
            known.changed = Instant::now();
        }
    }

    /// Takes files as deleted without waiting for them to come back.
    pub(crate) fn drop_now(&mut self, path: &Path) {
        self.known.remove(path);
    }

    /// Files whose content is not known yet, and soon will be.
    pub(crate) fn is_settling(&self) -> bool {
        self.known.values().any(|known| known.pending && known.held.is_none())
    }

    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.known.contains_key(path)
    }

    pub(crate) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.known.values().filter_map(|known| match &known.content {
            Content::Plugin(candidate) => Some(&**candidate),
            _ => None,
        })
    }

    /// Why what lies at this path now is no plugin.
    pub(crate) fn refused_at(&self, path: &Path) -> Option<&Trouble> {
        match &self.known.get(path)?.content {
            Content::NoPlugin(refused) => Some(&refused.reason),
            _ => None,
        }
    }

    /// The refused file with this digest, if there is one.
    pub(crate) fn refused(&self, digest: &Digest) -> Option<&NoPlugin> {
        self.known.values().find_map(|known| match &known.content {
            Content::NoPlugin(refused) if refused.digest.as_ref() == Some(digest) => Some(refused),
            _ => None,
        })
    }

    /// Why a file that holds this name is not taken.
    pub(crate) fn refused_as(&self, name: &str) -> Option<&Trouble> {
        let all = self.known.iter().filter_map(|(path, known)| Some((path, known.told()?)));
        let mut fits = all.filter(|(path, (refused, ..))| called(path, *refused) == name);
        fits.next().map(|(_, (_, _, reason))| reason)
    }

    /// A row for each file that is no plugin, or that its writer keeps to itself.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        self.known.iter().filter_map(|(path, known)| {
            let (refused, phase, reason) = known.told()?;
            let manifest = refused.and_then(|refused| refused.manifest.as_ref());
            let digest = refused.and_then(|refused| refused.digest.as_ref());
            let (code, blame) = shown(Some(reason.code));
            Some(Row {
                name: called(path, refused),
                version: manifest.map(|manifest| manifest.version.clone()),
                generation: None,
                phase,
                digest: digest.map(|digest| digest.as_str().to_owned()),
                source: Some(path.clone()),
                reason: Some(reason.text.clone()),
                code,
                blame,
                pinned_generations: 0,
                pinned_bytes: 0,
            })
        })
    }
}

impl Known {
    /// What is told of it where it is no plugin, or its writer keeps it to itself.
    fn told(&self) -> Option<(Option<&NoPlugin>, Phase, &Trouble)> {
        match (&self.content, &self.held) {
            (Content::Plugin(_), _) | (Content::Unread, None) => None,
            (_, Some(held)) => Some((None, Phase::Starting, held)),
            (Content::NoPlugin(refused), None) => Some((Some(refused), Phase::Rejected, &refused.reason)),
        }
    }
}

/// The name of a file that is not taken: its manifest's, else its stem.
fn called(path: &Path, refused: Option<&NoPlugin>) -> String {
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let manifest = refused.and_then(|refused| refused.manifest.as_ref());
    manifest.map_or_else(stem, |manifest| manifest.name.clone())
}

impl Look {
    /// Keeps what was read for whoever loads it at once, as long as there is not too much of it.
    fn hand_on(&mut self, verified: Verified) {
        let kept: usize = self.read.iter().map(|other| other.bytes.len()).sum();
        let fits = kept.saturating_add(verified.bytes.len()) <= HANDED_ON;
        if fits && self.read.len() < HANDED_ON_FILES {
            self.read.push(verified);
        }
    }

    fn look_again(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }
}

#[cfg(test)]
mod tests;
