//! Signature files of any bytes, and statements: nobody signs but who has the key, and a statement has one way to be written.

use std::sync::LazyLock;

use crate::trust::keys::PublicKey;
use crate::trust::signature::Signature;
use crate::trust::statement::Statement;

static KEY: LazyLock<PublicKey> =
    LazyLock::new(|| PublicKey::parse(include_str!("../trust/vectors/test-only.pub")).expect("it is a key"));

/// What is signed, and all that the key has signed of it.
const SIGNED: &[u8] = include_bytes!("../trust/vectors/signed.bin");
static MADE: LazyLock<[Signature; 2]> = LazyLock::new(|| {
    [include_str!("../trust/vectors/signed.minisig"), include_str!("../trust/vectors/stated.minisig")]
        .map(|text| Signature::parse(text.to_owned()).expect("it is a signature"))
});

/// The text of a signature file, whose comment may be a statement; and the same text as a statement.
///
/// # Panics
/// What must hold does not.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    statement(text);
    let _ = PublicKey::parse(text);
    let Ok(signature) = Signature::parse(text.to_owned()) else { return };
    statement(signature.comment());
    assert_eq!(signature.text, text);
    if signature.id == KEY.id && signature.is_of(&KEY, SIGNED) {
        let made = MADE.iter().find(|made| made.comment() == signature.comment());
        assert!(made.is_some_and(|made| made.id == signature.id), "forged: {text}");
    }
}

fn statement(text: &str) {
    match Statement::parse(text) {
        Ok(Some(statement)) => assert_eq!(statement.to_string(), text),
        Ok(None) => assert!(!text.starts_with("hotbay:"), "a statement that is passed over: {text}"),
        Err(why) => assert!(text.starts_with("hotbay:") && !why.is_empty()),
    }
}
