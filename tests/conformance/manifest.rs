//! Manifests of other contracts than ours.

use hotbay::kernel::view::{Phase, Row};
use hotbay_tests::{Bay, edited, example, fixture};

fn offered(bytes: &[u8], wanted: Phase) -> (Bay, Row) {
    let bay = Bay::started();
    bay.drop_bytes("offered", bytes);
    let row =
        hotbay_tests::eventually("a verdict", || bay.rows().into_iter().find(|row| row.phase == wanted));
    (bay, row)
}

#[test]
fn another_major_is_refused_with_both_versions_and_advice() {
    let nine = edited(&fixture("counter"), r#""contract":"1.4""#, r#""contract":"9.0""#);
    let (bay, row) = offered(&nine, Phase::Rejected);
    assert_eq!((row.name.as_str(), row.version.as_deref()), ("counter", Some("1.0.0")));
    let reason = row.reason.unwrap();
    assert!(reason.contains("9.0") && reason.contains("1.4"), "{reason}");
    let check = bay.hotbay(&["check", bay.file("offered").to_str().unwrap()]);
    assert_eq!(check.code, 4, "{check:?}");
}

#[test]
fn another_minor_is_taken() {
    let seven = edited(&fixture("counter"), r#""contract":"1.4""#, r#""contract":"1.7""#);
    let (bay, _) = offered(&seven, Phase::Running);
    assert_eq!(bay.call("counter.add", ""), "1");
}

#[test]
fn keys_that_a_later_contract_adds_are_passed_over() {
    let later = edited(&fixture("counter"), r#""topics":[]"#, r#""colour":[]"#);
    let (bay, _) = offered(&later, Phase::Running);
    assert_eq!(bay.call("counter.add", ""), "1");
}

#[test]
fn a_contract_that_is_no_version_and_a_manifest_that_is_no_json_are_refused_in_words() {
    let plugin = fixture("counter");
    let word = edited(&plugin, r#""contract":"1.4""#, r#""contract":"one""#);
    assert!(offered(&word, Phase::Rejected).1.reason.unwrap().contains("one"));
    let broken = edited(&plugin, r#"{"name""#, r#"["name""#);
    assert!(offered(&broken, Phase::Rejected).1.reason.unwrap().contains("manifest"));
}

#[test]
fn a_manifest_longer_than_its_file_is_refused() {
    let mut bytes = std::fs::read(fixture("counter")).unwrap();
    let magic = b"HOTBAY-MANIFEST\0";
    let at = bytes.windows(magic.len()).position(|window| window == magic).unwrap() + magic.len();
    for length in [u32::MAX, 0x7fff_ffff, 0] {
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let (mut bay, row) = offered(&bytes, Phase::Rejected);
        assert!(row.reason.unwrap().contains("manifest"));
        bay.assert_alive();
    }
}

#[test]
fn all_plugins_that_we_ship_pass_the_check() {
    let bay = Bay::new();
    for name in ["echo", "echo_v2", "logger", "template"] {
        bay.ok(&["check", example(name).to_str().unwrap()]);
    }
    for name in ["counter", "stateless", "reenters"] {
        bay.ok(&["check", fixture(name).to_str().unwrap()]);
    }
}
