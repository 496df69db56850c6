//! abi_stable by itself: a function of a plugin's root module, which an `ArcSwap` holds, so that another can take its place.

#[path = "../plugins/shared/interface.rs"]
mod interface;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use abi_stable::library::lib_header_from_path;
use abi_stable::std_types::RSlice;
use anyhow::{Context as _, Result, ensure};
use arc_swap::ArcSwap;
use hotbay_bench::{Peer, REPLY, REQUEST, Row, library, timed};
use interface::TargetRef;

pub(crate) fn peer(libraries: &Path) -> Result<Peer> {
    let file = library(libraries, "stable");
    let header =
        lib_header_from_path(&file).with_context(|| format!("failed to open `{}`", file.display()))?;
    let target: TargetRef = header.init_root_module().context("failed to check the layout")?;
    let reply = target.add()(RSlice::from_slice(&REQUEST));
    ensure!(reply.len() == REPLY, "the plugin answered with {} bytes", reply.len());
    let current = ArcSwap::from(Arc::new(target));
    let row = Row::new("abi_stable, ArcSwap", move |calls| {
        timed(calls, || {
            let target = current.load();
            black_box(target.add()(RSlice::from_slice(black_box(&REQUEST))));
        })
    });
    Ok(Peer { rows: vec![row.over("dyn owned")], ..Peer::default() })
}
