//! What a plugin offers to its host.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RSlice, RStr};

use super::{HostLink, RawBuffer};

/// How a call across the boundary ended. Numbers, not an enum: a later minor may add some, and a reader that does
/// not know one takes it as [`FAILED`](Status::FAILED).
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, StableAbi)]
pub struct Status(pub u32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// The callee says no; its words are in the buffer that is lent for them.
    pub const FAILED: Self = Self(1);
    /// The callee panicked; message and place are in the buffer that is lent for words.
    pub const PANICKED: Self = Self(2);
    /// The service has no such method.
    pub const NO_SUCH_METHOD: Self = Self(3);
    /// There is no such service, or it does not run.
    pub const NO_SUCH_SERVICE: Self = Self(4);
    /// The deadline passed.
    pub const TIMED_OUT: Self = Self(5);
    /// The host refuses this here, such as a call before `start`.
    pub const REFUSED: Self = Self(6);
    /// Of a stream: who handled it let go of it, since its service is replaced or stopped. Since contract 1.4.
    pub const MOVED: Self = Self(7);
    /// Of a stream: the other side has gone. Since contract 1.4.
    pub const CANCELLED: Self = Self(8);
    /// Of a stream: the other side sends no more items. Since contract 1.4.
    pub const ENDED: Self = Self(9);
}

/// A plugin value, known to its own library only.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct Instance(pub(super) *const ());

impl Instance {
    /// No instance: what the host brings to `create` as its place.
    pub const NONE: Self = Self(std::ptr::null());
}

// SAFETY: it points at a `P: Plugin`, which is `Send + Sync` by the trait's bound.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

/// A pointer to the table of an extension, or null where the other side does not have it.
///
/// Tables of extensions are frozen: another shape is another revision, under the same id.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ExtensionPtr(pub(super) *const ());

impl ExtensionPtr {
    /// There is no such extension in this revision.
    pub const NONE: Self = Self(std::ptr::null());
}

/// The functions of one plugin library. Frozen: what comes later is an extension (`ABI.md`).
///
/// All are called by the host. Unless a line says otherwise: on a lane of the generation (`start` in a swap: also on one that the generation before
/// leaves), may call back into the host, and a panic becomes [`Status::PANICKED`] with message and place in `error` (of `call`, in `reply`).
#[repr(C)]
#[derive(StableAbi, Debug)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
#[sabi(missing_field(option))]
pub struct PluginModule {
    /// Makes the instance and writes it to the place given. Once per generation, calls to services are refused; and once for
    /// a twin, which is never started.
    pub create: extern "C" fn(HostLink, &mut Instance, error: &mut RawBuffer) -> Status,
    /// Drops the instance. Once, last of all, when nothing is inside. Stopped or never started.
    pub destroy: extern "C" fn(Instance, error: &mut RawBuffer) -> Status,
    /// Takes outside resources. Created or stopped.
    pub start: extern "C" fn(Instance, error: &mut RawBuffer) -> Status,
    /// Gives them back. Started; nothing is inside.
    pub stop: extern "C" fn(Instance, error: &mut RawBuffer) -> Status,
    /// Holds the plugin's own threads still. Started; nothing is inside. May not call back.
    pub pause: extern "C" fn(Instance, error: &mut RawBuffer) -> Status,
    /// Lets them go on. Paused. May not call back.
    pub resume: extern "C" fn(Instance, error: &mut RawBuffer) -> Status,
    /// Answers a request, by appending to `reply`: the answer, or the error's words in its place. One buffer for both, so
    /// that all arguments travel in registers, where a system has six for them, and no caller prepares for an error that hardly ever comes. Started; on a lane
    /// or on any thread of the host's, several at once.
    pub call:
        extern "C" fn(Instance, method: RStr<'_>, request: RSlice<'_, u8>, reply: &mut RawBuffer) -> Status,
    /// The table of an extension by id and revision, or null. Any time, any thread; does not call back; never panics.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(id: RStr<'_>, revision: u32) -> ExtensionPtr,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}

    const BASE_NAME: &'static str = "hotbay_plugin";
    const NAME: &'static str = "hotbay_plugin";
    // A constant: abi_stable would compare these with rules of its own. The contract's version is in the manifest,
    // compared by the host, in words.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}
