//! Files of any bytes: whatever their headers promise, they are looked at without a panic, and in one way.

use crate::verify::{Digest, format_of, manifest_for_any_machine, read_manifest};

/// The bytes of a file that was dropped in.
///
/// # Panics
/// What must hold does not.
pub fn check(bytes: &[u8]) {
    let format = format_of(bytes);
    let found = manifest_for_any_machine(bytes);
    match &found {
        Ok((json, _)) => {
            assert!(format.is_some(), "a plugin of no format");
            // It lies in the file, behind its magic and length: nothing is made up.
            let (file, part) = (bytes.as_ptr_range(), json.as_ptr_range());
            assert!(file.start < part.start && part.end <= file.end);
            let _ = read_manifest(json);
        }
        Err(error) => assert!(error.to_string().starts_with("failed to "), "{error}"),
    }
    let copy = bytes.to_vec();
    let again = manifest_for_any_machine(&copy).map(|(json, mark)| (json.to_vec(), mark)).ok();
    assert_eq!(found.map(|(json, mark)| (json.to_vec(), mark)).ok(), again);
    assert!(Digest::parse(Digest::of(bytes).as_str()).is_some());
}
