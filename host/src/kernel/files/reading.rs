//! A file is read, and judged, when it and its signature stood still for long enough.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Candidate, Content, Known, Look, NoPlugin, PATIENCE};
use crate::discover::discover;
use crate::error::Trouble;
use crate::trust::Trust;
use crate::verify::verify;

impl Known {
    pub(super) fn read(
        &mut self,
        path: &Path,
        settle: Duration,
        now: Instant,
        trust: &Trust,
        look: &mut Look,
    ) {
        let still = now.duration_since(self.changed);
        if !self.whole && still < settle {
            look.look_again(self.changed + settle);
            return;
        }
        let again;
        let refused = match discover(path) {
            Err(error) if error.is_held() => {
                return self.wait_for_writer(path, error.into(), settle, now, look);
            }
            Err(error) => {
                again = error.may_pass();
                NoPlugin { digest: None, manifest: None, reason: error.into() }
            }
            Ok(discovered) => match verify(discovered).map(|verified| (trust.judge(&verified), verified)) {
                Ok((Err(distrust), _)) if distrust.may_be_unfinished() && still < PATIENCE => {
                    look.look_again(now + settle.min(self.changed + PATIENCE - now));
                    return;
                }
                Ok((Err(distrust), verified)) => {
                    again = false;
                    (self.fingerprint, self.standing) = (Some(verified.fingerprint), None);
                    NoPlugin {
                        digest: Some(verified.digest),
                        manifest: Some(Box::new(verified.manifest)),
                        reason: distrust.into(),
                    }
                }
                Ok((Ok(standing), verified)) => {
                    (self.pending, self.held) = (false, None);
                    // It may have changed since the look began: then the next look sees another fingerprint.
                    self.fingerprint = Some(verified.fingerprint);
                    let same = matches!(&self.content, Content::Plugin(old) if old.digest == verified.digest);
                    if !same {
                        let candidate = Candidate::of(&verified);
                        look.verified.push(candidate.clone());
                        self.content = Content::Plugin(Box::new(candidate));
                    }
                    if self.standing.as_ref() != Some(&standing) {
                        look.vouched.push((Candidate::of(&verified), standing.clone()));
                        self.standing = Some(standing);
                    }
                    look.hand_on(verified);
                    return;
                }
                Err(refused) if refused.is_held() => {
                    return self.wait_for_writer(path, refused.error.into(), settle, now, look);
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
                        reason: refused.error.into(),
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
    pub(super) fn wait_for_writer(
        &mut self,
        path: &Path,
        reason: Trouble,
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
