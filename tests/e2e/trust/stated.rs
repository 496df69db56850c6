//! What a signature states is of the file beside it.

use std::io::Cursor;

use minisign::KeyPair;

use hotbay_tests::{Bay, edited, example};

use super::{REFUSE, add, assert_refused, assert_serves, drop_pair, signature_of, signed, wait_refused};

fn digest(bay: &Bay, library: &str) -> String {
    let report: serde_json::Value =
        serde_json::from_str(&bay.hotbay(&["check", library, "-o", "json"]).stdout).unwrap();
    report["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_right_signature_over_the_statement_of_other_bytes_is_refused() {
    let bay = Bay::with(REFUSE).up();
    let key = KeyPair::generate_unencrypted_keypair().unwrap();
    bay.ok(&["trust", "add", &key.pk.to_base64(), "--name", "ours"]);

    let library = signed(&bay, &example("echo"), 0);
    let text = std::fs::read_to_string(signature_of(&library)).unwrap();
    let statement = text.lines().find_map(|line| line.strip_prefix("trusted comment: ")).unwrap();
    // Of the same name, version, target and contract; and who has the key signs that it is those of before.
    let of_before = digest(&bay, library.to_str().unwrap());
    assert!(statement.contains(&of_before), "{statement}");
    let bytes = edited(&example("echo"), r#""priority":0"#, r#""priority":1"#);
    std::fs::write(&library, &bytes).unwrap();
    let sign = |statement: &str| {
        let made = minisign::sign(None, &key.sk, Cursor::new(&bytes), Some(statement), None).unwrap();
        std::fs::write(signature_of(&library), made.into_string()).unwrap();
    };
    sign(statement);
    assert_refused(&add(&bay, &library), "it was made for digest");
    drop_pair(&bay, &library);
    wait_refused(&bay, "it was made for digest");

    // Nothing else is wrong with it.
    sign(&statement.replace(&of_before, &digest(&bay, library.to_str().unwrap())));
    drop_pair(&bay, &library);
    assert_serves(&bay, "1.0.0");
}
