//! The libraries that are changed, and who signs them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use minisign::KeyPair;

use crate::layout::{Layout, renamed};
use crate::strip::stripped;

/// Fixtures that a host can do nothing about once they run, on purpose: they keep the system's loader, or a thread that holds their
/// library, for good, or state that cannot be kept, so that they are not stopped; one takes all the mappings that there are. What becomes of such is tested elsewhere; here they would
/// hide what becomes of the others. Nor are they offered in some ways alone: bytes behind the end, or in a table that
/// nobody reads, leave them as able to run as before, and what keeps them from running is the same for all fixtures.
const FOR_GOOD: [&str; 5] =
    ["exports_without_end", "forgets_tokio", "hangs_in_finalizer", "keeps_a_thread", "takes_mappings"];

/// A library as it was built.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) name: String,
    bytes: Vec<u8>,
    pub(crate) layout: Layout,
}

/// A library's bytes and its signature.
pub(crate) type Signed = (Vec<u8>, String);

/// All of them.
pub(crate) struct Libraries {
    pub(crate) healthy: Vec<u8>,
    pub(crate) all: Vec<Library>,
    /// The names of those that are not.
    pub(crate) left_out: Vec<String>,
    key: KeyPair,
    // By service: the library of that name, and its signature.
    made: Mutex<BTreeMap<String, Arc<Signed>>>,
}

impl Libraries {
    pub(crate) fn read(healthy: &Path, files: &[PathBuf]) -> Result<Self> {
        let read =
            |file: &Path| fs::read(file).with_context(|| format!("failed to read `{}`", file.display()));
        let (mut all, mut left_out) = (Vec::new(), Vec::new());
        for file in files {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let name = stem.strip_prefix(std::env::consts::DLL_PREFIX).unwrap_or(&stem).to_owned();
            if FOR_GOOD.contains(&name.as_str()) {
                left_out.push(name);
                continue;
            }
            let bytes = read(file)?;
            let bytes = stripped(&bytes).unwrap_or(bytes);
            let layout =
                Layout::of(&bytes).with_context(|| format!("failed to read `{}`", file.display()))?;
            all.push(Library { name, bytes, layout });
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        left_out.sort();
        let key = KeyPair::generate_unencrypted_keypair().context("failed to make a key")?;
        Ok(Self { healthy: read(healthy)?, all, left_out, key, made: Mutex::default() })
    }

    /// The key, as settings name it.
    pub(crate) fn public(&self) -> String {
        self.key.pk.to_base64()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<String> {
        let made = minisign::sign(None, &self.key.sk, Cursor::new(bytes), Some("as it was built"), None);
        Ok(made.context("failed to sign a library")?.into_string())
    }

    /// A library under the name of a service, and the signature of that.
    pub(crate) fn named(&self, library: &Library, service: &str) -> Result<Arc<Signed>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(service) {
            return Ok(Arc::clone(known));
        }
        let bytes = renamed(&library.bytes, service)
            .with_context(|| format!("failed to give `{}` another name", library.name))?;
        let signature = self.sign(&bytes)?;
        let pair = Arc::new((bytes, signature));
        made.insert(service.to_owned(), Arc::clone(&pair));
        Ok(pair)
    }
}
