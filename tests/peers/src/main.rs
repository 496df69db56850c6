//! What `cargo xtask bench peers` runs: the bench's table with other hosts of plugins in it.
//!
//! Each gets the same request, does the same with it and gives the same reply, by the way in that its own guide shows.

mod plugged;
mod reloader;
mod stable;
mod wasm;

use std::process::ExitCode;

fn main() -> ExitCode {
    hotbay_bench::main(Some(|name, libraries| match name {
        "abi_stable" => stable::peer(libraries),
        "hot-lib-reloader" => reloader::peer(libraries),
        "polyplug" => plugged::peer(libraries),
        "wasmtime" => wasm::peer(),
        _ => anyhow::bail!("nobody has written down how"),
    }))
}
