//! From a file to the settings.

use std::path::Path;

use super::{Config, ConfigError, Service, Supervision};
use crate::kernel::lane::Room;

/// The file that is read where none is named.
pub const FILE: &str = "hotbay.toml";

impl Config {
    /// Reads `file`, which must exist, or without one [`FILE`] in the working directory, which may be missing.
    ///
    /// # Errors
    /// [`ConfigError`], with file, line and column where there is one.
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let path = file.unwrap_or(Path::new(FILE));
        let mut config = match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(&text, path)?,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => Config::default(),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        config.source = config.source.in_file(path);
        Ok(config)
    }

    /// The same file with another text, with the folders that are in use: those may be from the command line.
    pub(crate) fn reread(text: &str, before: &Config) -> Result<Config, ConfigError> {
        let named = before.source.named().unwrap_or(Path::new(FILE));
        let mut config = Config::parse(text, named)?;
        config.source = config.source.within(&before.source);
        (config.plugins, config.home) = (before.plugins.clone(), before.home.clone());
        config.log.is_over = before.log.is_over;
        Ok(config)
    }

    /// How much a service takes at once.
    pub(crate) fn service_of(&self, name: &str) -> Service {
        self.service.get(name).cloned().unwrap_or_default()
    }

    /// What has a service restarted, and how often.
    pub(crate) fn supervision_of(&self, name: &str) -> Supervision {
        let own = self.service.get(name).and_then(|service| service.supervision.clone());
        own.unwrap_or_else(|| self.supervision.clone())
    }

    /// The part of it that its lane needs.
    pub(crate) fn room_of(&self, service: &str) -> Room {
        let Service { lanes, mailbox, .. } = self.service_of(service);
        Room { lanes, mailbox }
    }

    /// Reads the text of the configuration file `path`.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`], at the first thing that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        super::file::parse(text, path)
    }
}
