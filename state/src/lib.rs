#![doc = include_str!("../README.md")]
//!
//! # The life of a snapshot
//!
//! 1. A [`Key`] comes from a file that only its owner can read; the first run makes one
//!    ([`Key::load_or_create`]).
//! 2. The caller says in a [`Stamp`] whose state it is: service, plugin version, schema, sequence, generation.
//! 3. [`seal`] turns stamp and bytes into a *capsule*: a [`Header`] in the clear, a body encrypted under a subkey
//!    of this capsule's own, and one tag over both.
//! 4. A capsule in flight is handed to [`open`], which returns it as [`Opened`] or says, as an [`OpenError`], in
//!    which way it is wrong.
//! 5. A capsule at rest is a file of a [`Store`]: it replaces the one before it in one step, or not at all.
//! 6. What cannot be opened is never overwritten by accident: [`Store::set_aside`] is how one begins anew.
//!
//! ```
//! use hotbay_state::{Key, OpenError, Stamp, Store};
//!
//! # let home = tempfile::tempdir()?;
//! # let home = home.path();
//! let (key, created) = Key::load_or_create(&home.join("key"))?;
//! assert!(created);
//!
//! let stamp = Stamp { service: "echo", plugin_version: "1.0.0", schema: 1, sequence: 1, generation: 1 };
//! let capsule = hotbay_state::seal(&key, &stamp, br#"{"count":3}"#)?;
//! assert_eq!(*hotbay_state::open(&key, "echo", &capsule)?.plain, br#"{"count":3}"#);
//! assert!(matches!(hotbay_state::open(&key, "logger", &capsule), Err(OpenError::OtherService { .. })));
//!
//! let store = Store::open(home.join("state"))?;
//! assert!(store.load(&key, "echo")?.is_none());
//! let header = store.save(&key, &stamp, br#"{"count":3}"#)?;
//! assert_eq!(store.load(&key, "echo")?.map(|opened| opened.header), Some(header));
//!
//! let aside = store.set_aside("echo")?;
//! assert!(aside.is_some_and(|path| path.exists()));
//! assert!(store.load(&key, "echo")?.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod key;
mod key_file;

mod cipher;
mod header;
mod seal;

mod durable;
mod store;

mod error;
mod name;
mod os;

#[cfg(test)]
mod vectors;

pub use cipher::Cipher;
pub use durable::{Step, WriteError, write_durably};
pub use error::{KeyError, OpenError, SealError, StoreError};
pub use header::{FORMAT, Header, Stamp};
pub use key::{Key, KeyId};
#[cfg(windows)]
pub use os::{Security, is_fixed, owner_only};
pub use seal::{MAX_OVERHEAD, MAX_PLAIN, Opened, open, open_into, read_header, seal, seal_into};
pub use store::{Listed, Store, make_folders};
