//! Key files of any bytes: they are a key or an error, and a key that was read is told by its id alone.

#![no_main]

use hotbay_state::Key;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = Key::new(bytes) {
        assert!([16, 24, 32].contains(&bytes.len()));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [hex.clone(), hex.to_uppercase(), format!("\t{hex}\r\n")] {
            assert_eq!(Key::parse(&text).expect("hex of a key").id(), key.id());
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = Key::parse(&text) {
        assert_eq!(Key::parse(text.trim()).expect("it was read a moment ago").id(), key.id());
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("Key({})", key.id()));
    }
});
