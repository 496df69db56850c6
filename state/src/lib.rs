#![doc = include_str!("../README.md")]
//!
//! # The life of a snapshot
//!
//! 1. The keys, a [`KeyRing`], come from a file that only its owner can read; the first run makes one with one [`Key`]
//!    ([`KeyRing::load_or_create`]). The ring's primary seals, the others open what was sealed before.
//! 2. The caller says in a [`Stamp`] whose state it is: service, plugin and version, schema, sequence, generation.
//! 3. [`seal`](seal()) turns stamp and bytes into a *capsule*: a [`Header`] in the clear, and the state in chunks, encrypted and
//!    authenticated under a subkey of this capsule's own. [`Sealer`] does so while the state is still being written; [`Prepared`] has derived the subkey ahead,
//!    for who must be quick then.
//! 4. A capsule in flight is handed to [`open`](open()), which returns it as [`Opened`] or says, as an [`OpenError`], in
//!    which way it is wrong. [`Opener`] gives each chunk as soon as that one is authentic.
//! 5. A capsule at rest is a file of a [`Store`]: it replaces the one before it in one step, or not at all, and that one is kept
//!    for a while. Should the newest be damaged, [`Store::find`] goes back to it; a [`Head`] tells when somebody put an old
//!    file back. A state that is too long to be held is sealed into a [`Draft`] while it is written, and published then.
//! 6. What cannot be opened is never overwritten by accident: [`Store::set_aside`] is how one begins anew.
//!
//! ```
//! use hotbay_state::{KeyRing, OpenError, Stamp, Store};
//!
//! # let home = tempfile::tempdir()?;
//! # let home = home.path();
//! let (keys, created) = KeyRing::load_or_create(&home.join("key"))?;
//! assert!(created);
//!
//! let stamp = Stamp { service: "echo", plugin: "echo", plugin_version: "1.0.0", schema: 1, sequence: 1, ..Stamp::default() };
//! let capsule = hotbay_state::seal(keys.primary(), &stamp, br#"{"count":3}"#)?;
//! assert_eq!(*hotbay_state::open(keys.primary(), "echo", &capsule)?.plain, br#"{"count":3}"#);
//! assert!(matches!(hotbay_state::open(keys.primary(), "logger", &capsule), Err(OpenError::OtherService { .. })));
//!
//! let store = Store::open(home.join("state"))?;
//! assert!(store.load(&keys, "echo")?.is_none());
//! let header = store.save(keys.primary(), &stamp, br#"{"count":3}"#)?;
//! assert_eq!(store.load(&keys, "echo")?.map(|opened| opened.header), Some(header));
//!
//! let aside = store.set_aside("echo")?;
//! assert!(aside.is_some_and(|path| path.exists()));
//! assert!(store.load(&keys, "echo")?.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod key;
mod key_file;
mod ring;

mod cipher;
mod subkey;
mod layout;
mod header;
mod chunks;
mod spread;
mod prepared;
mod seal;
mod open;
mod sealer;
mod opener;

mod durable;
#[cfg(not(feature = "fault-injection"))]
mod fault;
#[cfg(feature = "fault-injection")]
pub mod fault;
mod head;
mod store;

mod error;
mod name;
mod os;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod vectors;

pub use cipher::Cipher;
pub use durable::{Step, WriteError, write_durably, write_durably_by};
pub use error::{KeyError, OpenError, SealError, StoreError};
pub use head::{Head, Newest};
pub use header::{FORMAT, Header, Stamp};
pub use key::{Key, KeyId};
pub use layout::{HELD, MAX_PLAIN, max_sealed_len};
pub use open::{Opened, open, open_into, read_header};
pub use opener::Opener;
#[cfg(windows)]
pub use os::{Security, is_fixed, owner_only};
pub use prepared::{Prepared, Reopen};
pub use ring::KeyRing;
pub use seal::{seal, seal_into};
pub use sealer::Sealer;
pub use store::{
    Checked, Draft, Drafting, Found, KEPT, Listed, Quarantined, Resealed, Sealed, Sought, Store, Whole,
    make_folders,
};
