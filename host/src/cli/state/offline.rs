//! What a command needs that looks at files itself: the settings of the host, its store, its keys and its lock.

use std::fs::File;
use std::path::{Path, PathBuf};

use hotbay_state::{KeyRing, OpenError, Store, StoreError};

use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;
use crate::host::{folders, keys};
use crate::kernel::snapshots::Snapshots;
use crate::{Config, HostError};

/// The files of a home folder.
#[derive(Debug)]
pub(in crate::cli) struct Offline {
    pub(in crate::cli) config: Config,
}

impl Offline {
    /// By the host's settings: those of `file`, else those of the working directory.
    pub(in crate::cli) fn new(
        home: Option<PathBuf>,
        file: Option<&Path>,
        only_looks: bool,
    ) -> anyhow::Result<Self> {
        let mut config = match Config::load(file) {
            // As for any other command: while the next settings are being written, what is there can still be looked at. What opens or
            // changes files needs those that the host has.
            Err(_) if only_looks && file.is_none() => Config::default(),
            loaded => loaded?,
        };
        config.home = home.unwrap_or(config.home);
        Ok(Self { config })
    }

    /// The store; `None` where none was ever made.
    pub(in crate::cli) fn store(&self) -> anyhow::Result<Option<Store>> {
        self.store_in("state")
    }

    /// A store of the home folder.
    pub(in crate::cli) fn store_in(&self, folder: &str) -> anyhow::Result<Option<Store>> {
        let folder = self.config.home.join(folder);
        // One that cannot be looked into is not one without files.
        let is_there = folder.try_exists();
        if !is_there.map_err(|source| failed(StoreError::Folder { path: folder.clone(), source }))? {
            return Ok(None);
        }
        // What interrupted writes left is for the host to remove, when it starts.
        Ok(Some(Store::look(folder)))
    }

    /// The store as a host has it, for what is saved while none runs. Which snapshots are too many is left to the host: its settings may
    /// be others than those that are found here.
    pub(super) fn snapshots(&self, store: Store) -> anyhow::Result<Snapshots> {
        let keys = self.keys()?;
        match store.head(&keys) {
            // It may be whole, and is not to be replaced.
            Err(
                error @ StoreError::Head {
                    why: OpenError::WrongKey { .. } | OpenError::Newer { .. } | OpenError::Read { .. },
                    ..
                },
            ) => Err(failed(error)),
            _ => Ok(Snapshots::new(keys, store.keeping(usize::MAX))),
        }
    }

    /// The store, and that there is state of a service at all.
    pub(super) fn store_of(&self, name: &str) -> anyhow::Result<Store> {
        let store = self.store()?;
        let known: Vec<String> = match &store {
            Some(store) => store.sealed().map_err(failed)?.into_iter().map(|sealed| sealed.service).collect(),
            None => Vec::new(),
        };
        match store {
            Some(store) if known.iter().any(|service| service == name) => Ok(store),
            _ => {
                let mut known = known;
                known.dedup();
                Err(super::not_found(name, &self.config.home, &known).into())
            }
        }
    }

    /// That the home folder is there: what looks for trouble would find none in a path that was mistyped.
    pub(super) fn existing_home(&self) -> anyhow::Result<()> {
        let home = &self.config.home;
        let is_there = home.try_exists();
        if is_there.map_err(|source| failed(StoreError::Folder { path: home.clone(), source }))? {
            return Ok(());
        }
        let message = format!(
            "failed to find the home folder `{}`: nothing is there; name that of the host with `--home`",
            home.display()
        );
        Err(Failure::new(Exit::NotFound, Code::NoSuchSnapshot, message).into())
    }

    /// The keys that the host would use. None is made.
    pub(in crate::cli) fn keys(&self) -> Result<KeyRing, HostError> {
        keys::existing_ring(&self.config)
    }

    /// As [`lock`](Self::lock), also where no host ran yet and the keys lie elsewhere: then the home folder is made. In a path that was
    /// mistyped there are no keys, and nothing is made.
    pub(in crate::cli) fn lock_anew(&self) -> anyhow::Result<File> {
        let home = &self.config.home;
        if !home.exists() {
            self.keys()?;
            let made = crate::os::private_folder(home);
            made.map_err(|source| HostError::Home { path: home.clone(), source })?;
        }
        self.lock()
    }

    /// Keeps hosts away while files are changed; refused while one runs.
    pub(in crate::cli) fn lock(&self) -> anyhow::Result<File> {
        let home = &self.config.home;
        // A file that root writes, as with `sudo`, is one that the host cannot read.
        if home.exists() && !crate::os::owns(home)? {
            let message = format!(
                "failed to change files in `{}`: it belongs to another user; run this as that user",
                home.display()
            );
            return Err(Failure::new(Exit::Refused, Code::HomeOfAnother, message).into());
        }
        Ok(folders::lock(home)?)
    }
}

/// An error of the store, with the exit code that it ends with.
pub(in crate::cli) fn failed(error: StoreError) -> anyhow::Error {
    let exit = match &error {
        StoreError::NoSuch { .. } => Exit::NotFound,
        StoreError::Service { .. } => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::of(exit, error).into()
}
