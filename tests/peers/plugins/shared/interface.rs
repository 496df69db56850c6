//! What abi_stable's host and plugin agree upon.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RSlice, RVec};

/// The functions of a plugin.
#[repr(C)]
#[derive(Debug, StableAbi)]
#[sabi(kind(Prefix(prefix_ref = TargetRef)))]
#[sabi(missing_field(panic))]
#[allow(unreachable_pub, reason = "what abi_stable writes needs it")]
pub struct Target {
    /// One atomic addition, its result in a vector of the plugin's.
    #[sabi(last_prefix_field)]
    pub add: extern "C" fn(RSlice<'_, u8>) -> RVec<u8>,
}

impl RootModule for TargetRef {
    abi_stable::declare_root_module_statics! {TargetRef}

    const BASE_NAME: &'static str = "stable";
    const NAME: &'static str = "stable";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}
