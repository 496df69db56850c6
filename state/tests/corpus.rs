//! What the fuzzers began with and what they found worth keeping, gone through again by the checks that they run.

use std::path::Path;

#[path = "../fuzz/checks/chunks.rs"]
mod chunks;
#[path = "../fuzz/checks/head.rs"]
mod head;
#[path = "../fuzz/checks/header.rs"]
mod header;
#[path = "../fuzz/checks/key_file.rs"]
mod key_file;

/// So many inputs there are at least; a folder that is gone is no proof.
fn replay(target: &str, least: usize, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let files: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    assert!(files.len() >= least, "{} inputs of {target}", files.len());
    for file in files {
        let bytes = std::fs::read(&file).expect("it can be read");
        // Which one it was, should it panic: the harness shows what a test that fails has printed.
        println!("{}", file.display());
        check(&bytes);
    }
}

#[test]
fn headers_of_any_bytes_are_read_without_a_panic_and_by_all_readers_alike() {
    replay("header", 9, header::check);
}

#[test]
fn nothing_but_what_was_sealed_is_opened_whatever_is_done_to_a_capsule() {
    replay("chunks", 8, chunks::check);
}

#[test]
fn key_files_of_any_bytes_are_keys_or_an_error() {
    replay("key_file", 13, key_file::check);
}

#[test]
fn a_head_that_nobody_signed_is_refused_and_one_that_is_signed_is_read() {
    replay("head", 14, head::check);
}
