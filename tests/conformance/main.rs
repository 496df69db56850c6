//! What may change in the contract and what may not (`plugin-api/ABI.md`), each rule with a plugin that tries it.

#![allow(clippy::unwrap_used, reason = "this program is nothing but tests")]

mod evolution;
mod manifest;
