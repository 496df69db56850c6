use std::fs;
use std::time::SystemTime;

use super::*;

/// What a script of the shell says of the tests `a` and `b`, or of `b` alone, as the harness would, and ends.
fn says(is_alone: bool, is_good: bool) -> String {
    let (first, count) = if is_alone { ("", 1) } else { ("\ntest a ... ok", 2) };
    let (verdict, failures, failed, code) = if is_good {
        ("ok", "", 0, 0)
    } else {
        ("FAILED", "\nfailures:\n\nno luck\n\nfailures:\n    b\n", 1, FAILED)
    };
    let passed = count - failed;
    format!(
        "cat <<'END'\nrunning {count} tests{first}\ntest b ... {verdict}\n{failures}\n\
         test result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured\nEND\nexit {code}\n"
    )
}

/// Runs a script as a test program; the shell runs it, as a wine does. `MARK` in it is a file that is not there at first. What came of it.
fn run_script(all: &str, alone: &str, again: u32) -> (i32, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let [program, report, mark] =
        ["e2e-0123456789abcdef", "report", "mark"].map(|name| folder.path().join(name));
    let script = format!("if [ \"$1\" = --exact ]; then\n{alone}\nfi\n{all}");
    fs::write(&program, script.replace("MARK", mark.to_str().unwrap())).unwrap();
    fs::write(&report, "").unwrap();
    let options = Options {
        report: report.clone(),
        again,
        until: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 60,
        // Long for a shell, also on a busy machine.
        silence: 8,
        through: Some("sh".into()),
        server: None,
        command: vec![program.to_str().unwrap().to_owned()],
    };
    (run(&options).unwrap(), Outcome::read(&report).unwrap())
}

#[test]
fn what_fails_once_is_unsteady_and_fails_nothing() {
    let (code, outcome) = run_script(&says(false, false), &says(true, true), 1);
    assert_eq!((code, outcome.ran), (0, 2));
    assert_eq!(outcome.unsteady, ["e2e: b"]);
    assert!(outcome.failed.is_empty());
}

#[test]
fn what_fails_twice_fails_and_its_last_words_are_kept() {
    let (code, outcome) = run_script(&says(false, false), &says(true, false), 1);
    assert_eq!(code, FAILED);
    assert_eq!(outcome.failed, ["e2e: b"]);
    assert!(outcome.unsteady.is_empty());
    assert!(outcome.last.contains(&"no luck".to_owned()), "{:?}", outcome.last);
    // Without a second try the first counts.
    assert_eq!(run_script(&says(false, false), &says(true, true), 0).0, FAILED);
}

#[test]
fn a_third_try_is_made_where_two_are_allowed() {
    let alone = format!("if [ -e MARK ]; then\n{}fi\n: > MARK\n{}", says(true, true), says(true, false));
    let (code, outcome) = run_script(&says(false, false), &alone, 2);
    assert_eq!((code, outcome.unsteady), (0, vec!["e2e: b".to_owned()]));
}

#[test]
fn a_test_that_is_not_found_again_has_not_passed() {
    let nothing =
        "echo 'running 0 tests'; echo; echo 'test result: ok. 0 passed; 0 failed; 0 ignored'; exit 0";
    let (code, outcome) = run_script(&says(false, false), nothing, 1);
    assert_eq!((code, outcome.failed), (FAILED, vec!["e2e: b".to_owned()]));
}

#[test]
fn a_program_that_ends_in_the_middle_is_run_again_as_a_whole() {
    for end in ["kill -9 $$", "exit 0"] {
        let cut_off = format!("echo 'running 2 tests'; echo 'test a ... ok'; {end}");
        let all = format!("if [ -e MARK ]; then\n{}fi\n: > MARK\n{cut_off}", says(false, true));
        let (code, outcome) = run_script(&all, "exit 9", 1);
        assert_eq!((code, outcome.ran, outcome.unsteady.len()), (0, 2, 1), "{end}: {outcome:?}");
        let (code, outcome) = run_script(&cut_off, "exit 9", 1);
        assert_eq!((code, outcome.failed.len()), (FAILED, 1), "{end}: {outcome:?}");
    }
}

#[test]
fn a_program_that_hangs_is_ended_and_its_tests_are_named() {
    // What it started holds its output open.
    let hangs =
        "echo 'running 1 test'; echo 'test b has been running for over 60 seconds'; sleep 30 & exec sleep 30";
    let (code, outcome) = run_script(hangs, "exit 9", 0);
    assert_eq!(code, FAILED);
    assert!(outcome.failed[0].ends_with("had not ended: b"), "{outcome:?}");
}

#[test]
fn a_program_of_which_more_goes_on_ends_when_it_does() {
    let (code, _) = run_script(&format!("sleep 30 &\n{}", says(false, true)), "exit 9", 0);
    assert_eq!(code, 0);
}

#[test]
fn a_target_is_known_by_its_file() {
    assert_eq!(name_of("target/debug/deps/hotbay_state-0123456789abcdef"), "hotbay_state");
    assert_eq!(name_of("Z:/deps/e2e-0123456789abcdef.exe"), "e2e");
}
