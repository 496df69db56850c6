//! Key files of any bytes: they are keys or an error, and a key that was read is told by its id alone.

use hotbay_state::{Key, KeyError, KeyRing};

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(ring) = KeyRing::from_file(bytes) {
        let keys: Vec<&Key> = ring.keys().collect();
        assert!((1..=32).contains(&keys.len()), "{} keys", keys.len());
        for (at, key) in keys.iter().enumerate() {
            assert!([128, 192, 256].contains(&key.bits()));
            assert!(keys[..at].iter().all(|other| other.id() != key.id()), "a key is there twice");
            assert_eq!(format!("{key:?}"), format!("Key({})", key.id()));
        }
    }
    let equal = bytes.windows(2).all(|pair| pair[0] == pair[1]);
    if let Ok(key) = Key::new(bytes) {
        assert!([16, 24, 32].contains(&bytes.len()));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [hex.clone(), hex.to_uppercase(), format!("\t{hex}\r\n")] {
            match Key::parse(&text) {
                Ok(parsed) => assert!(parsed.id() == key.id() && !equal, "{text}"),
                Err(error) => {
                    assert!(equal && matches!(error, KeyError::Guessable { .. }), "{text}: {error}")
                }
            }
        }
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(key) = Key::parse(text) {
        assert_eq!(Key::parse(text.trim()).expect("it was read a moment ago").id(), key.id());
    }
}
