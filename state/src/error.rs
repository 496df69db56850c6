//! What can go wrong, one enum per stage.
//!
//! Every text completes the sentence "failed to …" and ends, where there is something to do, with what that is.
//! A text does not repeat its source: print the chain. The enums are exhaustive: whoever embeds the storage says of each variant what
//! to do, and a new one is not to slip by.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::durable::WriteError;
use crate::key::KeyId;
use crate::layout::MAX_PLAIN;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The bytes are of a length that AES has no key for.
    #[error("take {got} bytes as a key: it must be 16, 24 or 32")]
    Length {
        /// How many there are.
        got: usize,
    },
    /// The text is neither hex nor base64. It is not quoted: it may well be most of a key.
    #[error("read the key's text: it must be 16, 24 or 32 bytes as hex or base64")]
    Text,
    /// All bytes are the same: a file of zeroes, or a placeholder. Whoever sees a capsule tries these first.
    #[error(
        "take {bytes} equal bytes as a key: anybody can guess them; make one with `hotbay keys init`, or as text with \
         `openssl rand -hex 32`"
    )]
    Guessable {
        /// How many there are.
        bytes: usize,
    },
    /// The operating system gave no random bytes.
    #[error("get random bytes from the operating system")]
    Random {
        /// What it said.
        source: io::Error,
    },
    /// The key file cannot be read; its source says whether it is missing.
    #[error("read the key file {path}")]
    Read {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others can use the key file.
    #[error("trust the key file {path}: its mode {mode:03o} lets others use it; run `chmod 600 {path}`")]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file belongs to somebody else, who can read and replace it.
    #[error(
        "trust the key file {path}: it belongs to user {owner}, we run as {user}; run `chown {user} {path}`"
    )]
    Owner {
        /// The key file.
        path: PathBuf,
        /// The id of the user who owns it.
        owner: u32,
        /// The id of the user we run as.
        user: u32,
    },
    /// The key file was read and holds no key.
    #[error("find a key in {path}")]
    Content {
        /// The key file.
        path: PathBuf,
        /// What is wrong with what it holds.
        source: Box<KeyError>,
    },
    /// A ring takes no more keys.
    #[error("take another key: there are {limit} already; retire some with `hotbay keys retire ID`")]
    TooMany {
        /// How many it takes.
        limit: usize,
    },
    /// There is no such key.
    #[error("find the key {id}: it is none of the ring")]
    Unknown {
        /// What was asked for.
        id: KeyId,
    },
    /// The primary cannot be taken out.
    #[error("retire key {id}: it is the one that seals; make another with `hotbay keys rotate` first")]
    Primary {
        /// Its id.
        id: KeyId,
    },
    /// A key file could not be written.
    #[error("write the key file {path}")]
    Create {
        /// The key file.
        path: PathBuf,
        /// The step that failed.
        source: WriteError,
    },
}

/// Why state could not be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The service's name cannot name a file.
    #[error(
        "seal state for the service {service:?}: its name must match [a-z0-9_-]{{1,64}} and be no device of Windows"
    )]
    Service {
        /// The name as given.
        service: String,
    },
    /// A text of the stamp cannot stand in a header.
    #[error("seal state with the {field} {text:?}: it must be at most 255 visible ASCII characters")]
    Text {
        /// Which text.
        field: &'static str,
        /// The text as given.
        text: String,
    },
    /// The state is longer than its chunks can be counted.
    #[error("seal {len} bytes: {MAX_PLAIN} are the most")]
    TooLarge {
        /// Its length in bytes.
        len: u64,
    },
    /// The state is not as long as was said when sealing began.
    #[error("seal the state: {declared} bytes were announced, and it has {got}")]
    Length {
        /// How long it was to be.
        declared: u64,
        /// How long it was when that was seen.
        got: u64,
    },
    /// The capsule could not be written.
    #[error("write the capsule")]
    Write {
        /// What the writer said.
        source: io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("get random bytes from the operating system")]
    Random {
        /// What it said.
        source: io::Error,
    },
}

/// Why a capsule could not be opened.
///
/// Nothing of the state is decrypted before the header is authentic. A header that was tampered with can appear as any
/// of these, never as an opened capsule.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It begins with other bytes.
    #[error("recognise a Hotbay state file: it begins with other bytes; set it aside")]
    NotState,
    /// It ends too early. An empty file is this too.
    #[error(
        "read all of the state: it is cut short at {got} of at least {expected} bytes; restore a copy or set it aside"
    )]
    Truncated {
        /// Its length.
        got: u64,
        /// The least that it must have, as far as its header can be read.
        expected: u64,
    },
    /// Its format is one that this version does not know.
    #[error(
        "read state written by a newer Hotbay (format {format}): this one reads up to {known}; update Hotbay"
    )]
    Newer {
        /// The format it is in.
        format: u16,
        /// The newest format that this version reads.
        known: u16,
    },
    /// A field of the header holds what no Hotbay writes.
    #[error("understand the state's header: {problem}; restore a copy or set it aside")]
    BadHeader {
        /// Which field, and what about it.
        problem: &'static str,
    },
    /// It was sealed for another service.
    #[error("open the state of {asked}: it is the state of {found}; put it back as {found}.state")]
    OtherService {
        /// Whose state it is.
        found: String,
        /// Whose state was asked for.
        asked: String,
    },
    /// It was sealed with another key.
    #[error(
        "open state sealed with key {sealed_with}: the key in use is {ours}; use the key it was sealed with"
    )]
    WrongKey {
        /// The id of the key it was sealed with.
        sealed_with: KeyId,
        /// The id of the key that was tried.
        ours: KeyId,
    },
    /// The key is the right one and the header is not what was sealed.
    #[error(
        "trust the state's header: it was damaged or changed after it was sealed; restore a copy or set it aside"
    )]
    HeaderChanged,
    /// A chunk is not what was sealed.
    #[error(
        "authenticate chunk {chunk} of the state: it was damaged or changed after it was sealed, or is another file's; restore a copy or set it aside"
    )]
    Damaged {
        /// Which, from 0.
        chunk: u64,
    },
    /// A chunk is authentic and in another one's place.
    #[error(
        "find chunk {chunk} of the state in its place: chunk {belongs} is there; chunks were moved, repeated or left out; restore a copy or set it aside"
    )]
    Misplaced {
        /// Which place, from 0.
        chunk: u64,
        /// The place where the chunk belongs that was found there.
        belongs: u64,
    },
    /// Something was appended.
    #[error("accept the state: {extra} bytes follow its end; restore a copy or set it aside")]
    Trailing {
        /// How many, as far as was read.
        extra: u64,
    },
    /// Its bytes could not be read at all.
    #[error("read the state's bytes")]
    Read {
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why the store could not do as asked. Every failure leaves the files as they were, save where
/// [`Step::SyncFolder`](crate::Step::SyncFolder) says otherwise.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder cannot be made, or not be read.
    #[error("use the state folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The service's name cannot name a file.
    #[error(
        "find a file for the service {service:?}: its name must match [a-z0-9_-]{{1,64}} and be no device of Windows"
    )]
    Service {
        /// The name as given.
        service: String,
    },
    /// The state could not be sealed, so nothing was written.
    #[error("seal the state for {path}")]
    Seal {
        /// The file it was meant for.
        path: PathBuf,
        /// Why not.
        source: SealError,
    },
    /// The capsule handed in is no state of this service, so it was not written.
    #[error("take the capsule for {path}")]
    Capsule {
        /// The file it was meant for.
        path: PathBuf,
        /// What is wrong with the capsule.
        source: OpenError,
    },
    /// The new snapshot could not be written.
    #[error("save {path}")]
    Save {
        /// The file it was meant for.
        path: PathBuf,
        /// The step that failed.
        source: WriteError,
    },
    /// The file is there and cannot be used. It was not touched.
    #[error("load {path}")]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
    /// It is authentic, and older than the newest that is known of: somebody put an old file back. It was not touched.
    #[error(
        "trust {path}: it is snapshot {found}, and there was a newer one, {known}; \
         `hotbay state restore {service} --to {found}` accepts it"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The service.
        service: String,
        /// Its sequence.
        found: u64,
        /// The highest that there was.
        known: u64,
    },
    /// There is no snapshot, and there was one.
    #[error(
        "find {path}: it is gone, and there was a snapshot {known}; `hotbay state show {service}` tells what is kept, and \
         `hotbay state restore {service} --to SEQUENCE` goes back to it"
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// The service.
        service: String,
        /// The highest that there was.
        known: u64,
    },
    /// No snapshot of that number is kept.
    #[error("find snapshot {sequence} of {service}: {}", kept(kept_ones))]
    NoSuch {
        /// The service.
        service: String,
        /// What was asked for.
        sequence: u64,
        /// Those that there are, newest first.
        kept_ones: Vec<u64>,
    },
    /// `HEAD` cannot be used. It was not touched.
    #[error("read {path}, which tells old snapshots from new ones: {}", of_head(why))]
    Head {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. Its own words are about a state, which this is not.
        why: OpenError,
    },
    /// What is damaged could not be moved out of the way.
    #[error("move {path} into quarantine")]
    Quarantine {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file could not be renamed.
    #[error("set {path} aside")]
    Aside {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

fn of_head(why: &OpenError) -> String {
    match why {
        OpenError::Newer { format, known } => {
            format!("a newer Hotbay wrote it (format {format}), this one reads up to {known}; update Hotbay")
        }
        OpenError::WrongKey { sealed_with, ours } => {
            format!("it is sealed with key {sealed_with}, and the key in use is {ours}; use the key it was sealed with")
        }
        OpenError::Read { source } => format!("its bytes cannot be read: {source}"),
        _ => "it was damaged or changed; a host that runs here sets it aside, and begins another with its next snapshot"
            .to_owned(),
    }
}

fn kept(sequences: &[u64]) -> String {
    if sequences.is_empty() {
        return "none is kept".to_owned();
    }
    let all: Vec<String> = sequences.iter().map(u64::to_string).collect();
    format!("there are {}", all.join(", "))
}
