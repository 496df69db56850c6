//! Watch: hears that something in the plugins folder moved, and tells the kernel to look.
//!
//! Events only wake: they are lost, doubled and late, and on network mounts they do not come at all. What they add to a
//! look is one thing that the folder does not show: that a file was moved there, so that it is whole at once.
//!
//! macOS (FSEvents, not run yet) tells less and more: a rename comes without its direction, so that what was moved there is
//! taken when it stood still, as if it had been written; and changes of attributes, of folders below, and some from just before
//! the watch began come as well. All of it only makes the kernel look, which compares what it finds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{ModifyKind, RenameMode};
use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use crate::config::WatchMode;
use crate::discover::is_library_name;
use crate::{fault, os};

/// How often the folder is read in `poll` mode between two rescans.
const POLL: Duration = Duration::from_millis(250);

/// Whether this system would tell of changes in a folder: whether it has what that takes.
#[cfg(feature = "cli")]
pub(crate) fn can_watch(folder: &Path) -> notify::Result<()> {
    let mut watcher = RecommendedWatcher::new(|_: notify::Result<Event>| {}, Config::default())?;
    watcher.watch(folder, RecursiveMode::NonRecursive)
}

/// A watch on one folder. Ends when it is dropped.
pub(crate) struct Watch {
    folder: PathBuf,
    // The file of the settings, whose folder is watched as well.
    settings: Option<PathBuf>,
    identity: Option<[u64; 4]>,
    mode: WatchMode,
    tell: Tell,
    watcher: Option<Box<dyn Watcher + Send>>,
}

type Tell = std::sync::Arc<dyn Fn(BTreeSet<PathBuf>) + Send + Sync>;

impl Watch {
    /// Watches `folder`, and `settings` where there is such a file; `tell` is called with the paths that something was moved to.
    pub(crate) fn new(
        folder: &Path,
        settings: Option<&Path>,
        mode: WatchMode,
        tell: impl Fn(BTreeSet<PathBuf>) + Send + Sync + 'static,
    ) -> Self {
        let mut watch = Self {
            folder: folder.to_owned(),
            settings: settings.map(Path::to_owned),
            identity: None,
            mode,
            tell: std::sync::Arc::new(tell),
            watcher: None,
        };
        watch.rearm();
        watch
    }

    /// Watches anew when the folder is another than the one that was watched, or when that failed before. Called with
    /// each rescan: a watch stays on a folder that was moved away.
    pub(crate) fn rearm(&mut self) {
        let identity = folder_identity(&self.folder);
        if self.watcher.is_some() && identity == self.identity {
            return;
        }
        self.watcher = None;
        self.identity = identity;
        match self.arm() {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "the plugins folder cannot be watched; it is read again every `watch.rescan_ms`");
            }
        }
    }

    fn arm(&self) -> notify::Result<Box<dyn Watcher + Send>> {
        fault::point("watch", "plugins").map_err(notify::Error::io)?;
        let tell = std::sync::Arc::clone(&self.tell);
        let (folder, settings) = (self.folder.clone(), self.settings.clone());
        let handler = move |event: notify::Result<Event>| {
            // That a file was opened or read is no change, and the kernel's own look does both.
            if !event
                .as_ref()
                .is_ok_and(|event| event.kind.is_access() || is_beside(event, &folder, settings.as_deref()))
            {
                tell(moved_to(event));
            }
        };
        let mut watcher: Box<dyn Watcher + Send> = match self.mode {
            WatchMode::Native => Box::new(RecommendedWatcher::new(handler, Config::default())?),
            WatchMode::Poll => {
                Box::new(PollWatcher::new(handler, Config::default().with_poll_interval(POLL))?)
            }
        };
        watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
        let beside = self.settings.as_deref().and_then(Path::parent).filter(|folder| *folder != self.folder);
        // Where that cannot be done, the file is looked at with each rescan. What lies beside it may be much to look through.
        if let Some(folder) = beside.filter(|_| self.mode == WatchMode::Native)
            && let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
        {
            tracing::debug!(%error, "the folder of the configuration cannot be watched; the file is looked at every `watch.rescan_ms`");
        }
        Ok(watcher)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("folder", &self.folder)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// Libraries and their signatures that a rename event names as its target. An error, such as an overflow of the queue, still wakes.
fn moved_to(event: notify::Result<Event>) -> BTreeSet<PathBuf> {
    let Ok(event) = event else { return BTreeSet::new() };
    let target = match event.kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => event.paths.into_iter().next(),
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => event.paths.into_iter().nth(1),
        _ => None,
    };
    let is_ours = |path: &PathBuf| is_library_name(path) || is_library_name(&path.with_extension(""));
    target.into_iter().filter(is_ours).collect()
}

/// Whether all that an event names lies beside the file of the settings, and is neither that nor in the folder of the plugins.
fn is_beside(event: &Event, folder: &Path, settings: Option<&Path>) -> bool {
    let Some(settings) = settings else { return false };
    // What is told in another way than it is watched by wakes, too.
    let is_other =
        |path: &PathBuf| path.parent() == settings.parent() && path != settings && !path.starts_with(folder);
    !event.paths.is_empty() && event.paths.iter().all(is_other)
}

fn folder_identity(folder: &Path) -> Option<[u64; 4]> {
    let [device, inode, ..] = os::identity(&std::fs::metadata(folder).ok()?);
    // A folder's change time moves with each file: only what names the folder itself is compared.
    Some([device, if cfg!(unix) { inode } else { 0 }, 0, 0])
}
