//! Headers of any bytes: what reads them neither panics nor takes memory by their word, and two readers agree.

use std::sync::LazyLock;

use hotbay_state::{Key, OpenError, Opener, open, read_header};

static KEY: LazyLock<Key> =
    LazyLock::new(|| Key::new(&std::array::from_fn::<u8, 32, _>(|i| i as u8)).expect("32 bytes are a key"));

/// What is right; whoever makes another one has broken the cipher.
const GOOD: [&[u8]; 7] = [
    include_bytes!("../../vectors/1/good-aes-256.state"),
    include_bytes!("../../vectors/2/good-aes-256.state"),
    include_bytes!("../../vectors/2/good-empty.state"),
    include_bytes!("../../vectors/2/good-full-chunks.state"),
    include_bytes!("../../vectors/2/good-length-not-known.state"),
    include_bytes!("../../vectors/2/good-length-not-known-empty.state"),
    include_bytes!("../../vectors/2/good-length-not-known-full-chunks.state"),
];

pub(crate) fn check(bytes: &[u8]) {
    let header = read_header(bytes);
    let streamed = Opener::new(&KEY, "echo", bytes);
    if matches!(header, Err(OpenError::NotState | OpenError::Newer { .. } | OpenError::BadHeader { .. })) {
        assert!(streamed.is_err(), "{header:?}, and as a stream it began");
    }
    if let Ok(opened) = open(&KEY, "echo", bytes) {
        assert_eq!(opened.header, header.expect("it was read to open it"));
        assert_eq!(opened.header.service, "echo");
        let streamed = streamed.expect("it was opened at once").finish();
        assert_eq!(opened.header, streamed.expect("it was opened at once"));
        assert!(GOOD.contains(&bytes), "forged");
    }
}
