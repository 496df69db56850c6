//! Receipts on disk: `.hotbay/history/<service>.jsonl`, the last hundred of each service.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::view::Receipt;
use crate::os;

/// Receipts that are kept per service.
const KEPT: usize = 100;
/// A file is rewritten when it holds twice as many: so each receipt costs one appended line.
const REWRITE_AT: usize = 2 * KEPT;

/// The folder of receipts.
#[derive(Debug)]
pub(crate) struct History {
    folder: PathBuf,
}

impl History {
    pub(crate) fn open(home: &Path) -> io::Result<Self> {
        let folder = home.join("history");
        os::private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// Adds a receipt. Called by one thread per service at a time.
    pub(crate) fn add(&self, service: &str, receipt: &Receipt) -> io::Result<()> {
        let path = self.path(service);
        let mut line = serde_json::to_vec(receipt)?;
        line.push(b'\n');
        let before = read_text(&path)?;
        if !before.is_empty() && !before.ends_with('\n') {
            // A crash cut the last line off; this one must not be glued to it.
            line.insert(0, b'\n');
        }
        fs::OpenOptions::new().create(true).append(true).open(&path)?.write_all(&line)?;
        let text = before + &String::from_utf8_lossy(&line);
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() < REWRITE_AT {
            return Ok(());
        }
        let fresh = path.with_extension("jsonl.new");
        fs::write(&fresh, lines[lines.len() - KEPT..].join("\n") + "\n")?;
        os::rename_over(&fresh, &path, super::records::IN_USE)
    }

    /// The last receipts, newest last. A line that a crash cut off is passed over.
    pub(crate) fn read(&self, service: &str) -> io::Result<Vec<Receipt>> {
        let text = read_text(&self.path(service))?;
        let receipts: Vec<Receipt> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let surplus = receipts.len().saturating_sub(KEPT);
        Ok(receipts.into_iter().skip(surplus).collect())
    }

    fn path(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.jsonl"))
    }
}

/// The file's text, empty where there is none. What a crash left of a line need not be text.
fn read_text(path: &Path) -> io::Result<String> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => Ok(String::from_utf8_lossy(&other?).into_owned()),
    }
}
