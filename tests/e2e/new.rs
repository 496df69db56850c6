//! The first plugin, as a newcomer makes it.

use std::path::{Path, PathBuf};

use hotbay_tests::{Bay, cargo, debug_folder, eventually, run};

/// Builds the new crate as its author would, only that the compiled dependencies are kept between runs of this test.
fn build(folder: &Path, what: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("new");
    let mut cargo = cargo();
    cargo.arg(what).args(["--offline", "--locked", "--target-dir"]).arg(&target).current_dir(folder);
    let ran = hotbay_tests::run_long(&mut cargo);
    assert_eq!(ran.code, 0, "cargo {what}: {}", ran.stderr);
    debug_folder(&target).join(hotbay_tests::library_name("greeter"))
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "no {from} in {text}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn a_new_plugin_is_built_added_edited_and_added_again_and_its_state_is_there() {
    let bay = Bay::started();
    bay.ok(&["new", "greeter"]);
    let greeter = bay.path("greeter");
    build(&greeter, "test");
    let library = build(&greeter, "build");
    bay.ok(&["add", library.to_str().unwrap()]);
    assert_eq!(bay.call("greeter.greet", "Ada"), "Hello, Ada!");
    assert_eq!(bay.call("greeter.count", ""), "1");
    // Built alone, its `tracing` has other features than one that is built beside the host.
    eventually("the plugin's event is in the host's log", || {
        bay.log().contains("greeted name=\"Ada\"").then_some(())
    });

    edit(&greeter.join("Cargo.toml"), "version = \"0.1.0\"", "version = \"0.2.0\"");
    // The lock file names the version of the crate itself.
    edit_lock(&greeter.join("Cargo.lock"));
    edit(&greeter.join("src/lib.rs"), "= \"Hello\"", "= \"Good evening\"");
    let library = build(&greeter, "build");
    bay.ok(&["add", library.to_str().unwrap()]);
    assert_eq!(bay.call("greeter.greet", "Grace"), "Good evening, Grace!");
    assert_eq!(bay.call("greeter.count", ""), "2");
    assert_eq!(bay.wait_version("greeter", "0.2.0").generation, Some(2));
}

fn edit_lock(lock: &Path) {
    edit(lock, "name = \"greeter\"\nversion = \"0.1.0\"", "name = \"greeter\"\nversion = \"0.2.0\"");
}

#[test]
fn new_refuses_what_is_there_and_what_can_be_no_name() {
    let bay = Bay::new();
    bay.ok(&["new", "greeter"]);
    let again = bay.hotbay(&["new", "greeter"]);
    assert_eq!(again.code, 4, "{again:?}");
    assert!(again.stderr.contains("greeter"), "{again:?}");
    for name in ["Greeter", "a.b", "../x", "nul", ""] {
        let ran = run(bay.command().args(["new", name]));
        assert!(matches!(ran.code, 2 | 4), "{name}: {ran:?}");
    }
}
