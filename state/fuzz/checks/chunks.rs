//! Capsules that were right, and to which anything was done: nothing but what was sealed is opened, at once or as a stream.
//!
//! The input is a list of edits of three bytes each: what is done, where, and with what.

use std::sync::LazyLock;

use hotbay_state::{Key, Opener, open};

static KEY: LazyLock<Key> =
    LazyLock::new(|| Key::new(&std::array::from_fn::<u8, 32, _>(|i| i as u8)).expect("32 bytes are a key"));

/// Of three chunks of 64 bytes at most, behind a header of 155.
const GOOD: [&[u8]; 4] = [
    include_bytes!("../../vectors/2/good-aes-256.state"),
    include_bytes!("../../vectors/2/good-length-not-known.state"),
    include_bytes!("../../vectors/2/good-full-chunks.state"),
    include_bytes!("../../vectors/2/good-length-not-known-full-chunks.state"),
];
static PLAIN: LazyLock<[Vec<u8>; 4]> =
    LazyLock::new(|| GOOD.map(|good| open(&KEY, "echo", good).expect("it is good").plain.to_vec()));
const HEAD: usize = 155;
const CHUNK: usize = 80;

pub(crate) fn check(edits: &[u8]) {
    let Some((which, edits)) = edits.split_first() else { return };
    let good = GOOD[usize::from(*which) % GOOD.len()];
    let mut capsule = good.to_vec();
    for edit in edits.chunks_exact(3).take(16) {
        apply(&mut capsule, edit[0], usize::from(edit[1]), edit[2]);
    }
    let at_once = open(&KEY, "echo", &capsule);
    let mut given = Vec::new();
    let streamed = Opener::new(&KEY, "echo", &capsule[..]).and_then(|mut opener| {
        while let Some(chunk) = opener.next_chunk()? {
            given.extend_from_slice(chunk);
        }
        opener.finish()
    });
    assert_eq!(at_once.is_ok(), streamed.is_ok(), "{at_once:?} {streamed:?}");
    let is_good = GOOD.contains(&&capsule[..]);
    assert_eq!(at_once.is_ok(), is_good, "{at_once:?}");
    // What came before an error is authentic, and the state from its start.
    let begins = PLAIN.iter().any(|plain| plain.starts_with(&given));
    assert!(begins, "{} bytes that nobody sealed", given.len());
}

fn apply(capsule: &mut Vec<u8>, what: u8, at: usize, with: u8) {
    let chunk = |number: usize| HEAD + number % 4 * CHUNK;
    match what % 8 {
        0 => {
            if let Some(byte) = capsule.get_mut(at) {
                *byte ^= with;
            }
        }
        // Behind the first 256 bytes, where the chunks are.
        1 => {
            if let Some(byte) = capsule.get_mut(HEAD + at) {
                *byte ^= with;
            }
        }
        2 => capsule.truncate(at + usize::from(with)),
        3 => capsule.extend(std::iter::repeat_n(with, at)),
        4 => {
            let (from, to) = (chunk(at), chunk(usize::from(with)));
            if from + CHUNK <= capsule.len() && to + CHUNK <= capsule.len() {
                capsule.copy_within(from..from + CHUNK, to);
            }
        }
        5 => {
            let from = chunk(at);
            if from + CHUNK <= capsule.len() {
                capsule.drain(from..from + CHUNK);
            }
        }
        6 => {
            let from = chunk(at);
            if from + CHUNK <= capsule.len() && capsule.len() < 4096 {
                let again = capsule[from..from + CHUNK].to_vec();
                let to = chunk(usize::from(with)).min(capsule.len());
                capsule.splice(to..to, again);
            }
        }
        // A header or a body of another one.
        _ => {
            let other = GOOD[at % GOOD.len()];
            let cut = (HEAD + usize::from(with) % 4 * CHUNK).min(capsule.len()).min(other.len());
            capsule.splice(cut.., other[cut..].iter().copied());
        }
    }
}
