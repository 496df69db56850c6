//! What a look hands on to whoever loads it.

use std::fs;

use hotbay_plugin_api::manifest::Manifest;
use memmap2::MmapMut;

use super::*;
use crate::error::Code;
use crate::verify::Bytes;

fn verified(path: &str, bytes: usize) -> Verified {
    let path = PathBuf::from(path);
    let manifest = serde_json::json!({
        "name": "a", "version": "1.0.0", "contract": "1.0", "requires": [], "priority": 0, "methods": [], "topics": [],
        "capabilities": [], "toolchain": "", "target": "", "panic": "unwind",
    });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    Verified {
        fingerprint: Fingerprint::of(&fs::metadata(std::env::current_exe().unwrap()).unwrap()),
        digest: Digest::of(path.as_os_str().as_encoded_bytes()),
        version: semver::Version::new(1, 0, 0),
        manifest,
        mark: None,
        anatomy: serde_json::from_value(serde_json::json!({
            "architecture": "", "kind": "", "sections": 0, "root": "", "needs": [],
        }))
        .unwrap(),
        bytes: Bytes::Private(MmapMut::map_anon(bytes).unwrap()),
        source: None,
        path,
    }
}

#[test]
fn what_was_read_is_handed_on_to_one_who_wants_these_bytes_of_this_file() {
    let mut read = vec![verified("a", 1), verified("b", 1)];
    let mut other = Candidate::of(&read[0]);
    other.digest = Digest::of(b"another content");
    assert!(Wanted::among(&mut read, other).read.is_none());
    let candidate = Candidate::of(&read[0]);
    let wanted = Wanted::among(&mut read, candidate.clone());
    assert_eq!(wanted.read.unwrap().path, candidate.path);
    assert!(Wanted::among(&mut read, candidate).read.is_none());
    assert_eq!(read.len(), 1);
}

#[test]
fn of_a_folder_of_large_files_only_so_much_is_handed_on() {
    let mut look = Look::default();
    for path in ["a", "b", "c"] {
        look.hand_on(verified(path, HANDED_ON / 2));
    }
    look.hand_on(verified("d", HANDED_ON + 1));
    assert_eq!(look.read.len(), 2);
}

#[test]
fn a_file_that_its_writer_keeps_to_itself_is_waited_for_without_an_end_and_told_of_after_a_while() {
    let (path, settle, begun) = (PathBuf::from("a"), Duration::from_millis(50), Instant::now());
    let mut known = Known {
        fingerprint: None,
        signature: None,
        changed: begun,
        pending: true,
        whole: false,
        unread: false,
        held: None,
        gone: None,
        content: Content::Unread,
        standing: None,
    };
    let mut look = Look::default();
    known.wait_for_writer(&path, Trouble::new(Code::BeingWritten, "held"), settle, begun, &mut look);
    assert_eq!((&known.held, look.again), (&None, Some(begun + settle)));

    let later = begun + 100 * PATIENCE;
    let mut look = Look::default();
    known.wait_for_writer(&path, Trouble::new(Code::BeingWritten, "held"), settle, later, &mut look);
    assert!(known.pending && look.again > Some(later));
    let mut files = Files::new(PathBuf::new(), &crate::Config::default().watch);
    files.known.insert(path, known);
    assert!(!files.is_settling(), "nobody waits for it");
    let rows: Vec<Row> = files.rows().collect();
    assert_eq!((rows[0].phase, rows[0].reason.as_deref()), (Phase::Starting, Some("held")));
    assert_eq!(rows[0].code.as_deref(), Some("HB0206"));
}
