//! A configuration that cannot be used.

use std::path::{Path, PathBuf};

use crate::error::{Code, Coded};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is missing or cannot be read.
    #[error("failed to read the configuration: {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file says something that cannot be meant.
    #[error("failed to read the configuration: {}:{line}:{column}: {problem}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl ConfigError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn code(&self) -> Code {
        Coded::code(self)
    }

    /// `problem` at byte `offset` of `text`.
    pub(super) fn at(path: &Path, text: &str, offset: usize, problem: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError::Wrong {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            problem: problem.into(),
        }
    }
}
