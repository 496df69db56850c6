use super::*;
use crate::sample::{HEAD, STAMP, key, small, state};
use crate::seal_into;

fn opened(
    reopen: &Reopen,
    keys: &KeyRing,
    service: &str,
    sealed: &[u8],
) -> Result<(Header, Vec<u8>), OpenError> {
    let mut plain = Zeroizing::new(b"what was there".to_vec());
    let header =
        reopen.open_into(keys, service, sealed, &mut plain).inspect_err(|_| assert!(plain.is_empty()))?;
    Ok((header, plain.to_vec()))
}

#[test]
fn what_was_sealed_is_opened_by_who_sealed_it_and_by_everybody_else() {
    for key_len in [16, 24, 32] {
        let keys = KeyRing::from(key(key_len));
        let (plain, mut capsule) = (state(100_000), vec![0xaa; 7]);
        let prepared = Prepared::new(keys.primary()).unwrap();
        assert_eq!(prepared.key_id(), keys.primary().id());
        let (header, reopen) = prepared.seal_into(&STAMP, &plain, &mut capsule).unwrap();
        assert_eq!(opened(&reopen, &keys, "echo", &capsule).unwrap(), (header.clone(), plain.clone()));
        let other = crate::open(keys.primary(), "echo", &capsule).unwrap();
        assert_eq!((other.header, other.plain.to_vec()), (header, plain));
    }
}

#[test]
fn a_byte_that_was_changed_is_found_and_named_as_without() {
    let keys = KeyRing::from(key(32));
    let (plain, mut capsule) = (state(300), Vec::new());
    let prepared = Prepared::once(keys.primary(), small(1));
    let (_, reopen) = prepared.seal_into(&STAMP, &plain, &mut capsule).unwrap();
    for at in 0..capsule.len() {
        capsule[at] ^= 1;
        let found = opened(&reopen, &keys, "echo", &capsule).unwrap_err();
        let expected = keys.open("echo", &capsule).unwrap_err();
        assert_eq!(found.to_string(), expected.to_string(), "byte {at}");
        capsule[at] ^= 1;
    }
    for cut in [0, HEAD - 1, HEAD, capsule.len() - 1] {
        let found = opened(&reopen, &keys, "echo", &capsule[..cut]).unwrap_err();
        assert_eq!(found.to_string(), keys.open("echo", &capsule[..cut]).unwrap_err().to_string());
    }
    let of_another = opened(&reopen, &keys, "logger", &capsule).unwrap_err();
    assert!(matches!(of_another, OpenError::OtherService { .. }));
}

#[test]
fn another_capsule_is_opened_by_the_keys() {
    let keys = KeyRing::from(key(32));
    let (mut own, mut other) = (Vec::new(), Vec::new());
    let (_, reopen) = Prepared::new(keys.primary()).unwrap().seal_into(&STAMP, b"own", &mut own).unwrap();
    let header = seal_into(keys.primary(), &STAMP, b"other", &mut other).unwrap();
    assert_eq!(opened(&reopen, &keys, "echo", &other).unwrap(), (header, b"other".to_vec()));
}
