use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use tempfile::TempDir;

use super::*;

/// No text of a key, and not one byte again and again.
const KEY: [u8; 32] = *b"\xff, and 31 bytes of this key file";

/// A file as a careful user would make it: only the owner can use it.
fn key_file(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("key");
    fs::write(&path, bytes).unwrap();
    #[cfg(unix)]
    chmod(&path, 0o600);
    path
}

#[cfg(unix)]
fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_file_may_hold_raw_bytes_hex_or_base64() {
    let folder = tempfile::tempdir().unwrap();
    // Neither bytes with a new line at their end nor those that happen to be text are trimmed or decoded.
    let (tens, ones) = ([&[10; 23][..], &[9]].concat(), [&[0xff; 31][..], &[1]].concat());
    for raw in [&b"sixteen bytes !\n"[..], &[0xa5, 0x5a].repeat(8), &tens, &ones] {
        let key = Key::new(raw).unwrap();
        assert_eq!(KeyRing::load(&key_file(&folder, raw)).unwrap().primary().id(), key.id());
        let hex = key.to_text();
        assert_eq!(KeyRing::load(&key_file(&folder, hex.as_bytes())).unwrap().primary().id(), key.id());
    }
    let base64 = key_file(&folder, b"AAECAwQFBgcICQoLDA0ODw==\r\n");
    assert_eq!(
        KeyRing::load(&base64).unwrap().primary().id(),
        Key::new(&(0..16).collect::<Vec<_>>()).unwrap().id()
    );
}

#[test]
fn a_file_without_a_key_is_refused_with_its_length() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, expected) in [
        (vec![], 0),
        (b"hello".to_vec(), 5),
        (b"00ff".to_vec(), 2),
        (vec![0xff; 33], 33),
        (vec![7; 5000], 4096),
    ] {
        let error = KeyRing::load(&key_file(&folder, &bytes)).unwrap_err();
        let KeyError::Content { source, .. } = error else { panic!("{error}") };
        assert!(matches!(*source, KeyError::Length { got } if got == expected), "{source}");
    }
}

#[test]
fn a_file_of_equal_bytes_is_refused_raw_and_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let text = |digits: &str, times| digits.repeat(times).into_bytes();
    let files = [
        vec![0; 16],
        vec![0; 24],
        vec![0; 32],
        vec![0xff; 32],
        text("0", 64),
        text("00", 16),
        text("0a", 16),
    ];
    for bytes in files {
        let path = key_file(&folder, &bytes);
        for refused in [KeyRing::load(&path).map(drop), KeyRing::load_or_create(&path).map(drop)] {
            let Err(KeyError::Content { source, .. }) = refused else { panic!("{bytes:?}: {refused:?}") };
            assert!(matches!(*source, KeyError::Guessable { .. }), "{bytes:?}: {source}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is never overwritten");
    }
    // Also as one of several.
    let good = Key::new(&(0..32).collect::<Vec<_>>()).unwrap();
    let both = format!("{}{}", *good.to_text(), "0".repeat(64));
    assert!(matches!(KeyRing::parse(&both), Err(KeyError::Guessable { bytes: 32 })));
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(KeyRing::load(folder.path()), Err(KeyError::Read { .. })));
    let missing = KeyRing::load(&folder.path().join("key"));
    assert!(
        matches!(missing, Err(KeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound)
    );
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(KeyRing::load(&fifo), Err(KeyError::Read { .. })));
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_use_is_refused_and_the_error_says_chmod_600() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(&folder, &KEY);
    for mode in [0o640, 0o604, 0o620, 0o602, 0o660, 0o666, 0o644] {
        chmod(&path, mode);
        let error = KeyRing::load(&path).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode), "{error}");
        assert!(error.to_string().ends_with(&format!("run `chmod 600 {}`", path.display())), "{error}");
        assert!(matches!(KeyRing::load_or_create(&path), Err(KeyError::Exposed { .. })));
    }
    for mode in [0o600, 0o400] {
        chmod(&path, mode);
        KeyRing::load(&path).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_credential_may_be_read_through_an_access_list_and_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(&folder, &KEY);
    // What systemd makes: 0400, and a list for the service's user, whose mask shows as the group's.
    for mode in [0o400, 0o440, 0o600] {
        chmod(&path, mode);
        assert_eq!(KeyRing::load_credential(&path).unwrap().primary().id(), Key::new(&KEY).unwrap().id());
    }
    for mode in [0o444, 0o460, 0o404, 0o402] {
        chmod(&path, mode);
        assert!(matches!(KeyRing::load_credential(&path), Err(KeyError::Exposed { .. })), "{mode:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_of_another_user_is_refused() {
    let us = rustix::process::geteuid().as_raw();
    if us != 0 {
        // Only root can give a file away; `os` tests the rule itself as any user.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(&folder, &KEY);
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    let error = KeyRing::load(&path).unwrap_err();
    assert!(matches!(error, KeyError::Owner { owner: 65534, user: 0, .. }), "{error}");
}

#[test]
fn the_first_run_creates_the_key_and_the_second_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let (key, created) = KeyRing::load_or_create(&path).unwrap();
    assert!(created);
    let before = fs::read(&path).unwrap();
    let (again, created) = KeyRing::load_or_create(&path).unwrap();
    assert!(!created);
    assert_eq!(again.primary().id(), key.primary().id());
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(before.len(), 65, "32 bytes in hex and a new line");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}

#[test]
fn a_bad_key_file_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(&folder, b"not a key");
    assert!(matches!(KeyRing::load_or_create(&path), Err(KeyError::Content { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"not a key");
    let nowhere = folder.path().join("missing").join("key");
    let error = KeyRing::load_or_create(&nowhere).unwrap_err();
    assert!(matches!(error, KeyError::Create { .. }), "{error}");
    assert!(!folder.path().join("missing").exists());
}

#[test]
fn all_who_create_a_key_at_once_get_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let start = Barrier::new(8);
    let keys: Vec<(KeyRing, bool)> = thread::scope(|scope| {
        let create = || {
            start.wait();
            KeyRing::load_or_create(&path).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(keys.iter().filter(|(_, created)| *created).count(), 1);
    assert!(keys.iter().all(|(key, _)| key.primary().id() == keys[0].0.primary().id()));
}

#[test]
fn a_rotated_file_holds_the_new_key_above_the_old_and_a_retired_key_is_gone_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(&folder, &KEY[..16]);
    let old = Key::new(&KEY[..16]).unwrap().id();
    let rotated = KeyRing::rotate_file(&path).unwrap();
    let new = rotated.primary().id();
    assert_ne!(new, old);
    let ids = || KeyRing::load(&path).unwrap().keys().map(Key::id).collect::<Vec<_>>();
    assert_eq!(ids(), [new, old]);
    assert!(matches!(KeyRing::retire_from_file(&path, new), Err(KeyError::Primary { .. })));
    assert_eq!(ids(), [new, old]);
    KeyRing::retire_from_file(&path, old).unwrap();
    assert_eq!(ids(), [new]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    assert!(matches!(KeyRing::rotate_file(&folder.path().join("none")), Err(KeyError::Read { .. })));
}

#[test]
fn a_file_of_more_keys_than_a_ring_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text: String =
        (1..60u128).map(|n| Key::new(&n.to_le_bytes()).unwrap().to_text().to_string()).collect();
    let error = KeyRing::load(&key_file(&folder, text.as_bytes())).unwrap_err();
    let KeyError::Content { source, .. } = error else { panic!("{error}") };
    assert!(matches!(*source, KeyError::TooMany { .. }), "{source}");
}

#[cfg(unix)]
#[test]
fn a_rotation_through_a_link_changes_the_file_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (key_file(&folder, &KEY), folder.path().join("link"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let rotated = KeyRing::rotate_file(&link).unwrap();
    assert_eq!(KeyRing::load(&path).unwrap().primary().id(), rotated.primary().id());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_key_that_an_interrupted_write_left_goes_with_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state.key");
    KeyRing::load_or_create(&path).unwrap();
    let (left, other) = (home.path().join(".state.key.1-2.tmp"), home.path().join(".other.1-2.tmp"));
    for path in [&left, &other] {
        std::fs::write(path, "half").unwrap();
    }
    KeyRing::rotate_file(&path).unwrap();
    assert!(!left.exists() && other.exists());
}
