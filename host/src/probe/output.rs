//! What a probe says while it is at it, and when it said that it goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// More than this of what it prints is not kept: what it says itself goes before what its plugin prints.
const MOST: usize = 1 << 20;

/// What a probe prints, as far as it is read.
#[derive(Debug, Clone)]
pub(super) struct Output {
    heard: Arc<Mutex<Heard>>,
    /// What begins a line by which it says that it comes to the next stage.
    sign: Arc<[u8]>,
    /// What begins each line of its own.
    own: Arc<[u8]>,
}

#[derive(Debug)]
struct Heard {
    // `None` as long as nobody has begun to read.
    text: Option<Vec<u8>>,
    since: Instant,
}

impl Output {
    pub(super) fn new(nonce: &str) -> Self {
        let heard = Arc::new(Mutex::new(Heard { text: None, since: Instant::now() }));
        let of = |text: String| Arc::from(text.into_bytes());
        Self { heard, sign: of(format!("\n{nonce} stage ")), own: of(format!("{nonce} ")) }
    }

    pub(super) fn read(&self, mut from: impl std::io::Read) {
        let mut some = [0; 1024];
        self.lock().text.get_or_insert_default();
        while let Ok(count @ 1..) = from.read(&mut some) {
            let mut heard = self.lock();
            let text = heard.text.get_or_insert_default();
            let before = text.len();
            text.extend_from_slice(&some[..count]);
            // A sign may have come in two pieces.
            let fresh = &text[before.saturating_sub(self.sign.len() - 1)..];
            let goes_on = fresh.windows(self.sign.len()).any(|window| *window == *self.sign);
            // A plugin that prints without end must not fill the host's memory.
            if text.len() > MOST {
                *text = kept(text, &self.own);
            }
            if goes_on {
                heard.since = Instant::now();
            }
        }
    }

    /// All of it; `None` as long as nobody has begun to read.
    pub(super) fn text(&self) -> Option<Vec<u8>> {
        self.lock().text.clone()
    }

    /// Since when it is at its stage.
    pub(super) fn since(&self) -> Instant {
        self.lock().since
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines that begin so, the last of them, and the beginning of the line that goes on: half of [`MOST`] at most.
fn kept(text: &[u8], own: &[u8]) -> Vec<u8> {
    let (lines, last) = text.split_at(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    let is_own = last.starts_with(own) || own.starts_with(last);
    let last = &last[..last.len().min(if is_own { MOST / 4 } else { own.len() })];
    let mut room = MOST / 4;
    let mut newest: Vec<&[u8]> = lines
        .split_inclusive(|byte| *byte == b'\n')
        .rev()
        .filter(|line| line.starts_with(own))
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        })
        .collect();
    newest.reverse();
    // A sign begins with the end of the line before it.
    let mut kept = vec![b'\n'];
    kept.extend(newest.concat());
    kept.extend_from_slice(last);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(printed: &[u8]) -> Vec<u8> {
        let output = Output::new("n1");
        output.read(printed);
        output.text().unwrap()
    }

    #[test]
    fn a_plugin_that_prints_much_hides_nothing_of_what_its_probe_says() {
        let noise = b"n2 passed, says the plugin\n".repeat(MOST / 9);
        let endless = vec![b'x'; 3 * MOST + 7];
        let of = [
            b"\nn1 stage mapping\n",
            &*noise,
            b"\nn1 stage creating\n",
            &*endless,
            b"n1 passed\n\nn1 refused so\n",
        ];
        let text = String::from_utf8(heard(&of.concat())).unwrap();
        assert!(text.len() <= MOST, "{}", text.len());
        let own: Vec<&str> = text.lines().filter(|line| line.starts_with("n1 ")).collect();
        assert_eq!(own, ["n1 stage mapping", "n1 stage creating", "n1 refused so"]);
    }

    #[test]
    fn what_it_says_without_end_is_kept_no_longer_than_anything_else() {
        let lines = b"n1 step more\n".repeat(MOST / 4);
        let text = heard(&[&*lines, b"n1 passed\n"].concat());
        assert!(text.len() <= MOST && text.ends_with(b"\nn1 passed\n"));
        let line = heard(&[b"n1 refused ".as_slice(), &vec![b'x'; 3 * MOST]].concat());
        assert!(line.len() <= MOST && line.starts_with(b"\nn1 refused xxx"));
    }
}
