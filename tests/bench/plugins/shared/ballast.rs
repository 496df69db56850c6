//! Data that makes a library as large as one that does something.

/// With it, a stripped library of these has some 600 KB: what the goals for swaps are about.
const BYTES: usize = 224 * 1024;

#[used]
static BALLAST: [u8; BYTES] = filled();

/// Not zeros, which would take no room in the file.
const fn filled() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut at = 0;
    while at < BYTES {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
}
