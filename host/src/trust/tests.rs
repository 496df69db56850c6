use hotbay_plugin_api::manifest::Manifest;
use proptest::prelude::*;

use super::decide::{Policy, Subject};
use super::keys::{PublicKey, TrustedKey};
use super::*;

// All of it was made by the stock `minisign` 0.11. The secret key lies beside it: it is for tests, and nobody trusts it.
const BYTES: &[u8] = include_bytes!("vectors/signed.bin");
const SIGNED: &str = include_str!("vectors/signed.minisig");
const STATED: &str = include_str!("vectors/stated.minisig");
const LEGACY: &str = include_str!("vectors/legacy.minisig");
const KEY: &str = include_str!("vectors/test-only.pub");

fn manifest() -> Manifest {
    let manifest = serde_json::json!({
        "name": "echo", "version": "1.0.0", "contract": "1.0", "requires": [], "priority": 0, "methods": [], "topics": [],
        "capabilities": [], "toolchain": "", "target": "x86_64-unknown-linux-gnu", "panic": "unwind",
    });
    serde_json::from_value(manifest).unwrap()
}

fn key(services: &[&str]) -> TrustedKey {
    let services = services.iter().map(|service| (*service).to_owned()).collect();
    TrustedKey { name: "test".to_owned(), key: PublicKey::parse(KEY).unwrap(), services, file: None }
}

/// A refusal of each kind, for who tells of them.
pub(crate) fn samples() -> Vec<Distrust> {
    let (id, service) = (PublicKey::parse(KEY).unwrap().id, || "greeter".to_owned());
    let exposed = Exposed { path: "plugins".into(), why: "can be written by all users".to_owned() };
    let digest = Digest::of(BYTES).as_str().to_owned();
    vec![
        Distrust::Unsigned,
        Distrust::Exposed(exposed),
        Distrust::Signature {
            path: "libgreeter.so.minisig".into(),
            why: signature::NoSignature::Malformed.to_string(),
        },
        Distrust::UnknownKey(id),
        Distrust::OtherService { key: "vendor".to_owned(), id, service: service() },
        Distrust::Bad { key: "release".to_owned(), why: "it was made for version 1.0.0".to_owned() },
        Distrust::NotPinned { service: service(), digest },
        Distrust::Below { service: service(), security: 2, floor: 3 },
        Distrust::Floor { service: service(), source: io::Error::other("it is no number") },
    ]
}

/// What is asked of the file, and what is known of it; the rest is as it should be.
struct Case<'a> {
    unsigned: Option<Unsigned>,
    keys: Vec<TrustedKey>,
    pins: Option<Vec<String>>,
    floor: io::Result<u64>,
    manifest: Manifest,
    bytes: &'a [u8],
    signature: Option<&'a str>,
    exposed: bool,
}

impl Default for Case<'_> {
    fn default() -> Self {
        let (pins, floor) = (None, Ok(0));
        let (keys, manifest) = (vec![key(&[])], manifest());
        Self { unsigned: None, keys, pins, floor, manifest, bytes: BYTES, signature: None, exposed: false }
    }
}

impl Case<'_> {
    fn verdict(self) -> Result<Standing, Distrust> {
        let digest = Digest::of(self.bytes);
        let signature = self.signature.map(|text| Signature::parse(text.to_owned()).unwrap());
        let policy = Policy {
            unsigned: self.unsigned,
            keys: &self.keys,
            pins: self.pins.as_deref(),
            floor: self.floor,
        };
        let exposed = self.exposed.then(|| Exposed { path: "p".into(), why: "is everybody's".to_owned() });
        let subject = Subject {
            manifest: &self.manifest,
            digest: &digest,
            bytes: self.bytes,
            signature: signature.as_ref(),
            exposed,
        };
        decide(&policy, &subject)
    }
}

#[test]
fn what_the_stock_minisign_signed_is_trusted_by_its_key_with_and_without_a_statement() {
    let signed = Case { signature: Some(SIGNED), ..Case::default() }.verdict().unwrap();
    assert_eq!((signed.security, signed.to_string().contains("`test` (AEFB9654B7A6BE69)")), (0, true));
    let stated = Case { signature: Some(STATED), ..Case::default() }.verdict().unwrap();
    assert_eq!(stated.security, 3);
}

#[test]
fn a_signature_without_a_hash_is_refused() {
    let refused = Case { signature: Some(LEGACY), ..Case::default() }.verdict();
    assert!(matches!(refused, Err(Distrust::Bad { .. })), "{refused:?}");
}

#[test]
fn what_does_not_fit_is_refused_whatever_else_speaks_for_the_file() {
    let digest = || Some(vec![Digest::of(b"other bytes").as_str().to_owned()]);
    for (unsigned, pins) in [(Some(Unsigned::Allow), None), (None, digest())] {
        let refused =
            Case { unsigned, pins, bytes: b"other bytes", signature: Some(SIGNED), ..Case::default() }
                .verdict();
        assert!(matches!(refused, Err(Distrust::Bad { .. })), "{refused:?}");
    }
    // Its comment is signed as well.
    let raised = STATED.replace("security=3", "security=4");
    let refused =
        Case { signature: Some(&raised), unsigned: Some(Unsigned::Allow), ..Case::default() }.verdict();
    assert!(matches!(refused, Err(Distrust::Bad { .. })), "{refused:?}");
}

#[test]
fn a_statement_is_of_one_name_version_target_and_contract() {
    type Change = fn(&mut Manifest);
    let changes: [Change; 4] = [
        |manifest| manifest.name = "other".to_owned(),
        |manifest| manifest.version = "1.0.1".to_owned(),
        |manifest| manifest.target = "aarch64-apple-darwin".to_owned(),
        |manifest| manifest.contract = "1.1".to_owned(),
    ];
    for change in changes {
        let mut case = Case { signature: Some(STATED), ..Case::default() };
        change(&mut case.manifest);
        assert!(matches!(case.verdict(), Err(Distrust::Bad { .. })));
    }
}

#[test]
fn a_key_signs_for_the_services_that_it_may_and_an_unknown_one_for_none() {
    assert!(
        Case { keys: vec![key(&["echo"])], signature: Some(SIGNED), ..Case::default() }.verdict().is_ok()
    );
    let other = Case { keys: vec![key(&["other"])], signature: Some(SIGNED), ..Case::default() }.verdict();
    assert!(matches!(other, Err(Distrust::OtherService { .. })), "{other:?}");
    let allow = Some(Unsigned::Allow);
    let unknown =
        Case { keys: vec![], unsigned: allow, signature: Some(SIGNED), ..Case::default() }.verdict();
    assert!(matches!(unknown, Err(Distrust::UnknownKey(_))), "{unknown:?}");
    // The same key twice: what one of them may is enough.
    let both = vec![key(&["other"]), key(&["echo"])];
    assert!(Case { keys: both, signature: Some(SIGNED), ..Case::default() }.verdict().is_ok());
}

#[test]
fn unsigned_files_are_judged_by_the_setting_else_by_who_could_have_written_them() {
    use Unsigned::{Allow, Refuse, Warn};
    let taken = |unsigned, exposed| Case { unsigned, exposed, ..Case::default() }.verdict().is_ok();
    assert!(taken(None, false) && !taken(None, true));
    assert!(taken(Some(Allow), true) && taken(Some(Warn), true));
    assert!(!taken(Some(Refuse), false) && !taken(Some(Refuse), true));
    // A signature holds wherever the file lies.
    let signed = Case { exposed: true, unsigned: Some(Refuse), signature: Some(SIGNED), ..Case::default() };
    assert!(signed.verdict().is_ok());
}

#[test]
fn a_pin_lets_in_one_digest_wherever_it_lies_and_no_other() {
    let pins = Some(vec![Digest::of(BYTES).as_str().to_owned()]);
    let pinned =
        Case { pins: pins.clone(), exposed: true, floor: Ok(9), ..Case::default() }.verdict().unwrap();
    assert_eq!(pinned.by, By::Pin);
    let refused =
        Case { pins, bytes: b"other", unsigned: Some(Unsigned::Allow), ..Case::default() }.verdict();
    assert!(matches!(refused, Err(Distrust::NotPinned { .. })));
}

#[test]
fn below_the_mark_nothing_passes_and_a_mark_that_cannot_be_read_is_not_none() {
    let at = |floor, signature| Case { floor: Ok(floor), signature, ..Case::default() }.verdict();
    assert!(at(3, Some(STATED)).is_ok());
    assert!(matches!(at(4, Some(STATED)), Err(Distrust::Below { security: 3, floor: 4, .. })));
    assert!(matches!(at(1, Some(SIGNED)), Err(Distrust::Below { .. })), "without a statement it is 0");
    assert!(matches!(at(1, None), Err(Distrust::Below { .. })), "nor is taking the signature away a way");
    let unreadable = Case { floor: Err(io::ErrorKind::InvalidData.into()), ..Case::default() }.verdict();
    assert!(matches!(unreadable, Err(Distrust::Floor { .. })));
}

#[test]
fn what_a_version_came_with_is_known_to_the_next_run_and_the_one_to_go_back_to_is_not_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let config = Config { home: home.path().to_owned(), ..Config::default() };
    let signed = Case { signature: Some(STATED), exposed: true, ..Case::default() }.verdict().unwrap();
    let digest = |number: u32| Digest::of(&number.to_le_bytes());
    let trust = Trust::new(&config);
    for number in 0..50 {
        trust.remember("echo", &digest(number), &signed).unwrap();
    }
    trust.settle("echo", &digest(49), Some(&digest(0))).unwrap();
    assert_eq!(records::floor(home.path(), "echo").unwrap(), 3);
    let again = Trust::new(&config);
    let origin = again.origin("echo", &digest(0)).unwrap();
    assert_eq!((origin.signature.as_deref(), origin.security), (Some(STATED), 3));
    assert!(origin.exposed.is_some_and(|exposed| exposed.contains("everybody")));
    assert!(again.origin("echo", &digest(1)).is_none() && again.origin("echo", &digest(48)).is_some());
    // Whoever lowers the mark by hand is not overruled by what serves already.
    records::set_floor(home.path(), "echo", 0).unwrap();
    trust.settle("echo", &digest(49), None).unwrap();
    assert_eq!(records::floor(home.path(), "echo").unwrap(), 0);
}

#[test]
fn what_judgements_rest_on_changes_with_the_keys_and_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let config = Config { home: home.path().join("home"), ..Config::default() };
    let (trust, folder) = (Trust::new(&config), home.path());
    let before = trust.stamp(folder);
    assert_eq!(trust.stamp(folder), before);
    #[cfg(feature = "cli")]
    {
        keys::add(&config.home, "test", &PublicKey::parse(KEY).unwrap(), &[]).unwrap();
        assert_ne!(trust.stamp(folder), before);
        assert!(keys::add(&config.home, "test", &PublicKey::parse(KEY).unwrap(), &[]).is_err());
    }
}

proptest! {
    #[test]
    fn no_changed_signature_is_taken(at in 0usize..400, to in "[A-Za-z0-9+/]") {
        let at = at % STATED.len();
        let mut changed = STATED.to_owned();
        prop_assume!(changed.is_char_boundary(at) && changed.is_char_boundary(at + 1) && changed[at..=at] != to);
        changed.replace_range(at..=at, &to);
        // The first line is nobody's word.
        let untrusted = STATED.find('\n').unwrap();
        if let Ok(signature) = Signature::parse(changed) {
            let text = signature.text.clone();
            let verdict = Case { signature: Some(&text), ..Case::default() }.verdict();
            prop_assert!(verdict.is_err() || at < untrusted, "{text}");
        }
    }
}
