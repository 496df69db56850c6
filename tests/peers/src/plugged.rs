//! polyplug: the caller that `polyplugc` writes, as it is, and kept from calling what goes away.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use hotbay_bench::{Peer, REPLY, REQUEST, Row, answered, library, timed};
use polyplug::runtime::Runtime;
use polyplug_abi::StringView;
use polyplug_native::{NativeConfig, NativeLoader};
use tempfile::TempDir;

#[allow(
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::wildcard_imports,
    reason = "what polyplugc writes"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/host.rs"));
}

use generated::host::host_callers::{BenchTargetContract, ContractError};
use generated::host::types::BENCH_TARGET_CONTRACT_ID;

const MANIFEST: &str = include_str!(concat!(env!("OUT_DIR"), "/manifest.toml"));

/// A runtime that has loaded the plugin.
struct Target {
    // Before the folder: it ends while that is there.
    runtime: Arc<Runtime>,
    _bundle: TempDir,
}

impl Target {
    fn load(libraries: &Path) -> Result<Self> {
        let bundle = tempfile::Builder::new().prefix("hotbay-peers-").tempdir()?;
        fs::write(bundle.path().join("manifest.toml"), MANIFEST)?;
        let from = library(libraries, "plugged");
        fs::copy(&from, library(bundle.path(), "plugged"))
            .with_context(|| format!("failed to copy `{}`", from.display()))?;
        let runtime = Runtime::builder()
            .loader(NativeLoader::new(NativeConfig {}))
            .build()
            .context("failed to make a runtime")?;
        runtime.load_bundle(bundle.path()).context("failed to load the bundle")?;
        Ok(Self { runtime, _bundle: bundle })
    }

    /// It belongs to one thread.
    fn caller(&self) -> Result<BenchTargetContract> {
        let handle = self
            .runtime
            .find_guest_contract(BENCH_TARGET_CONTRACT_ID, 0)
            .context("failed to find the contract")?;
        BenchTargetContract::new(handle, self.runtime.as_context_ptr()).context("failed to make a caller")
    }
}

/// polyplug's error says nothing by itself.
#[inline]
fn told<T>(answer: Result<T, ContractError>) -> T {
    answered(answer.map_err(|error| format!("{:?} {}", error.code, error.message)))
}

fn request() -> StringView {
    StringView::from_static(black_box(&REQUEST))
}

/// A reply that the plugin has allocated goes into the caller's buffer, and back to the host.
#[expect(unsafe_code, reason = "polyplug hands out pointers")]
fn take(runtime: &Runtime, view: StringView, reply: &mut Vec<u8>) {
    // SAFETY: polyplug's contract: the plugin has allocated `len` bytes at `ptr` by this host's allocator, and filled them.
    reply.extend_from_slice(unsafe { std::slice::from_raw_parts(view.ptr, view.len) });
    let host = runtime.as_context_ptr();
    // SAFETY: the runtime lives, and its table with it.
    let free = unsafe { (*host).free };
    // SAFETY: polyplug's contract: who receives bytes of the host's allocator frees them, once, with alignment 1.
    unsafe { free(host, view.ptr.cast_mut(), view.len, 1) };
}

/// The reply in a register; the same with a guard, so that what is called is not unloaded meanwhile; and bytes that the
/// plugin allocates.
pub(crate) fn peer(libraries: &Path) -> Result<Peer> {
    let target = Arc::new(Target::load(libraries)?);
    let mut reply = Vec::with_capacity(64);
    take(&target.runtime, told(target.caller()?.add_owned(request())), &mut reply);
    ensure!(reply.len() == REPLY, "the plugin answered with {} bytes", reply.len());
    let [plain, guarded] = [(); 2].map(|()| Arc::clone(&target));
    let rows = vec![
        Row::new("polyplug, no guard", move |calls| {
            let mut caller = answered(plain.caller());
            timed(calls, || {
                black_box(told(caller.add(request())));
            })
        })
        .over("dyn"),
        Row::new("polyplug", move |calls| {
            let mut caller = answered(guarded.caller());
            timed(calls, || {
                let guard = crossbeam_epoch::pin();
                black_box(told(caller.add(request())));
                drop(guard);
            })
        })
        .over("dyn"),
        Row::new("polyplug owned", move |calls| {
            let mut caller = answered(target.caller());
            timed(calls, || {
                let mut reply = Vec::new();
                let guard = crossbeam_epoch::pin();
                take(&target.runtime, told(caller.add_owned(request())), &mut reply);
                drop(guard);
                black_box(&reply);
            })
        })
        .over("dyn owned"),
    ];
    Ok(Peer { rows, ..Peer::default() })
}
