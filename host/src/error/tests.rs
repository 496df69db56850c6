mod frozen;
mod samples;

use super::*;

#[test]
fn no_code_is_used_twice_or_for_something_else_than_before() {
    for (number, name) in frozen::CODES {
        let code: Code = number.to_string().parse().unwrap_or_else(|_| panic!("HB{number:04} has gone"));
        assert_eq!(format!("{code:?}"), *name, "HB{number:04} means something else than it did");
    }
    let frozen: Vec<u16> = frozen::CODES.iter().map(|(number, _)| *number).collect();
    let new: Vec<_> = Code::ALL.iter().filter(|code| !frozen.contains(&code.number())).collect();
    assert!(new.is_empty(), "add these to the end of their stage in tests/frozen.rs: {new:?}");
    assert!(frozen.is_sorted_by(|a, b| a < b), "in the order of their numbers");
}

#[test]
fn each_example_is_what_such_an_error_says() {
    let told = samples::all();
    let mut wrong = Vec::new();
    for code in Code::ALL {
        let texts: Vec<&str> = told.iter().filter(|told| told.code == *code).map(|told| &**told).collect();
        let example = code.explanation().example;
        // Of those without a variant of their own, the text is made where the trouble is found.
        if example.is_empty() || !texts.is_empty() && !texts.contains(&example) {
            wrong.push(format!("{code:?} says {texts:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_code_is_told_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = String::new();
    read_all(&root, &mut sources);
    let names = |code: &Code| {
        let name = format!("Code::{code:?}");
        let at_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
        sources.match_indices(&name).any(|(at, _)| at_end(&sources[at + name.len()..]))
    };
    let unused: Vec<&Code> = Code::ALL.iter().filter(|code| !names(code)).collect();
    assert!(unused.is_empty(), "no error has the codes {unused:?}");
}

/// All of the sources but those that only speak about codes, and tests.
fn read_all(folder: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["explained", "tests"].contains(&&*name) {
            read_all(&path, into);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            into.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
        }
    }
}

#[test]
fn each_explanation_is_whole_and_ends_in_something_to_do() {
    for explanation in Code::ALL.iter().map(|code| code.explanation()) {
        let Explanation { code, title, meaning, causes, unchanged, next, .. } = explanation;
        assert!(title.len() < 64 && !title.ends_with('.'), "{code}: {title}");
        assert!(meaning.ends_with('.') && unchanged.ends_with('.'), "{code}: {meaning} {unchanged}");
        assert!(!causes.is_empty() && !next.is_empty(), "{code}");
        assert!(causes.iter().chain(*next).all(|part| !part.ends_with('.')), "{code}: {causes:?} {next:?}");
        assert!(!format!("{explanation:?}").contains("  "), "{code}: blanks in a row");
    }
}

#[test]
fn the_page_of_errors_is_what_the_code_says() {
    let page = include_str!("../../ERRORS.md").replace("\r\n", "\n");
    assert!(page == super::page(), "host/ERRORS.md is old: run `cargo xtask errors`");
}

#[test]
fn the_nearest_codes_are_of_the_same_stage_first() {
    let near = |number| nearest(number, 3).iter().map(|code| code.number()).collect::<Vec<_>>();
    assert_eq!(near(300), [301, 302, 303]);
    assert_eq!(near(399), [314, 315, 316]);
    assert_eq!(near(0), [101, 102, 103]);
    assert_eq!(near(u16::MAX).len(), 3);
}

#[test]
fn trouble_keeps_its_code_whatever_words_are_put_around_it() {
    let trouble: Trouble = crate::verify::VerifyError::Empty.into();
    let told = trouble.within("plugins/libecho.so");
    assert_eq!(told.code, Code::Empty);
    assert!(told.starts_with("plugins/libecho.so: failed to read it"), "{told}");
}

#[test]
fn whom_a_newer_host_blames_is_nobody_who_is_known_here_and_its_answer_is_read() {
    let blamed = |json: &str| {
        let told = format!(r#"{{"exit": 4, "message": "failed", "code": null, "blame": {json}}}"#);
        serde_json::from_str::<crate::control::protocol::Failure>(&told).unwrap().blame
    };
    assert_eq!(blamed(r#""operator""#), Some(Blame::Operator));
    assert_eq!(blamed(r#""the weather""#), None);
    assert_eq!(blamed(r#"{"who": 7}"#), None);
    assert_eq!(blamed("null"), None);
}
