//! The rules of the layout, as tests: who may import what, where `unsafe` may stand, how a file looks.
//!
//! They read the sources line by line and know little of Rust, which is enough for rules this simple, and fast. A rule
//! that is in the way is changed here, with its reason, and not worked around. Why each one is: `host/ARCHITECTURE.md`.

mod sources;
mod claims;
mod fence;
mod imports;
mod manifests;
mod shape;
mod words;
mod portability;
mod links;
