//! Nothing assumes the system that it is written on.

use crate::sources::{Source, none, rust};

#[test]
fn what_is_for_unix_says_what_windows_does() {
    let special = ["cfg(unix)", "cfg(target_os = \"linux\")", "os::unix::", "os::linux::"];
    // A test may be of one system alone: of a permission, of a FIFO.
    let of_tests = |source: &Source| source.is_in(&["tests/"]) || source.path.ends_with("/tests.rs");
    let files: Vec<Source> = rust().into_iter().filter(|source| !of_tests(source)).collect();
    let has_twin = |source: &Source| {
        let sibling = source.path.rsplit_once('/').map(|(folder, _)| format!("{folder}/windows.rs"));
        files.iter().any(|other| Some(&other.path) == sibling.as_ref())
    };
    let says = |source: &Source| {
        // Code for it, or a comment that says why there is none.
        source.code().any(|(_, line)| line.contains("windows") || line.contains("not(unix)"))
            || source.text.contains("Windows:")
    };
    let of_unix = files
        .iter()
        .filter(|source| source.code().any(|(_, line)| special.iter().any(|word| line.contains(word))));
    let places =
        of_unix.filter(|source| !says(source) && !has_twin(source)).map(|source| source.path.clone());
    none(
        "code for Unix has a twin for Windows, or a comment `// Windows: ...` that says why not",
        places.collect(),
    );
}
