//! The plugins folder as the kernel knows it. Level-triggered: each look compares what is there with what was there;
//! notifications only say when to look.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotbay_plugin_api::manifest::Manifest;

use super::view::{Phase, Row};
use crate::config::Watch;
use crate::discover::{self, Fingerprint, discover};
use crate::verify::{Digest, Verified, verify};

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
    pub(crate) reason: String,
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
    changed: Instant,
    // To be read: now, or when it stood still.
    pending: bool,
    whole: bool,
    // It could not be read: it is tried again with each look.
    unread: bool,
    // Why it is waited for so long.
    held: Option<String>,
    gone: Option<Instant>,
    content: Content,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// When to look again at the latest, where something is not settled.
    pub(crate) again: Option<Instant>,
    /// Files that were read: verified ones and refused ones.
    pub(crate) verified: Vec<Candidate>,
    pub(crate) refused: Vec<(PathBuf, NoPlugin)>,
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
}

impl Files {
    pub(crate) fn new(folder: PathBuf, watch: &Watch) -> Self {
        Self { folder, settle: watch.settle, grace: watch.grace, known: BTreeMap::new(), first: true }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks at the folder. `renamed` are paths that something was moved to: such a file is whole at once.
    pub(crate) fn look(&mut self, renamed: &BTreeSet<PathBuf>) -> io::Result<Look> {
        let now = Instant::now();
        let present: BTreeSet<PathBuf> = discover::scan(&self.folder)?.into_iter().collect();
        let mut look = Look::default();
        for path in &present {
            self.note(path, renamed.contains(path), now);
        }
        self.first = false;
        for (path, known) in &mut self.known {
            if !present.contains(path) {
                known.gone.get_or_insert(now);
                continue;
            }
            if known.pending {
                known.read(path, self.settle, now, &mut look);
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

    fn note(&mut self, path: &Path, renamed: bool, now: Instant) {
        let fingerprint = discover::fingerprint(path);
        let first = self.first;
        let known = self.known.entry(path.to_owned()).or_insert_with(|| Known {
            fingerprint: None,
            changed: now,
            pending: false,
            whole: false,
            unread: false,
            held: None,
            gone: None,
            content: Content::Unread,
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
    pub(crate) fn refused_at(&self, path: &Path) -> Option<&str> {
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

    /// A row for each file that is no plugin, or that its writer keeps to itself.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        self.known.iter().filter_map(|(path, known)| {
            let (refused, phase, reason) = match (&known.content, &known.held) {
                (Content::Plugin(_), _) | (Content::Unread, None) => return None,
                (_, Some(held)) => (None, Phase::Starting, held),
                (Content::NoPlugin(refused), None) => (Some(refused), Phase::Rejected, &refused.reason),
            };
            let manifest = refused.and_then(|refused| refused.manifest.as_ref());
            let digest = refused.and_then(|refused| refused.digest.as_ref());
            let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Some(Row {
                name: manifest.map_or_else(stem, |manifest| manifest.name.clone()),
                version: manifest.map(|manifest| manifest.version.clone()),
                generation: None,
                phase,
                digest: digest.map(|digest| digest.as_str().to_owned()),
                source: Some(path.clone()),
                reason: Some(reason.clone()),
                pinned_generations: 0,
                pinned_bytes: 0,
            })
        })
    }
}

impl Known {
    fn read(&mut self, path: &Path, settle: Duration, now: Instant, look: &mut Look) {
        let still = now.duration_since(self.changed);
        if !self.whole && still < settle {
            look.look_again(self.changed + settle);
            return;
        }
        let again;
        let refused = match discover(path) {
            Err(error) if error.is_held() => {
                return self.wait_for_writer(path, error.to_string(), settle, now, look);
            }
            Err(error) => {
                again = error.may_pass();
                NoPlugin { digest: None, manifest: None, reason: error.to_string() }
            }
            Ok(discovered) => match verify(discovered) {
                Ok(verified) => {
                    (self.pending, self.held) = (false, None);
                    // It may have changed since the look began: then the next look sees another fingerprint.
                    self.fingerprint = Some(verified.fingerprint);
                    let same = matches!(&self.content, Content::Plugin(old) if old.digest == verified.digest);
                    if !same {
                        let candidate = Candidate::of(&verified);
                        look.verified.push(candidate.clone());
                        self.content = Content::Plugin(Box::new(candidate));
                    }
                    look.hand_on(verified);
                    return;
                }
                Err(refused) if refused.is_held() => {
                    return self.wait_for_writer(path, refused.error.to_string(), settle, now, look);
                }
                Err(refused) if refused.may_be_unfinished() && still < PATIENCE => {
                    look.look_again(now + settle.min(self.changed + PATIENCE - now));
                    return;
                }
                Err(refused) => {
                    again = refused.may_pass();
                    NoPlugin {
                        digest: refused.digest,
                        manifest: refused.manifest,
                        reason: refused.error.to_string(),
                    }
                }
            },
        };
        // What the system refuses to read now, it may give later: permissions change without a trace in the file.
        self.unread = again;
        (self.pending, self.held) = (false, None);
        if matches!(&self.content, Content::NoPlugin(known) if known.reason == refused.reason) {
            return;
        }
        look.refused.push((path.to_owned(), refused.clone()));
        self.content = Content::NoPlugin(refused);
    }

    /// A file that its writer keeps to itself is no wrong file, however long that takes; after a while it is said.
    fn wait_for_writer(
        &mut self,
        path: &Path,
        reason: String,
        settle: Duration,
        now: Instant,
        look: &mut Look,
    ) {
        let patience = PATIENCE.saturating_sub(now.duration_since(self.changed));
        if patience.is_zero() && self.held.as_ref() != Some(&reason) {
            tracing::warn!("waits for the writer of `{}`: {reason}", path.display());
            self.held = Some(reason);
        }
        look.look_again(now + if patience.is_zero() { PATIENCE / 4 } else { settle.min(patience) });
    }
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
