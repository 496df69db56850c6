//! Add: a file goes into the plugins folder, with its signature, and it is waited for.

use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use super::folders::{IN_USE, copy_in};
use super::{Changed, Host};
use crate::discover::discover;
use crate::error::{Code, Trouble};
use crate::kernel::records::remove;
use crate::kernel::view::Row;
use crate::trust::Distrust;
use crate::trust::signature::{self, Signature};
use crate::verify::{Verified, verify};
use crate::{ControlError, os};

impl Host {
    /// Copies `file` into the plugins folder, in one step, and waits until it serves.
    ///
    /// # Errors
    /// The file is refused (nothing changed), the swap was rolled back, or `deadline` passed.
    pub fn add(&self, file: &Path, deadline: Duration) -> Result<Changed, ControlError> {
        self.add_as(file, false, deadline)
    }

    /// The same by force: where the version that serves does not hand its state over, because calls inside it do not end or
    /// its export fails, the next one goes on from the newest snapshot. What that cost stands in the receipt.
    ///
    /// # Errors
    /// As [`Host::add`]; also when there is no snapshot.
    pub fn add_forced(&self, file: &Path, deadline: Duration) -> Result<Changed, ControlError> {
        self.add_as(file, true, deadline)
    }

    fn add_as(&self, file: &Path, force: bool, deadline: Duration) -> Result<Changed, ControlError> {
        let refused = |reason: Trouble| ControlError::Refused { reason: reason.within(file.display()) };
        if !file.exists() {
            let reason = format!("failed to find the file `{}`", file.display());
            return Err(ControlError::NoFile { reason: Trouble::new(Code::NoSuchFile, reason) });
        }
        // Who names a link means what is behind it, with the signature that lies there.
        let real = std::fs::canonicalize(file)
            .map_err(|e| refused(Trouble::new(Code::FileUnread, format!("failed to find it: {e}"))))?;
        let discovered = discover(&real).map_err(|e| refused(e.into()))?;
        let mut verified = verify(discovered).map_err(|e| refused(e.error.into()))?;
        verified.require_needs().map_err(|e| refused(e.into()))?;
        let Some(name) = file.file_name().filter(|_| crate::discover::is_library_name(file)) else {
            let text = format!("failed to add it: its name does not end in {}", std::env::consts::DLL_SUFFIX);
            return Err(refused(Trouble::new(Code::FileNameNotLibrary, text)));
        };
        let folder = &self.config().plugins;
        let path = folder.join(name);
        let holds_another =
            |row: &Row| row.source.as_ref() == Some(&path) && row.name != verified.manifest.name;
        if let Some(other) =
            self.list().into_iter().find(|row| row.generation.is_some() && holds_another(row))
        {
            let reason =
                format!("failed to add it: a file of that name holds service `{}`; rename yours", other.name);
            return Err(refused(Trouble::new(Code::FileNameTaken, reason)));
        }
        let signature = self.trusted(&verified, &real).map_err(|e| refused(e.into()))?;
        let put = {
            // One at a time: of two for one name, each would leave a part of itself beside the other's.
            let _one = self.inner.adding.lock().unwrap_or_else(PoisonError::into_inner);
            put_in(&verified, signature.as_ref(), &path)
        };
        put.map_err(|e| {
            let text = format!("failed to write `{}`: {e}", path.display());
            ControlError::Failed { reason: Trouble::new(Code::NotWritten, text) }
        })?;
        let (service, digest) = (verified.manifest.name, verified.digest);
        let wish = service.clone();
        self.command(&service, deadline, move |kernel, reply| {
            kernel.await_file(wish, path, digest, force, reply);
        })
    }

    /// The signature of a file that is to be copied, judged as it will be when it is there.
    fn trusted(&self, verified: &Verified, real: &Path) -> Result<Option<Signature>, Distrust> {
        let path = signature::path_of(real);
        let signature =
            signature::read(&path).map_err(|error| Distrust::Signature { path, why: error.to_string() })?;
        self.inner.shared.trust.judge_for(
            verified,
            signature.as_ref(),
            Some(self.config().plugins.as_path()),
        )?;
        Ok(signature)
    }
}

/// Puts a file into place with its signature. At no moment the one that is there, which may serve, is beside a signature of the
/// other: the new one lies under a name of its own first, where it is found by the digest.
fn put_in(verified: &Verified, new: Option<&Signature>, path: &Path) -> io::Result<()> {
    let (signature, until_there) =
        (signature::path_of(path), signature::path_until_there(path, &verified.digest));
    if let Some(new) = new {
        copy_in(new.text.as_bytes(), &until_there)?;
    }
    let copied = copy_in(&verified.bytes, path);
    match new {
        Some(_) if copied.is_err() => remove(&until_there),
        Some(_) => os::rename_over(&until_there, &signature, IN_USE)?,
        // That of the file before says nothing of this one.
        None if copied.is_ok() => remove(&signature),
        None => {}
    }
    copied
}
