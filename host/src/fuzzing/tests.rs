use std::path::Path;

/// So many inputs there are at least; a folder that is gone is no proof.
fn replay(target: &str, least: usize, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).unwrap();
    let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= least, "{} inputs of {target}", files.len());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        // What did not hold is said by the panic; which input it was, here.
        let held = std::panic::catch_unwind(|| check(&bytes));
        assert!(held.is_ok(), "`{}` does not hold", file.display());
    }
}

#[test]
fn manifests_of_any_bytes_are_read_or_refused_and_say_the_same_when_they_are_read_again() {
    replay("manifest", 10, super::manifest);
}

#[test]
fn files_of_any_bytes_are_looked_at_without_a_panic() {
    replay("object", 10, super::object);
}

#[test]
fn signatures_that_nobody_made_do_not_fit_and_statements_are_written_in_one_way() {
    replay("signature", 10, super::signature);
}

#[cfg(feature = "cli")]
#[test]
fn what_comes_over_the_control_socket_is_a_message_or_an_error() {
    replay("control", 10, super::control);
}

#[test]
fn settings_of_any_bytes_are_within_their_limits_or_refused() {
    replay("config", 10, super::config);
}

/// So that what is changed of them is near to what is taken.
#[test]
fn the_corpus_holds_a_plugin_of_each_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/object");
    for name in
        ["elf32", "elf64", "elf64-nodelete", "elf64-sysv", "mach-o", "mach-o-with-thread-locals", "pe64"]
    {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let (json, mark) =
            crate::verify::manifest_for_any_machine(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(crate::verify::read_manifest(json).unwrap().0.name, "a");
        assert_eq!(mark.is_some(), name.contains('-') && name != "elf64-sysv" && name != "mach-o", "{name}");
    }
}
