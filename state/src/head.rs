//! `HEAD`: which snapshot of each service was the newest, so that an old file put back is noticed. `FORMAT.md` is the authority
//! on its bytes.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::OpenError;
use crate::key::{Key, KeyId};
use crate::name;
use crate::ring::KeyRing;

/// As that of a capsule, and told apart from one in its first eight bytes.
const MAGIC: [u8; 8] = *b"\x89HB-HEAD";
const FORMAT: u16 = 1;
const TAG: usize = 32;
const LABEL: &[u8] = b"hotbay head 1";

/// No service has so many bytes of it; a file that is longer is none.
pub(crate) const MAX_FILE: u64 = 16 << 20;

/// The newest snapshot of each service, as far as it was noted. What it holds lags behind the files, and is never ahead of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    services: BTreeMap<String, Newest>,
}

/// What is known of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Newest {
    /// The highest sequence.
    pub sequence: u64,
    /// Whether its file was set aside since, on purpose: that there is none is in order.
    pub aside: bool,
    /// What is below was discarded on purpose, and is not gone back to.
    pub floor: u64,
}

impl Head {
    /// What is known of a service.
    #[must_use]
    pub fn of(&self, service: &str) -> Option<Newest> {
        self.services.get(service).copied()
    }

    /// All services, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Newest)> {
        self.services.iter().map(|(service, newest)| (service.as_str(), *newest))
    }

    /// Knows this of a service, such as what was known before, or nothing.
    pub fn set(&mut self, service: &str, newest: Option<Newest>) {
        match newest.filter(|_| name::is_service(service)) {
            Some(newest) => self.services.insert(service.to_owned(), newest),
            None => self.services.remove(service),
        };
    }

    /// Notes a snapshot that is durable; whether that is news. One that is older than what is known changes nothing.
    pub fn note(&mut self, service: &str, sequence: u64) -> bool {
        let before = self.of(service);
        let highest = before.map_or(sequence, |newest| newest.sequence.max(sequence));
        let now = Newest { sequence: highest, aside: false, floor: before.map_or(0, |newest| newest.floor) };
        name::is_service(service) && {
            self.services.insert(service.to_owned(), now);
            before != Some(now)
        }
    }

    /// Notes that the file of a service is set aside, on purpose, when `highest` was the highest sequence that it had: it and all
    /// below are discarded.
    pub fn note_aside(&mut self, service: &str, highest: u64) {
        self.note(service, highest);
        if let Some(newest) = self.services.get_mut(service) {
            newest.aside = true;
            newest.floor = newest.sequence.saturating_add(1);
        }
    }

    /// Notes that an earlier state was put back as `sequence`: what is below is discarded.
    pub fn note_put_back(&mut self, service: &str, sequence: u64) {
        self.note(service, sequence);
        if let Some(newest) = self.services.get_mut(service) {
            newest.floor = newest.floor.max(sequence);
        }
    }

    /// The bytes of the file, with the tag of `key`.
    #[must_use]
    pub fn seal(&self, key: &Key) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&key.id().0);
        out.extend_from_slice(&u32::try_from(self.services.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (service, newest) in &self.services {
            // As the count, it is not larger: the name was checked when it was noted.
            out.push(u8::try_from(service.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(service.as_bytes());
            out.extend_from_slice(&newest.sequence.to_le_bytes());
            out.push(u8::from(newest.aside));
            out.extend_from_slice(&newest.floor.to_le_bytes());
        }
        let tag = mac(key).chain_update(&out).finalize().into_bytes();
        out.extend_from_slice(&tag);
        out
    }

    /// Reads what [`Head::seal`] made, with the key that it names. Nothing of it is believed before the tag was seen to be right.
    ///
    /// # Errors
    /// [`OpenError`] names the way in which it is wrong.
    pub fn open(keys: &KeyRing, bytes: &[u8]) -> Result<Head, OpenError> {
        let bad = |problem| OpenError::BadHeader { problem };
        let cut =
            |expected: usize| OpenError::Truncated { got: bytes.len() as u64, expected: expected as u64 };
        if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
            return Err(OpenError::NotState);
        }
        let (start, rest) = bytes.split_at_checked(MAGIC.len() + 2).ok_or(cut(MAGIC.len() + 2))?;
        match u16::from_le_bytes([start[MAGIC.len()], start[MAGIC.len() + 1]]) {
            FORMAT => {}
            0 => return Err(bad("there is no format 0")),
            format => return Err(OpenError::Newer { format, known: FORMAT }),
        }
        let least = start.len() + 8 + 4 + TAG;
        let (id, _) = rest.split_first_chunk::<8>().filter(|_| bytes.len() >= least).ok_or(cut(least))?;
        let sealed_with = KeyId(*id);
        let ours = keys.primary().id();
        let key = keys.get(sealed_with).ok_or(OpenError::WrongKey { sealed_with, ours })?;
        let (signed, tag) = bytes.split_at(bytes.len() - TAG);
        mac(key).chain_update(signed).verify_slice(tag).map_err(|_| OpenError::Damaged { chunk: 0 })?;
        // From here on the bytes are ours; what cannot be read was written by a defect.
        let mut rest = &signed[start.len() + 8..];
        let mut take = |len: usize| {
            let (taken, left) = rest.split_at_checked(len)?;
            rest = left;
            Some(taken)
        };
        let mut read = || -> Option<BTreeMap<String, Newest>> {
            let count = u32::from_le_bytes(take(4)?.try_into().ok()?);
            let mut services = BTreeMap::new();
            for _ in 0..count {
                let len = usize::from(*take(1)?.first()?);
                let service = str::from_utf8(take(len)?).ok().filter(|service| name::is_service(service))?;
                let sequence = u64::from_le_bytes(take(8)?.try_into().ok()?);
                let aside = match take(1)?.first()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                let floor = u64::from_le_bytes(take(8)?.try_into().ok()?);
                services.insert(service.to_owned(), Newest { sequence, aside, floor });
            }
            Some(services)
        };
        let services = read().ok_or(bad("its services cannot be read"))?;
        if rest.is_empty() {
            Ok(Head { services })
        } else {
            Err(OpenError::Trailing { extra: rest.len() as u64 })
        }
    }
}

fn mac(key: &Key) -> Hmac<Sha256> {
    let mut subkey = Zeroizing::new([0; 32]);
    key.unsalted().derive(&[LABEL], &mut subkey[..]);
    Hmac::new_from_slice(&subkey[..]).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> KeyRing {
        Key::new(&[7; 32]).unwrap().into()
    }

    fn head() -> Head {
        let mut head = Head::default();
        for (service, sequence) in [("echo", 7), ("kv", u64::MAX), ("gone", 2)] {
            assert!(head.note(service, sequence));
        }
        head.note_aside("gone", 2);
        head
    }

    #[test]
    fn what_was_noted_is_read_again_also_after_a_rotation() {
        let (ring, head) = (ring(), head());
        let bytes = head.seal(ring.primary());
        assert_eq!(Head::open(&ring, &bytes).unwrap(), head);
        let rotated = ring.rotated(Key::new(&[8; 16]).unwrap()).unwrap();
        assert_eq!(Head::open(&rotated, &bytes).unwrap(), head);
        assert_eq!(Head::open(&ring, &Head::default().seal(ring.primary())).unwrap(), Head::default());
        let stranger = KeyRing::from(Key::new(&[9; 32]).unwrap());
        assert!(matches!(Head::open(&stranger, &bytes), Err(OpenError::WrongKey { .. })));
    }

    #[test]
    fn a_sequence_never_goes_back() {
        let mut head = head();
        assert!(!head.note("echo", 7) && !head.note("echo", 3) && head.note("echo", 8));
        assert_eq!(head.of("echo").map(|newest| newest.sequence), Some(8));
        assert!(head.note("gone", 1), "what is written again is there again");
        assert_eq!(head.of("gone"), Some(Newest { sequence: 2, aside: false, floor: 3 }));
        assert!(!head.note("no service", 1) && head.of("no service").is_none());
        head.note_aside("unknown", 4);
        assert_eq!(head.of("unknown"), Some(Newest { sequence: 4, aside: true, floor: 5 }));
        head.note_put_back("echo", 9);
        assert_eq!(head.of("echo"), Some(Newest { sequence: 9, aside: false, floor: 9 }));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_an_error() {
        let (ring, bytes) = (ring(), head().seal(ring().primary()));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                Head::open(&ring, &bad).unwrap_err();
            }
            Head::open(&ring, &bytes[..at]).unwrap_err();
        }
        Head::open(&ring, &[&bytes[..], b"x"].concat()).unwrap_err();
    }

    /// The example of `FORMAT.md`.
    #[test]
    fn the_example_of_the_format_is_what_is_written() {
        let text = include_str!("../FORMAT.md");
        let example = text.split("## Example of `HEAD`").nth(1).expect("the format has an example of HEAD");
        let block = example.split("```hex").nth(1).and_then(|rest| rest.split("```").next()).expect("in hex");
        let digits: String = block
            .lines()
            .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace())
            .collect();
        let key = Key::new(&(0..32).collect::<Vec<u8>>()).unwrap();
        let mut head = Head::default();
        head.note("echo", 7);
        head.note("kv", 2);
        head.note_aside("kv", 2);
        let written: String = head.seal(&key).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, digits);
    }
}
