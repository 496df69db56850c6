//! How much of each plugin is logged. A plugin's level is one number that its host side reads for each line, and that the plugin's own
//! library is told of; the loop changes it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotbay_plugin_api::Level;

use crate::config::Log;

/// What a plugin's level is read from: 1 error … 5 trace.
pub(crate) type Cell = Arc<AtomicU32>;

type Listener = Box<dyn Fn(Level) + Send>;

/// The levels of all plugins of a host, and its own.
#[derive(Default)]
pub(crate) struct Levels(Mutex<Inside>);

struct Inside {
    // What holds where nothing else is said.
    general: Level,
    // Whether somebody else picks from what plugins without a level of their own say.
    is_over: bool,
    of: BTreeMap<String, Own>,
    // Who hears of another level of the host's own.
    listener: Option<Listener>,
}

#[derive(Default)]
struct Own {
    cell: Cell,
    // By the file.
    set: Option<Level>,
    // By a command, which holds until the file says something else.
    asked: Option<Level>,
}

impl Default for Inside {
    fn default() -> Self {
        Self { general: Level::Info, is_over: false, of: BTreeMap::new(), listener: None }
    }
}

impl Inside {
    fn general(&self) -> Level {
        if self.is_over { Level::Trace } else { self.general }
    }

    fn refresh(&mut self) {
        let general = self.general();
        for own in self.of.values() {
            let level = own.asked.or(own.set).unwrap_or(general);
            own.cell.store(level as u32, Ordering::Relaxed);
        }
    }

    fn own(&mut self, name: &str) -> &mut Own {
        let general = self.general() as u32;
        self.of
            .entry(name.to_owned())
            .or_insert_with(|| Own { cell: Arc::new(AtomicU32::new(general)), ..Own::default() })
    }
}

impl Levels {
    /// The level of a plugin: it is followed by looking again.
    pub(crate) fn cell(&self, name: &str) -> Cell {
        Arc::clone(&self.lock().own(name).cell)
    }

    /// The level of a plugin now, and whether a command said so.
    pub(crate) fn of(&self, name: &str) -> (Level, bool) {
        let inside = self.lock();
        let own = inside.of.get(name);
        let asked = own.and_then(|own| own.asked);
        (asked.or(own.and_then(|own| own.set)).unwrap_or(inside.general), asked.is_some())
    }

    /// Plugins that a command gave another level.
    pub(crate) fn asked(&self) -> Vec<(String, Level)> {
        let inside = self.lock();
        inside.of.iter().filter_map(|(name, own)| Some((name.clone(), own.asked?))).collect()
    }

    /// What the file says.
    pub(crate) fn take(&self, log: &Log) {
        let mut inside = self.lock();
        let is_new = inside.general != log.level;
        (inside.general, inside.is_over) = (log.level, log.is_over);
        for name in log.plugins.keys() {
            inside.own(name);
        }
        for (name, own) in &mut inside.of {
            let set = log.plugins.get(name).copied();
            if own.set != set {
                // Who edits the file means what stands there.
                own.asked = None;
            }
            own.set = set;
        }
        inside.refresh();
        if let Some(listener) = inside.listener.as_ref().filter(|_| is_new) {
            listener(log.level);
        }
    }

    /// A command: this level, or what the file says again.
    pub(crate) fn ask(&self, name: &str, level: Option<Level>) {
        let mut inside = self.lock();
        inside.own(name).asked = level;
        inside.refresh();
    }

    /// Tells of each other level of the host's own.
    pub(crate) fn listen(&self, listener: impl Fn(Level) + Send + 'static) {
        self.lock().listener = Some(Box::new(listener));
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(level: Level, plugins: &[(&str, Level)]) -> Log {
        let plugins = plugins.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        Log { level, plugins, is_over: false }
    }

    #[test]
    fn a_plugins_own_level_stands_over_the_general_one_and_a_command_over_both_until_the_file_says_something_else()
     {
        let levels = Levels::default();
        let (echo, kv) = (levels.cell("echo"), levels.cell("kv"));
        let now = || (echo.load(Ordering::Relaxed), kv.load(Ordering::Relaxed));
        levels.take(&log(Level::Warn, &[("echo", Level::Debug)]));
        assert_eq!(now(), (4, 2));
        levels.ask("echo", Some(Level::Error));
        assert_eq!((now(), levels.of("echo")), ((1, 2), (Level::Error, true)));
        // The edit is about something else.
        levels.take(&log(Level::Info, &[("echo", Level::Debug)]));
        assert_eq!(now(), (1, 3));
        levels.take(&log(Level::Info, &[("echo", Level::Trace)]));
        assert_eq!((now(), levels.of("echo")), ((5, 3), (Level::Trace, false)));
        levels.ask("kv", Some(Level::Debug));
        levels.ask("kv", None);
        assert_eq!(now(), (5, 3));
    }

    #[test]
    fn who_picks_gets_everything_of_plugins_without_a_level_of_their_own() {
        let levels = Levels::default();
        let (echo, kv) = (levels.cell("echo"), levels.cell("kv"));
        levels.take(&Log { is_over: true, ..log(Level::Warn, &[("echo", Level::Info)]) });
        assert_eq!((echo.load(Ordering::Relaxed), kv.load(Ordering::Relaxed)), (3, 5));
        assert_eq!(levels.cell("new").load(Ordering::Relaxed), 5);
    }

    #[test]
    fn the_hosts_own_level_is_told_when_it_changes() {
        let levels = Levels::default();
        let (send, heard) = std::sync::mpsc::channel();
        levels.listen(move |level| send.send(level).unwrap());
        levels.take(&log(Level::Info, &[]));
        levels.take(&log(Level::Debug, &[]));
        levels.take(&log(Level::Debug, &[("echo", Level::Error)]));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Level::Debug]);
    }
}
