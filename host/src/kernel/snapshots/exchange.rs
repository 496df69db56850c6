//! Another snapshot in the place of the newest, for a service that does not run: an earlier one, or what is read from a file.

use std::io::Read;
use std::sync::{Arc, PoisonError};

use hotbay_state::{Draft, Header, KeyRing, OpenError, Opener, Stamp, StoreError};
use zeroize::Zeroizing;

use super::{Snapshots, turn};
use crate::PlainState;

/// What is read at once of state in the clear.
const PIECE: usize = 1 << 16;

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is told of what was given, and not of the state that is there, which is as it was.
    #[error("take it as state of {service}: {}", wrong_with(why))]
    Capsule { service: String, why: OpenError },
    /// A plugin could not be given it, or give it back.
    #[error("import more than {max} bytes: raise `max_bytes` under `[state]` in hotbay.toml")]
    TooLarge { max: u64 },
}

/// What is wrong with a file that somebody gives, and what to do: another copy may be whole, and there is nothing to be set aside.
fn wrong_with(why: &OpenError) -> String {
    match why {
        OpenError::NotState => {
            "it begins with other bytes than sealed state; what is in the clear comes in with \
                                `--plain --schema NUMBER --from-version VERSION`"
                .to_owned()
        }
        OpenError::Truncated { got, expected } => {
            format!("it is cut short at {got} of at least {expected} bytes; give a whole copy")
        }
        OpenError::Newer { format, known } => {
            format!("a newer Hotbay wrote it (format {format}), this one reads up to {known}; update Hotbay")
        }
        OpenError::BadHeader { problem } => {
            format!("its header cannot be understood: {problem}; give another copy")
        }
        OpenError::OtherService { found, .. } => {
            format!("it is the state of {found}; name that service")
        }
        OpenError::WrongKey { sealed_with, ours } => {
            format!("it is sealed with key {sealed_with}, and the key in use is {ours}; bring back the key")
        }
        OpenError::HeaderChanged => {
            "its header was damaged or changed after it was sealed; give another copy".to_owned()
        }
        OpenError::Damaged { chunk } => {
            format!("its chunk {chunk} was damaged or changed after it was sealed; give another copy")
        }
        OpenError::Misplaced { chunk, belongs } => {
            format!("its chunk {chunk} is in the place of {belongs}: it was put together; give another copy")
        }
        OpenError::Trailing { extra } => format!("{extra} bytes follow its end; give another copy"),
        OpenError::Read { source } => format!("it cannot be read: {source}"),
    }
}

impl Snapshots {
    /// Makes an earlier snapshot the newest. What was the newest is kept aside, too: under its number it goes with the next few
    /// snapshots.
    pub(crate) fn restore(&self, service: &str, sequence: u64) -> Result<Header, StoreError> {
        crate::fault::point("restore", service)
            .map_err(|source| StoreError::Folder { path: self.store.folder().to_owned(), source })?;
        let keys = self.keys();
        let opener = self.store.open_at(&keys, service, Some(sequence))?.ok_or_else(|| {
            StoreError::NoSuch { service: service.to_owned(), sequence, kept_ones: Vec::new() }
        })?;
        // A number is taken, and a copy kept, only where there is something to be numbered.
        let draft = self.store.draft_again(keys.primary(), opener, self.next_sequence(service), true)?;
        self.exchange(service, &keys, draft)
    }

    /// Makes what `source` reads the newest, `max` bytes of state at most. What was the newest is kept aside, as by a restore.
    pub(crate) fn import(
        &self,
        service: &str,
        mut source: &mut dyn Read,
        plain: Option<&PlainState>,
        max: u64,
    ) -> Result<Header, ImportError> {
        let keys = self.keys();
        let capsule = |why| ImportError::Capsule { service: service.to_owned(), why };
        let Some(PlainState { schema, version }) = plain else {
            let mut opener = keys.opener(service, &mut source).map_err(capsule)?;
            if opener.declared_len().is_some_and(|len| len > max) {
                return Err(ImportError::TooLarge { max });
            }
            let stamp = Stamp { sequence: self.next_sequence(service), ..opener.stamp() };
            let mut drafting = self.store.draft(keys.primary(), &stamp)?;
            let mut taken = 0;
            while let Some(chunk) = opener.next_chunk().map_err(capsule)? {
                taken += chunk.len() as u64;
                if taken > max {
                    return Err(ImportError::TooLarge { max });
                }
                drafting.push(chunk)?;
            }
            return Ok(self.exchange(service, &keys, drafting.finish()?)?);
        };
        let stamp = Stamp {
            service,
            plugin: service,
            plugin_version: version,
            schema: *schema,
            sequence: self.next_sequence(service),
            ..Stamp::default()
        };
        let mut drafting = self.store.draft(keys.primary(), &stamp)?;
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        let mut taken = 0;
        loop {
            let len = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(capsule(OpenError::Read { source })),
            };
            taken += len as u64;
            if taken > max {
                return Err(ImportError::TooLarge { max });
            }
            drafting.push(&piece[..len])?;
        }
        Ok(self.exchange(service, &keys, drafting.finish()?)?)
    }

    /// Puts a draft, which was sealed with the primary of `keys`, in the place of the newest.
    fn exchange(&self, service: &str, keys: &Arc<KeyRing>, draft: Draft) -> Result<Header, StoreError> {
        self.forget_written(service);
        let header = {
            let _publishing = self.publishing.read().unwrap_or_else(PoisonError::into_inner);
            let writing = self.writing(service);
            let _turn = turn(&writing);
            let draft = self.with_primary(service, keys, draft)?;
            self.store.keep_aside(service)?;
            self.store.publish(&draft)?;
            draft.header().clone()
        };
        self.note(&header, None);
        // What it took the place of was rejected: should this one be damaged, nothing goes back to that by itself.
        self.head.note_put_back(service, header.sequence);
        self.keep_head(true);
        Ok(header)
    }

    /// The draft, sealed again where the keys were rotated since: the one that it needs may be retired in a moment, or is.
    fn with_primary(&self, service: &str, keys: &KeyRing, draft: Draft) -> Result<Draft, StoreError> {
        let now = self.keys();
        if draft.header().key_id == now.primary().id() {
            return Ok(draft);
        }
        let opener = keys.open_file(service, draft.path());
        let opener: Opener<_> =
            opener.map_err(|source| StoreError::Capsule { path: draft.path().to_owned(), source })?;
        self.store.draft_again(now.primary(), opener, draft.header().sequence, false)
    }
}
