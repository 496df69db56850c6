//! Whom a host trusts: signatures, keys, pins, and how far a service has come. Who could have written a file is in `users`.

mod stated;
#[cfg(unix)] // Windows: its access lists are tried beside the code; who runs the tests cannot be somebody else there.
mod users;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hotbay::kernel::view::{Phase, Row};
use hotbay_tests::{Bay, Ran, eventually, example};

const REFUSE: &str = "[trust]\nunsigned = \"refuse\"\n";

/// A key that the stock `minisign` made, for tests only.
fn key(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src/trust/vectors").join(name);
    path.to_str().unwrap().to_owned()
}

fn signature_of(library: &Path) -> PathBuf {
    let mut path = OsString::from(library);
    path.push(".minisig");
    path.into()
}

/// A copy of an example, signed, in a folder of its own.
fn signed(bay: &Bay, source: &Path, security: u64) -> PathBuf {
    let folder = bay.path("signed").join(source.file_stem().unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    // Always under one name, as versions of one plugin come.
    let copy = folder.join(bay.file("echo").file_name().unwrap());
    std::fs::copy(source, &copy).unwrap();
    let security = security.to_string();
    bay.ok(&["sign", copy.to_str().unwrap(), "--key", &key("test-only.key"), "--security", &security]);
    copy
}

/// Drops a file in with its signature, as an installer that knows nothing of Hotbay: one, then the other.
fn drop_pair(bay: &Bay, library: &Path) {
    let whole = bay.path("signature.whole");
    std::fs::copy(signature_of(library), &whole).unwrap();
    hotbay_tests::rename(&whole, &signature_of(&bay.file("echo")));
    bay.drop_in("echo", library);
}

fn trust_key(bay: &Bay) {
    bay.ok(&["trust", "add", &key("test-only.pub"), "--name", "test"]);
}

fn add(bay: &Bay, library: &Path) -> Ran {
    bay.hotbay(&["add", library.to_str().unwrap()])
}

#[track_caller]
fn assert_refused(ran: &Ran, words: &str) {
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains(words), "no `{words}` in {}", ran.stderr);
}

#[track_caller]
fn wait_refused(bay: &Bay, words: &str) -> Row {
    bay.wait_for("echo", |row| {
        row.phase == Phase::Rejected && row.reason.as_ref().is_some_and(|reason| reason.contains(words))
    })
}

#[track_caller]
fn assert_serves(bay: &Bay, version: &str) {
    bay.wait_version("echo", version);
    assert_eq!(bay.call("echo.echo", "here"), "here");
}

/// How far the service has come, as `hotbay trust list` tells.
fn floor(bay: &Bay) -> Option<u64> {
    let listed: serde_json::Value = serde_json::from_str(&bay.ok(&["trust", "list", "-o", "json"])).unwrap();
    let floors = listed["floors"].as_array().unwrap();
    floors.iter().find(|floor| floor["service"] == "echo")?["security"].as_u64()
}

#[test]
fn unsigned_files_are_refused_where_the_settings_say_so() {
    let bay = Bay::with(REFUSE).up();
    assert_refused(&add(&bay, &example("echo")), "unsigned");
    assert!(!bay.file("echo").exists());
    bay.drop_in("echo", &example("echo"));
    wait_refused(&bay, "hotbay sign");
    let file = bay.file("echo");
    assert_refused(&bay.hotbay(&["check", file.to_str().unwrap()]), "unsigned");
    assert!(bay.ok(&["why", "echo"]).contains("hotbay sign"));
}

#[test]
fn unsigned_files_are_told_of_where_the_settings_say_so_and_else_taken_in_silence() {
    let bay = Bay::with("[trust]\nunsigned = \"warn\"\n").up();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    assert!(bay.log().contains("it is loaded although it is unsigned"));
    assert_eq!(bay.status("echo").trust.as_deref(), Some("unsigned"));
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    assert!(!bay.log().contains("unsigned"));
}

#[test]
fn a_signed_file_is_taken_where_unsigned_ones_are_not_and_its_key_is_told() {
    let bay = Bay::with(REFUSE).up();
    let library = signed(&bay, &example("echo"), 0);
    assert_refused(&add(&bay, &library), "hotbay trust add");
    drop_pair(&bay, &library);
    wait_refused(&bay, "not trusted here");
    // By itself, from now on.
    trust_key(&bay);
    assert_serves(&bay, "1.0.0");
    assert!(bay.status("echo").trust.unwrap().contains("signed by key `test`"));
    assert!(bay.ok(&["check", bay.file("echo").to_str().unwrap()]).contains("signed by key `test`"));
    // What serves goes on; the next start asks again.
    bay.ok(&["trust", "remove", "test"]);
    wait_refused(&bay, "not trusted here");
    assert_eq!(bay.call("echo.echo", "here"), "here");
}

#[test]
fn a_signature_that_does_not_fit_is_refused_also_where_unsigned_files_are_taken() {
    let bay = Bay::with("[trust]\nunsigned = \"allow\"\n").up();
    trust_key(&bay);
    let library = signed(&bay, &example("echo"), 0);
    assert_eq!(add(&bay, &library).code, 0);
    assert_serves(&bay, "1.0.0");
    bay.drop_in("echo", &example("echo_v2"));
    wait_refused(&bay, "does not fit");
    assert_serves(&bay, "1.0.0");
    assert!(bay.ok(&["why", "echo"]).contains("does not fit"));
    // Nor is what cannot be read as good as none.
    std::fs::write(signature_of(&bay.file("echo")), "no signature").unwrap();
    wait_refused(&bay, "failed to read its signature");
    std::fs::remove_file(signature_of(&bay.file("echo"))).unwrap();
    assert_serves(&bay, "2.0.0");
}

#[test]
fn a_key_signs_for_its_services_alone() {
    let bay = Bay::with(REFUSE).up();
    bay.ok(&["trust", "add", &key("test-only.pub"), "--service", "counter"]);
    assert_refused(&add(&bay, &signed(&bay, &example("echo"), 0)), "may not sign for service `echo`");
    assert!(!bay.file("echo").exists() && !signature_of(&bay.file("echo")).exists());
}

#[test]
fn a_pinned_service_takes_that_file_and_no_other() {
    let probe = Bay::new();
    let report = probe.ok(&["check", example("echo").to_str().unwrap(), "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let digest = report["digest"].as_str().unwrap();
    let bay = Bay::with(&format!("{REFUSE}[trust.pins]\necho = \"{digest}\"\n")).up();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    bay.drop_in("echo", &example("echo_v2"));
    wait_refused(&bay, "pinned");
    assert_serves(&bay, "1.0.0");
}

#[test]
fn a_signed_downgrade_is_refused_also_by_the_next_run_until_the_mark_is_lowered() {
    let mut bay = Bay::with(&format!("{REFUSE}[probation]\nwindow_ms = 0\n")).up();
    trust_key(&bay);
    let (old, new) = (signed(&bay, &example("echo"), 1), signed(&bay, &example("echo_v2"), 2));
    assert_eq!(add(&bay, &new).code, 0);
    eventually("the mark is raised", || (floor(&bay) == Some(2)).then_some(()));
    assert_refused(&add(&bay, &old), "security version");
    assert_serves(&bay, "2.0.0");
    drop_pair(&bay, &old);
    wait_refused(&bay, "has come to 2");
    assert_serves(&bay, "2.0.0");
    bay.stop();
    bay.start();
    wait_refused(&bay, "hotbay trust floor echo 1");
    bay.ok(&["trust", "floor", "echo", "1"]);
    // It is let in; that it does not read what the newer one wrote is another matter: that one stands in and hands it over, and raises no mark.
    assert_serves(&bay, "1.0.0");
    assert_eq!(floor(&bay), Some(1));
}

#[test]
fn a_version_on_probation_raises_no_mark_so_that_the_one_before_can_come_back() {
    let bay = Bay::with(&format!("{REFUSE}[probation]\nwindow_ms = 600000\n")).up();
    trust_key(&bay);
    assert_eq!(add(&bay, &signed(&bay, &example("echo"), 1)).code, 0);
    eventually("the mark is raised", || (floor(&bay) == Some(1)).then_some(()));
    assert_eq!(add(&bay, &signed(&bay, &example("echo_v2"), 2)).code, 0);
    bay.ok(&["rollback", "echo"]);
    assert_serves(&bay, "1.0.0");
    // What was kept is trusted by the signature that it came with.
    assert!(bay.status("echo").trust.unwrap().contains("signed by key `test`"));
    assert_eq!(floor(&bay), Some(1));
}

#[test]
fn a_signature_that_comes_later_counts_for_what_serves() {
    let bay = Bay::started();
    trust_key(&bay);
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    std::fs::copy(signature_of(&signed(&bay, &example("echo"), 5)), signature_of(&bay.file("echo"))).unwrap();
    eventually("the mark is raised", || (floor(&bay) == Some(5)).then_some(()));
    let status = bay.status("echo");
    assert!(status.trust.unwrap().contains("security version 5"));
    assert_eq!(status.row.generation, Some(1));
}

#[test]
fn signed_pairs_replace_each_other_under_calls_and_none_is_ever_refused() {
    let bay = Bay::with(REFUSE).up();
    trust_key(&bay);
    let versions = [signed(&bay, &example("echo"), 0), signed(&bay, &example("echo_v2"), 0)];
    assert_eq!(add(&bay, &versions[0]).code, 0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(bay.call("echo.echo", "here"), "here");
            }
        });
        let ran: Vec<Ran> = versions.iter().cycle().skip(1).take(6).map(|next| add(&bay, next)).collect();
        over.store(true, Ordering::Relaxed);
        caller.join().unwrap();
        assert!(ran.iter().all(|ran| ran.code == 0), "{ran:?}");
    });
    let events = bay.ok(&["events", "-n", "1000"]);
    assert!(!events.contains("rejected"), "{events}");
    // One signature, that of the file; nothing is left of the others.
    let folder = std::fs::read_dir(bay.plugins()).unwrap();
    assert_eq!(folder.count(), 2);
}

#[test]
fn a_key_is_made_signs_is_listed_and_removed() {
    let bay = Bay::with(REFUSE).up();
    let secret = bay.path("release.key");
    let (file, public) = (secret.to_str().unwrap(), format!("{}.pub", secret.display()));
    bay.ok(&["trust", "new-key", file, "--no-password"]);
    assert_refused(&bay.hotbay(&["trust", "new-key", file, "--no-password"]), "--force");
    let library = signed(&bay, &example("echo"), 0);
    bay.ok(&["sign", library.to_str().unwrap(), "--key", file]);
    bay.ok(&["trust", "add", &public]);
    assert_refused(&bay.hotbay(&["trust", "add", &public]), "trusted already");
    assert_eq!(add(&bay, &library).code, 0);
    let listed = bay.ok(&["trust", "list"]);
    assert!(listed.contains("home") && listed.contains("all"), "{listed}");

    // What is damaged is told, and the rest is listed all the same.
    let trust = bay.home().join("trust");
    std::fs::write(trust.join("keys").join("bad.json"), "{").unwrap();
    std::fs::create_dir_all(trust.join("floors")).unwrap();
    std::fs::write(trust.join("floors").join("echo.json"), "{").unwrap();
    let ran = bay.hotbay(&["trust", "list", "-o", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let all: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(all["problems"].as_array().unwrap().len(), 2);
    let id = all["keys"][0]["id"].as_str().unwrap();
    assert_refused(&add(&bay, &library), "hotbay trust floor echo NUMBER");
    bay.ok(&["trust", "remove", id]);
    assert_eq!(bay.hotbay(&["trust", "remove", id]).code, 3);
    assert_eq!(bay.hotbay(&["trust", "add", "nonsense"]).code, 2);
}

#[test]
fn a_key_with_a_password_asks_for_it() {
    let bay = Bay::new();
    let (secret, word, wrong) = (bay.path("release.key"), bay.path("word"), bay.path("wrong"));
    std::fs::write(&word, "open sesame\n").unwrap();
    std::fs::write(&wrong, "close sesame\n").unwrap();
    let secret = secret.to_str().unwrap();
    bay.ok(&["trust", "new-key", secret, "--password-file", word.to_str().unwrap()]);
    let library = signed(&bay, &example("echo"), 0);
    let sign = |word: &Path| {
        let word = word.to_str().unwrap();
        bay.hotbay(&["sign", library.to_str().unwrap(), "--key", secret, "--password-file", word])
    };
    assert_eq!(sign(&wrong).code, 1);
    let public = bay.hotbay(&["sign", library.to_str().unwrap(), "--key", &format!("{secret}.pub")]);
    let told = "release.key.pub`: it is a public key";
    assert!(public.code == 1 && public.stderr.contains(told), "{public:?}");
    assert_eq!(sign(&word).code, 0);
}

#[cfg(unix)] // Windows gives symbolic links to administrators only.
#[test]
fn a_link_that_is_added_comes_with_the_signature_of_what_is_behind_it() {
    let bay = Bay::with(REFUSE).up();
    trust_key(&bay);
    let library = signed(&bay, &example("echo"), 0);
    let link = bay.path(bay.file("echo").file_name().unwrap().to_str().unwrap());
    std::os::unix::fs::symlink(&library, &link).unwrap();
    std::fs::write(signature_of(&link), "that of something else").unwrap();
    assert_eq!(add(&bay, &link).code, 0);
    assert_serves(&bay, "1.0.0");
    let copied = std::fs::read(signature_of(&bay.file("echo"))).unwrap();
    assert_eq!(copied, std::fs::read(signature_of(&library)).unwrap());
}

#[test]
fn a_service_that_is_removed_takes_its_signature_along() {
    let bay = Bay::with(REFUSE).up();
    trust_key(&bay);
    assert_eq!(add(&bay, &signed(&bay, &example("echo"), 0)).code, 0);
    bay.ok(&["remove", "echo"]);
    assert!(!signature_of(&bay.file("echo")).exists());
}
