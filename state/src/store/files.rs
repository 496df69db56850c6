//! Every sealed file of a folder: which key it needs, whether it is whole, and sealing it anew with another key.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::draft::draft_of;
use super::recover::{whole, whole_older};
use super::{HEAD, Listed, Store, aside_of, look_at, read};
use crate::durable::{self, Onto};
use crate::error::{OpenError, StoreError};
use crate::header::Frame;
use crate::key::KeyId;
use crate::layout::HELD;
use crate::ring::KeyRing;
use crate::seal;

#[cfg(test)]
mod tests;

/// A file that holds a capsule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// Whose state it is, by its name.
    pub service: String,
    /// The file.
    pub path: PathBuf,
    /// The sequence in its name, where there is one.
    pub sequence: Option<u64>,
}

/// What [`Store::reseal`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resealed {
    /// It is sealed with the primary now.
    Anew,
    /// It was before.
    AsItWas,
    /// It is gone.
    Gone,
}

/// A file, and what is wrong with it.
pub type Checked = (PathBuf, Result<(), StoreError>);

impl Store {
    /// All files that hold state: the newest, those before them, and what was set aside; by service. What is in quarantine is
    /// damaged, and not among them.
    ///
    /// # Errors
    /// [`StoreError::Folder`]
    pub fn sealed(&self) -> Result<Vec<Sealed>, StoreError> {
        let newest = self.file_names()?.into_iter().filter_map(|name| {
            let service = super::service_of(&name).or_else(|| aside_of(&name))?.to_owned();
            Some(Sealed { service, path: self.folder.join(name), sequence: None })
        });
        let older = self.all_older()?.into_iter().map(|(service, sequence, path)| Sealed {
            service,
            path,
            sequence: Some(sequence),
        });
        let mut all: Vec<Sealed> = newest.chain(older).collect();
        all.sort_unstable_by(|a, b| (&a.service, &a.path).cmp(&(&b.service, &b.path)));
        Ok(all)
    }

    /// The same files, and those in quarantine, with what each says of itself, or in which way it is wrong. Bodies are not read.
    ///
    /// # Errors
    /// [`StoreError::Folder`]
    pub fn headers(&self) -> Result<Vec<Listed>, StoreError> {
        let all = self.sealed()?.into_iter().map(|sealed| (sealed.service, sealed.path));
        Ok(all.chain(self.all_quarantined()?).map(|(service, path)| look_at(path, service)).collect())
    }

    /// The files that a key is needed for, what lies in quarantine among them. One that cannot be read, or is of a newer format, may
    /// need it, and counts. `HEAD` does not: it is written anew at any time.
    ///
    /// # Errors
    /// [`StoreError::Folder`]
    pub fn needs(&self, key: KeyId) -> Result<Vec<PathBuf>, StoreError> {
        let needs = |path: &PathBuf| match super::read_start(path) {
            // Whosever it is: what is misplaced is whole all the same.
            Ok((start, total)) => match Frame::parse(&start, total) {
                Ok((frame, _)) => frame.header.key_id == key,
                Err(error) => matches!(error, OpenError::Newer { .. }),
            },
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        let quarantined = self.all_quarantined()?.into_iter().map(|(_, path)| path);
        let all = self.sealed()?.into_iter().map(|sealed| sealed.path).chain(quarantined);
        Ok(all.filter(needs).collect())
    }

    /// Whether there is a file that [`Store::reseal`] would seal anew, as far as their headers tell.
    ///
    /// # Errors
    /// [`StoreError::Folder`]
    pub fn is_to_be_resealed(&self, keys: &KeyRing) -> Result<bool, StoreError> {
        let ours = keys.primary().id();
        let other = |id| id != ours && keys.get(id).is_some();
        let mut all = self.sealed()?.into_iter().map(|sealed| look_at(sealed.path, sealed.service));
        Ok(all.any(|listed| listed.header.is_ok_and(|header| other(header.key_id))))
    }

    /// Seals a file anew with the primary, unless it is. It says of itself what it said before, and takes the place of the old one
    /// in one step. Whoever calls it sees to it that nobody else writes the file at the same time.
    ///
    /// # Errors
    /// [`StoreError::Load`] if it cannot be opened, [`StoreError::Seal`], [`StoreError::Save`]; it stays as it was.
    pub fn reseal(&self, keys: &KeyRing, sealed: &Sealed) -> Result<Resealed, StoreError> {
        let path = &sealed.path;
        let load = |source| StoreError::Load { path: path.clone(), source };
        let listed = look_at(path.clone(), sealed.service.clone());
        match listed.header {
            Ok(header) if header.key_id == keys.primary().id() => return Ok(Resealed::AsItWas),
            Err(OpenError::Read { source }) if source.kind() == ErrorKind::NotFound => {
                return Ok(Resealed::Gone);
            }
            Ok(_) => {}
            Err(source) => return Err(load(source)),
        }
        if listed.bytes > HELD {
            let opener = keys.open_file(&sealed.service, path).map_err(load)?;
            let sequence = opener.header().sequence;
            let draft = draft_of(path.clone(), keys.primary(), opener, sequence, false)?;
            draft.place(path, || Ok(())).map_err(|source| StoreError::Save { path: path.clone(), source })?;
            return Ok(Resealed::Anew);
        }
        let bytes = read(path).map_err(|source| load(OpenError::Read { source }))?;
        let opened = keys.open(&sealed.service, &bytes).map_err(load)?;
        let anew = seal::seal_as(keys.primary(), &opened)
            .map_err(|source| StoreError::Seal { path: path.clone(), source })?;
        durable::write(path, Onto::Anything, &anew)
            .map_err(|source| StoreError::Save { path: path.clone(), source })?;
        Ok(Resealed::Anew)
    }

    /// Opens every file of a service, or of all, and `HEAD`; each with what is wrong with it, also that it is gone. Empty where there
    /// never was state of the service. Nothing is touched.
    ///
    /// # Errors
    /// [`StoreError::Folder`]
    pub fn verify(&self, keys: &KeyRing, service: Option<&str>) -> Result<Vec<Checked>, StoreError> {
        let head = self.head(keys);
        let known = head.as_ref().ok().cloned().unwrap_or_default();
        let is_asked = |of: &str| service.is_none_or(|asked| asked == of);
        let mut all = Vec::new();
        let mut services: BTreeSet<String> =
            known.iter().filter(|(of, _)| is_asked(of)).map(|(of, _)| of.to_owned()).collect();
        for sealed in self.sealed()?.into_iter().filter(|sealed| is_asked(&sealed.service)) {
            services.insert(sealed.service.clone());
            let path = sealed.path.clone();
            let is_newest = path == self.path(&sealed.service);
            match open(keys, &sealed) {
                // It was the newest, or one too many, a moment ago.
                Err(OpenError::Read { source }) if source.kind() == ErrorKind::NotFound => {}
                Err(source) => all.push((path.clone(), Err(StoreError::Load { path, source }))),
                Ok(found) => {
                    let aged =
                        if is_newest { self.check_age(&known, &sealed.service, found) } else { Ok(()) };
                    all.push((path, aged));
                }
            }
        }
        for service in &services {
            let path = self.path(service);
            if !path.exists()
                && let Some(gone) = self.gone(&known, service)?
            {
                all.push((path, Err(gone)));
            }
        }
        let path = self.folder.join(HEAD);
        // It says nothing of a service that nobody knows, unless it cannot be read.
        if path.exists() && (service.is_none() || !services.is_empty() || head.is_err()) {
            all.push((path, head.map(drop)));
        }
        Ok(all)
    }
}

/// Opens a file; its sequence.
fn open(keys: &KeyRing, sealed: &Sealed) -> Result<u64, OpenError> {
    let (service, path) = (&sealed.service, &sealed.path);
    let whole = match sealed.sequence {
        Some(sequence) => whole_older(keys, service, sequence, path, HELD),
        None => whole(keys, service, path, HELD),
    };
    whole.map(|whole| whole.header.sequence)
}
