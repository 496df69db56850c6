//! A plugin's library: opened by our own handle, checked, and closed for real.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals};
use abi_stable::library::{AbiHeaderRef, LibHeader, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use hotbay_plugin_api::abi::PluginModuleRef;

use super::loader::{self, Doing};
use crate::error::chain;
use crate::os;
use crate::stage::Object;

/// By the address of its header, each library that is open, and each that was closed and seen to stay (F2).
static MAPPED: Mutex<BTreeMap<usize, Mapped>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
enum Mapped {
    Open,
    /// It may have gone since. The name that it is listed by: the object itself is held by who keeps what is left.
    Closed(PathBuf),
}

/// Held while a library is closed. A plugin's destructor runs then, and one that hangs keeps it for ever: whoever takes it
/// is a thread that nobody waits for without a deadline.
static CLOSING: Mutex<()> = Mutex::new(());

/// Libraries that were to be closed while a thread ran their code: they stay open until [`release`] finds none.
static INHABITED: Mutex<Vec<Library>> = Mutex::new(Vec::new());

/// An object that could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoadError {
    /// The system's loader refuses it.
    #[error(
        "failed to map the library: {}; is something that it links to missing, or the home folder mounted noexec?", chain(.0)
    )]
    Open(libloading::Error),
    /// Windows has nothing left for its thread-locals.
    #[error(
        "failed to map the library: this process has used up the thread-local slots that Windows gives it, of which each plugin \
         built for windows-gnu keeps some; restart the host, or build plugins for windows-msvc"
    )]
    NoSlots,
    /// It has no header of the contract.
    #[error("failed to find the plugin's functions: export it with `export_plugin!`")]
    NoHeader(#[source] libloading::Error),
    /// The header is of another abi_stable.
    #[error(
        "failed to read the plugin's header: it was built with another abi_stable ({0}); rebuild it with this host's hotbay-plugin-api"
    )]
    Header(String),
    /// The layouts differ.
    #[error(
        "failed to match the contract's layout: {difference}; rebuild it with this host's hotbay-plugin-api"
    )]
    Layout {
        /// The first.
        difference: String,
        /// All of them, as abi_stable tells them: pages.
        report: Option<String>,
    },
    /// What would be mapped is not what was verified.
    #[error(
        "failed to map the library: its copy `{}` is not what was verified any more: something writes to the home folder; find out \
         what, and drop the file in again", path.display()
    )]
    Changed {
        /// The copy.
        path: PathBuf,
    },
    /// The loader handed out a library that is already open.
    #[error("failed to map the library anew: the loader returned one that is already open")]
    Stale,
}

impl LoadError {
    /// A difference that there is no more to say of.
    pub(super) fn layout(difference: impl Into<String>) -> Self {
        Self::Layout { difference: difference.into(), report: None }
    }
}

/// An open library, or plugins linked into this program (for tests of the kernel: no file, same life).
#[derive(Debug)]
pub(crate) enum Library {
    /// Opened from an object, which it keeps.
    File {
        object: Object,
        header: usize,
        // `None` once closed.
        handle: Option<Handle>,
    },
    /// Linked in.
    #[cfg(test)]
    Linked,
}

#[cfg(unix)]
type Handle = libloading::os::unix::Library;
#[cfg(windows)]
type Handle = libloading::os::windows::Library;

impl Library {
    /// Opens an object and checks that its functions are those of the contract.
    pub(crate) fn open(object: &Object) -> Result<(Self, PluginModuleRef), LoadError> {
        if !os::has_thread_slots() {
            return Err(LoadError::NoSlots);
        }
        // One that cannot be read is gone, or is another's by now.
        if !object.is_as_verified().unwrap_or(false) {
            return Err(LoadError::Changed { path: object.path().to_owned() });
        }
        let turn = loader::turn(object, Doing::Map);
        let handle = open_handle(object.path()).map_err(LoadError::Open)?;
        drop(turn);
        // SAFETY: F1; the symbol, where it exists, is abi_stable's header, whose first field is checked by `upgrade`.
        let header = unsafe { handle.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
        let header: AbiHeaderRef = *header.map_err(LoadError::NoHeader)?;
        let address = std::ptr::from_ref(&*header).addr();
        if !is_new(address) {
            return Err(LoadError::Stale);
        }
        // From here on the address is given back by `close`.
        let library = Self::File { object: object.clone(), header: address, handle: Some(handle) };
        let header = header.upgrade().map_err(|e| LoadError::Header(one_line(&e.to_string())))?;
        let module = checked_module(header)?;
        Ok((library, module))
    }

    /// Plugins linked into this program.
    #[cfg(test)]
    pub(crate) fn linked() -> Self {
        Self::Linked
    }

    /// Closes the handle and looks whether the mapping is gone. For who has all the time: a destructor that hangs, or another
    /// library's initialiser, which the system's loader waits for, keeps this thread.
    pub(crate) fn close(mut self) -> Closed {
        let _one = self.close_handle();
        match &self {
            Self::File { object, header, .. } => {
                let closed = seen(is_mapped(object.name()));
                if matches!(closed, Closed::Mapped) {
                    let mut mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
                    // Unless another library was mapped there meanwhile.
                    mapped.entry(*header).or_insert_with(|| Mapped::Closed(object.name().to_owned()));
                }
                closed
            }
            #[cfg(test)]
            Self::Linked => Closed::Unmapped,
        }
    }

    /// The same on a thread of its own, which is waited for until the deadline.
    pub(crate) fn close_within(self, deadline: Duration) -> Closed {
        within(deadline, move || self.close())
    }

    /// Nobody closes another one for as long as the guard lives.
    fn close_handle(&mut self) -> Option<MutexGuard<'static, ()>> {
        match self {
            Self::File { object, header, handle } => {
                let handle = handle.take()?;
                if os::is_inhabited(*header) {
                    let stays = Self::File { object: object.clone(), header: *header, handle: Some(handle) };
                    INHABITED.lock().unwrap_or_else(PoisonError::into_inner).push(stays);
                    return None;
                }
                // Before it is closed: another library may be mapped at this address right after.
                MAPPED.lock().unwrap_or_else(PoisonError::into_inner).remove(header);
                let one = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
                let _turn = loader::turn(object, Doing::Unmap);
                drop(handle);
                Some(one)
            }
            #[cfg(test)]
            Self::Linked => None,
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = self.close_handle();
    }
}

/// Runs what the system's loader may hold up.
fn within(deadline: Duration, body: impl FnOnce() -> Closed + Send + 'static) -> Closed {
    // What is not run is leaked: dropped, it would close its library here, where nobody may wait for that.
    let body = Arc::new(Mutex::new(ManuallyDrop::new(Some(body))));
    let take =
        |body: &Mutex<ManuallyDrop<Option<_>>>| body.lock().unwrap_or_else(PoisonError::into_inner).take();
    if loader::held_up(deadline).is_some() {
        return Closed::Busy;
    }
    let (send, receive) = mpsc::channel();
    let begun = os::spawn("close", move || {
        if let Some(body) = take(&body) {
            // Whoever waits may have given up.
            let _ = send.send(body());
        }
    });
    match begun {
        Ok(_) => receive.recv_timeout(deadline).unwrap_or(Closed::Busy),
        Err(error) => Closed::Unknown(error),
    }
}

fn seen(mapped: std::io::Result<bool>) -> Closed {
    match mapped {
        Ok(false) => Closed::Unmapped,
        Ok(true) => Closed::Mapped,
        Err(error) => Closed::Unknown(error),
    }
}

/// Notes the header of a library that was just opened; false where it is one that is mapped already: the loader gave out an
/// older library, by its path or by the number of a file that is gone, which some file systems use again.
fn is_new(address: usize) -> bool {
    match MAPPED.lock().unwrap_or_else(PoisonError::into_inner).entry(address) {
        Entry::Vacant(free) => {
            free.insert(Mapped::Open);
            true
        }
        Entry::Occupied(mut known) => {
            let gone = matches!(known.get(), Mapped::Closed(path) if matches!(is_mapped(path), Ok(false)));
            if gone {
                known.insert(Mapped::Open);
            }
            gone
        }
    }
}

/// Whether a library is mapped that is listed by this name ([`Object::name`]).
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn is_mapped(name: &Path) -> std::io::Result<bool> {
    os::is_mapped(name)
}

/// Whether a library is mapped that is listed by this name, which is its path: dyld is asked for it without loading it, which `dlopen(3)` names
/// as the way to find out. It compares paths before it looks at files, so that one that was removed is found.
///
/// Not by its list of images, whose names are gone as soon as any thread of the program closes a library. Not run on macOS
/// yet; read in dyld's source.
#[cfg(target_vendor = "apple")]
pub(crate) fn is_mapped(path: &Path) -> std::io::Result<bool> {
    use libloading::os::unix::{RTLD_LAZY, RTLD_LOCAL};
    const NOLOAD: std::ffi::c_int = 0x10;
    // SAFETY: F7.
    Ok(unsafe { Handle::open(Some(path), RTLD_LAZY | RTLD_LOCAL | NOLOAD) }.is_ok())
}

/// [`release`], then a look, on a thread of its own.
pub(crate) fn release_within(object: &Object, deadline: Duration) -> Closed {
    let object = object.clone();
    within(deadline, move || {
        release(&object);
        seen(is_mapped(object.name()))
    })
}

/// Lets a library go that was closed while a thread-local held it, if nothing does any more.
///
/// glibc unmaps such a library only when one is closed after the thread has ended; where nothing is loaded and closed any
/// more, this is the one occasion. The library is found by its path among those that are mapped, and nothing is loaded: no
/// other has that path.
#[cfg(all(target_os = "linux", target_env = "gnu", not(any(target_arch = "mips", target_arch = "mips64"))))]
pub(crate) fn release(object: &Object) {
    use libloading::os::unix::RTLD_LAZY;
    // `RTLD_NOLOAD`, the same on all of glibc's architectures but MIPS.
    const NOLOAD: std::ffi::c_int = 4;
    let _one = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
    let _turn = loader::turn(object, Doing::Unmap);
    // SAFETY: F7.
    drop(unsafe { Handle::open(Some(object.path()), RTLD_LAZY | NOLOAD) });
}

/// Closes a library that was left open since a thread ran its code, if none does any more.
#[cfg(windows)]
pub(crate) fn release(object: &Object) {
    let of = |library: &Library| matches!(library, Library::File { object: of, .. } if of.is(object));
    let mut inhabited = INHABITED.lock().unwrap_or_else(PoisonError::into_inner);
    let library = inhabited.iter().position(of).map(|at| inhabited.swap_remove(at));
    // Closing it looks again, and may put it back.
    drop(inhabited);
    drop(library);
}

/// Other C libraries have no such rest; on macOS each look by `is_mapped` does the same; on MIPS the flag is another.
#[cfg(not(any(
    windows,
    all(target_os = "linux", target_env = "gnu", not(any(target_arch = "mips", target_arch = "mips64")))
)))]
pub(crate) fn release(_: &Object) {}

/// What was seen after a library was closed.
#[derive(Debug)]
pub(crate) enum Closed {
    /// Its mapping is gone.
    Unmapped,
    /// Its mapping is still there.
    Mapped,
    /// It could not be looked at.
    Unknown(std::io::Error),
    /// The system's loader did not come to it in time.
    Busy,
}

#[cfg(unix)]
fn open_handle(path: &Path) -> Result<Handle, libloading::Error> {
    use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};
    // Now: a symbol that is missing is an error here, not an abort at the first call. Local: no plugin sees another.
    // SAFETY: F1.
    unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
}

#[cfg(windows)]
fn open_handle(path: &Path) -> Result<Handle, libloading::Error> {
    use libloading::os::windows::{LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR};
    // What it links to is looked for beside the copy, beside this program and in the system's folder: never in the folder of
    // the host's caller, nor along `PATH`.
    // SAFETY: F1.
    unsafe {
        Handle::load_with_flags(path, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS)
    }
}

fn checked_module(header: &'static LibHeader) -> Result<PluginModuleRef, LoadError> {
    let layout = header.layout().ok_or_else(|| LoadError::layout("it exports no layout"))?;
    // F3: fresh globals, dropped before the library is.
    let globals = CheckingGlobals::new();
    check_layout_compatibility_with_globals(<PluginModuleRef as StableAbi>::LAYOUT, layout, &globals)
        .map_err(|e| {
            let report = e.to_string();
            LoadError::Layout { difference: first_difference(&report), report: Some(report) }
        })?;
    // SAFETY: F3; the layout was just checked.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginModuleRef>() }
        .map_err(|e| LoadError::Header(one_line(&e.to_string())))
}

/// The first difference of abi_stable's report, on one line.
fn first_difference(report: &str) -> String {
    let lines: Vec<&str> = report.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let at =
        lines.iter().position(|line| line.starts_with("Error:") || line.starts_with("Expected")).unwrap_or(0);
    // Its titles stand before their words without a space.
    one_line(&lines[at..].iter().take(6).copied().collect::<Vec<_>>().join(" ").replace("Error:", "error: "))
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_where_a_closed_library_still_is_belongs_to_no_new_one() {
        let (there, gone) = (std::env::current_exe().unwrap(), PathBuf::from("/no/such/library"));
        let (mine, its) = (std::ptr::from_ref(&there).addr(), std::ptr::from_ref(&gone).addr());
        MAPPED.lock().unwrap().extend([(mine, Mapped::Closed(there)), (its, Mapped::Closed(gone))]);
        assert!(!is_new(mine));
        assert!(is_new(its));
        assert!(!is_new(its), "it is open now");
        MAPPED.lock().unwrap().retain(|address, _| *address != mine && *address != its);
    }
}
