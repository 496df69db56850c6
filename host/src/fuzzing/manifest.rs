//! Manifests of any bytes: read or refused, and what is read is read again as it is.

use hotbay_plugin_api::manifest::is_valid_name;

use crate::verify::{VerifyError, read_manifest};

/// The JSON of a manifest.
///
/// # Panics
/// What must hold does not.
pub fn check(json: &[u8]) {
    let read = read_manifest(json);
    let manifest = match &read {
        Ok((manifest, _)) => manifest,
        Err((Some(manifest), _)) => manifest,
        Err((None, error)) => {
            assert!(matches!(error, VerifyError::Manifest(_)), "{error}");
            assert!(!error.to_string().contains('\n'), "it is told in one line: {error}");
            return;
        }
    };
    // What the host keeps of it, in its records and on the control plane, says the same.
    let written = serde_json::to_vec(manifest).expect("a manifest is JSON");
    let again = read_manifest(&written);
    match (&read, &again) {
        (Ok(read), Ok(again)) => assert_eq!(read, again),
        (Err((Some(read), error)), Err((Some(again), same))) => {
            assert_eq!(read, again);
            assert_eq!(error.to_string(), same.to_string());
        }
        _ => panic!("{read:?}, and then {again:?}"),
    }
    if let Ok((manifest, version)) = &read {
        // A name becomes the name of files, and of a service that others call.
        for name in std::iter::once(&manifest.name).chain(&manifest.requires) {
            assert!(is_valid_name(name) && !name.contains(['/', '\\', '.', ':', '\0']), "{name}");
        }
        assert!(
            manifest.panic != "abort"
                && manifest.contract.starts_with(|c: char| c.is_ascii_digit() || c == '+')
        );
        assert_eq!(semver::Version::parse(&version.to_string()).ok().as_ref(), Some(version));
        if let Some(state) = &manifest.state {
            assert!(state.accepts(state.writes) && state.content_type_of(state.writes).is_some());
        }
    }
}
