//! A plugin of a later contract, whose table of functions is longer: built against a copy of the contract's sources in
//! which that table has grown at its end, as `ABI.md` allows.

use std::path::{Path, PathBuf};

use hotbay_tests::{Bay, cargo, library_name, run_long};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Builds `plugins/echo` against the grown contract.
fn echo_of_a_later_contract() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("later");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    copy(&Path::new(ROOT).join("plugin-api"), &folder.join("plugin-api"));
    copy(&Path::new(ROOT).join("plugins/echo"), &folder.join("echo"));
    std::fs::copy(Path::new(ROOT).join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let workspace: toml::Table =
        std::fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap().parse().unwrap();
    std::fs::write(folder.join("Cargo.toml"), smaller(workspace).to_string()).unwrap();

    let abi = folder.join("plugin-api/src/abi");
    edit(
        &abi.join("module.rs"),
        "pub extension: extern \"C\" fn(id: RStr<'_>, revision: u32) -> ExtensionPtr,",
        "pub extension: extern \"C\" fn(id: RStr<'_>, revision: u32) -> ExtensionPtr,\n    \
         /// What only a later contract has.\n    \
         pub later: extern \"C\" fn(Instance, error: &mut RawBuffer) -> Status,",
    );
    edit(
        &abi.join("thunk.rs"),
        "extension: extension::<P>,",
        "extension: extension::<P>,\n            later: stop::<P>,",
    );
    edit(&abi.join("mod.rs"), "CONTRACT_MINOR: u32 = 0", "CONTRACT_MINOR: u32 = 1");

    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("later-target");
    let mut cargo = cargo();
    cargo.args(["build", "--offline", "-p", "hotbay-echo", "--target-dir"]).arg(&target).current_dir(&folder);
    let ran = run_long(&mut cargo);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    target.join("debug").join(library_name("echo"))
}

/// The workspace with the contract and echo in it only.
fn smaller(mut workspace: toml::Table) -> toml::Table {
    let table = workspace["workspace"].as_table_mut().unwrap();
    table.insert("members".to_owned(), vec!["plugin-api", "echo"].into());
    workspace.remove("profile");
    workspace
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "`{from}` in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn a_plugin_with_a_longer_table_loads_swaps_and_unloads() {
    let later = echo_of_a_later_contract();
    let bay = Bay::started();
    // Ours, the later one, ours, the later one: abi_stable's own check keeps references into libraries that it has
    // seen, and an unload between two lengths of one table was a crash.
    for round in 0..4_u64 {
        let (file, version) = if round % 2 == 0 {
            (std::fs::read(hotbay_tests::example("echo")).unwrap(), "1.0.0")
        } else {
            (hotbay_tests::with_version(&later, "1.0.0", "1.1.0"), "1.1.0")
        };
        bay.drop_bytes("echo", &file);
        assert_eq!(bay.wait_version("echo", version).generation, Some(round + 1));
        assert_eq!(bay.call("echo.echo", "hello"), "hello");
    }
    assert_eq!(bay.call("echo.count", ""), "4");
    for receipt in bay.history("echo") {
        assert_eq!(
            (receipt.retired, receipt.retired_reason),
            (hotbay::kernel::view::Retired::Unloaded, None)
        );
    }
    let contract = bay.status("echo").manifest.unwrap().contract;
    assert_eq!(contract, "1.1");
}
