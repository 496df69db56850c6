//! Plugins of other contracts: built against a copy of the contract's sources in which the table of functions has grown at
//! its end, as `ABI.md` allows, or was changed, which it forbids.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hotbay::kernel::view::{Outcome, Phase, Retired};
use hotbay_tests::{
    Bay, Hosted, PATIENCE, cargo, debug_folder, library_name, resident_bytes, rounds, run_long, with_version,
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What becomes of the contract's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Contract {
    /// This one.
    Same,
    /// Contract 1.0: the state extension has its first revision only.
    First,
    /// The minor before: its plugins know of no streams.
    Before,
    /// The next minor: the table has one more field at its end, which abi_stable takes, and the manifest a key that nobody knows yet.
    Grown,
    /// The table has one field less: what a table would be like if it had grown since.
    Shorter,
    /// It has no functions of its own for its methods.
    Nameless,
    /// Two functions of the same type have changed places, which `ABI.md` forbids.
    Changed,
}

/// The contract's minor, as it stands in the source.
fn minor(minor: u32) -> String {
    format!("CONTRACT_MINOR: u32 = {minor}")
}

/// That of this contract.
fn this_minor() -> u32 {
    let source = std::fs::read_to_string(Path::new(ROOT).join("plugin-api/src/abi/mod.rs")).unwrap();
    (0..1000).find(|of| source.contains(&format!("{};", minor(*of)))).expect("it has one")
}

/// Builds `plugins/echo` against a copy of the contract, without symbols: what is loaded ten thousand times may be small.
fn echo_against(contract: Contract) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{contract:?}"));
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
    match contract {
        Contract::Same => {}
        Contract::First => {
            edit(
                &abi.join("state.rs"),
                "STATE_EXTENSION => ExtensionPtr(std::ptr::from_ref(self.current).cast()),",
                "STATE_EXTENSION => ExtensionPtr::NONE,",
            );
            edit(&abi.join("mod.rs"), &minor(this_minor()), &minor(0));
            // Nor did the manifest say more.
            let manifest = folder.join("plugin-api/src/manifest/encode.rs");
            edit(
                &manifest,
                r#"json.raw(",\"content_type\":");
            json.string(shape.content_type());
            "#,
                "",
            );
            edit(&manifest, r#"json.raw("],\"back\":[");"#, r#"json.raw("],\"other\":[");"#);
        }
        Contract::Before => {
            edit(&abi.join("mod.rs"), &minor(this_minor()), &minor(this_minor() - 1));
            edit(
                &abi.join("thunk.rs"),
                "STREAMS_EXTENSION if !P::DECLARATION.streams.is_empty() => streams::<P>(),",
                "STREAMS_EXTENSION => ExtensionPtr::NONE,",
            );
        }
        Contract::Grown => {
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
            edit(&abi.join("mod.rs"), &minor(this_minor()), &minor(this_minor() + 1));
            let manifest = folder.join("plugin-api/src/manifest/encode.rs");
            edit(
                &manifest,
                r#"json.raw(",\"toolchain\":");"#,
                r#"json.raw(",\"later\":[{}],\"toolchain\":");"#,
            );
        }
        Contract::Shorter => {
            let table = abi.join("module.rs");
            let text = std::fs::read_to_string(&table).unwrap();
            let from = text.find("    /// The table of an extension by id").unwrap();
            let last = "-> ExtensionPtr,\n";
            let to = from + text[from..].find(last).unwrap() + last.len();
            edit(&table, &text[from..to], "");
            edit(&table, "    pub call:\n", "    #[sabi(last_prefix_field)]\n    pub call:\n");
            edit(&abi.join("thunk.rs"), "            extension: extension::<P>,\n", "");
            edit(
                &folder.join("plugin-api/src/testkit.rs"),
                "|(id, revision): (&str, u32)| (self.module.extension())(id.into(), revision);",
                "|_: (&str, u32)| crate::abi::ExtensionPtr::NONE;",
            );
            edit(
                &folder.join("plugin-api/src/testkit/messages.rs"),
                "(self.module.extension())(id.into(), revision).as_messages()",
                "{ let _ = (id, revision); ExtensionPtr::NONE }.as_messages()",
            );
            edit(
                &folder.join("plugin-api/src/testkit/requests.rs"),
                "(self.module.extension())(id.into(), revision).as_answers()",
                "{ let _ = (id, revision); ExtensionPtr::NONE }.as_answers()",
            );
            edit(
                &folder.join("plugin-api/src/testkit/streams.rs"),
                "(self.module.extension())(id.into(), revision).as_handler()",
                "{ let _ = (id, revision); ExtensionPtr::NONE }.as_handler()",
            );
            edit(
                &folder.join("plugin-api/src/testkit/config.rs"),
                "(self.module.extension())(id.into(), revision).as_config()",
                "{ let _ = (id, revision); crate::abi::ExtensionPtr::NONE }.as_config()",
            );
        }
        Contract::Nameless => {
            edit(
                &abi.join("thunk.rs"),
                "METHODS_EXTENSION => methods::<P>(),",
                "METHODS_EXTENSION => ExtensionPtr::NONE,",
            );
        }
        Contract::Changed => {
            let table = abi.join("module.rs");
            edit(&table, "pub start: extern", "pub other: extern");
            edit(&table, "pub stop: extern", "pub start: extern");
            edit(&table, "pub other: extern", "pub stop: extern");
        }
    }

    // One target folder for all: only the contract and echo are built anew.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("later-target");
    let mut cargo = cargo();
    cargo.args(["build", "--offline", "-p", "hotbay-echo", "--target-dir"]).arg(&target).current_dir(&folder);
    let ran = run_long(&mut cargo);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let built = folder.join(library_name("echo"));
    std::fs::copy(debug_folder(&target).join(library_name("echo")), &built).unwrap();
    built
}

/// Builds each once, and one after the other: they share a target folder, and what one has built another would take.
fn built(contract: Contract) -> PathBuf {
    static BUILT: Mutex<BTreeMap<Contract, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(contract).or_insert_with(|| echo_against(contract)).clone()
}

/// The workspace with the contract and echo in it only.
fn smaller(mut workspace: toml::Table) -> toml::Table {
    let table = workspace["workspace"].as_table_mut().unwrap();
    table.insert("members".to_owned(), vec!["plugin-api", "echo"].into());
    workspace.insert("profile".to_owned(), toml::toml! { dev = { debug = false, strip = true } }.into());
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
            // Written anew: where a copy keeps its time, as on Windows, cargo would take it for what it has built already.
            std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "`{from}` in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// A plugin of another minor takes over from one of this, and gives back.
fn there_and_back(contract: Contract, its_minor: u32) {
    let other = built(contract);
    let bay = Bay::started();
    bay.drop_in("echo", &hotbay_tests::example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_bytes("echo", &with_version(&other, "1.0.0", "1.1.0"));
    assert_eq!(bay.wait_version("echo", "1.1.0").generation, Some(2));
    assert_eq!(bay.call("echo.echo", "hello"), "hello");
    let contract = format!("1.{its_minor}");
    assert_eq!(bay.status("echo").manifest.unwrap().contract, contract);
    bay.drop_in("echo", &hotbay_tests::example("echo"));
    assert_eq!(bay.wait_version("echo", "1.0.0").generation, Some(3));
    assert_eq!(bay.call("echo.count", ""), "1");
    for receipt in bay.history("echo") {
        assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    }
}

#[test]
fn a_plugin_with_a_longer_table_loads_swaps_and_unloads() {
    there_and_back(Contract::Grown, this_minor() + 1);
}

#[test]
fn a_plugin_of_the_minor_before_loads_swaps_and_unloads() {
    there_and_back(Contract::Before, this_minor() - 1);
}

#[test]
fn a_plugin_that_knows_the_first_state_extension_only_hands_its_state_on_and_gets_it_back() {
    let bay = Bay::started();
    bay.drop_in("echo", &built(Contract::First));
    bay.wait_version("echo", "1.0.0");
    let manifest = bay.status("echo").manifest.unwrap();
    assert_eq!(manifest.contract, "1.0");
    assert_eq!(manifest.state.unwrap().content_type, "application/json");
    bay.call("echo.echo", "hello");
    bay.drop_in("echo", &hotbay_tests::example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    bay.call("echo.echo", "hello");
    let told = bay.ok(&["rollback", "echo"]);
    assert_eq!(bay.wait_version("echo", "1.0.0").generation, Some(3), "{told}");
    assert_eq!(bay.call("echo.count", ""), "2");
    bay.ok(&["reload", "echo"]);
    bay.wait_version("echo", "2.0.0");
    assert_eq!(bay.call("echo.count", ""), "2");
}

#[test]
fn a_plugin_with_a_shorter_table_is_refused_so_tables_are_frozen() {
    // abi_stable takes a longer table for a shorter one, and not the reverse: a table that grew would shut out all that was built
    // before. What is added is an extension, therefore.
    let bay = Bay::started();
    bay.drop_in("echo", &built(Contract::Shorter));
    let reason = bay.wait_phase("echo", Phase::Rejected).reason.unwrap();
    assert!(reason.contains("layout"), "{reason}");
}

#[test]
fn a_plugin_without_functions_of_its_methods_is_called_by_their_names() {
    let nameless = built(Contract::Nameless);
    let hosted = Hosted::start();
    hosted.drop_bytes("echo", &std::fs::read(nameless).unwrap());
    hosted.wait_version("echo", "1.0.0");
    let echo = hosted.host().handle("echo").unwrap().method("echo");
    for _ in 0..3 {
        let mut reply = hotbay::Buffer::new();
        echo.call(b"hello", &mut reply).unwrap();
        assert_eq!(&*reply, b"hello");
    }
    // With one that has them it goes on without.
    hosted.drop_bytes("echo", &with_version(&built(Contract::Same), "1.0.0", "1.1.0"));
    hosted.wait_version("echo", "1.1.0");
    assert_eq!(hosted.call("echo", "count", "").unwrap(), "3");
    let mut reply = hotbay::Buffer::new();
    (0..2).for_each(|_| echo.call(b"hello", &mut reply).unwrap());
    assert_eq!(hosted.call("echo", "count", "").unwrap(), "5");
}

#[test]
fn tables_of_two_lengths_load_and_unload_in_turn() {
    // abi_stable's own check keeps references into libraries that it has seen, and an unload between two lengths of one
    // table was a crash.
    // Windows: each load of what the gnu toolchain made takes thread-local slots for good, of which a process has 1,088.
    let loads = if cfg!(windows) { 200 } else { rounds(1000, 10_000) };
    let (ours, later) = (built(Contract::Same), built(Contract::Grown));
    let files = [std::fs::read(ours).unwrap(), with_version(&later, "1.0.0", "1.1.0")];
    let hosted = Hosted::start();
    let events = hosted.host().events(0);
    let (mut unloaded, began) = (0, Instant::now());
    let mut after_some = None;
    for load in 1..=loads {
        hosted.drop_bytes("echo", &files[(load % 2) as usize]);
        let serves = if load == 1 { "started" } else { "swapped" };
        loop {
            let event = events.recv_timeout(PATIENCE).expect("the host has something to tell");
            match event.kind.as_str() {
                "unloaded" => unloaded += 1,
                "pinned" | "rejected" | "rolled_back" | "faulted" => panic!("load {load}: {event:?}"),
                kind if kind == serves => break,
                _ => {}
            }
        }
        if load == loads / 5 {
            after_some = resident_bytes(std::process::id());
        }
    }
    assert_eq!(unloaded, loads - 1);
    assert_eq!(hosted.request("echo", "echo", "hello").unwrap(), "hello");
    println!("{loads} loads in {:?}", began.elapsed());
    if let Some(before) = after_some {
        let after = resident_bytes(std::process::id()).unwrap();
        let slope = after.saturating_sub(before) / (loads - loads / 5);
        println!("{slope} bytes a load stayed resident");
        // A library that stays costs some 100 KiB.
        assert!(slope < 30_000, "{slope} bytes a load stayed resident");
    }
}

#[test]
fn a_changed_table_is_refused_in_one_line_that_names_the_difference() {
    let changed = built(Contract::Changed);
    let bay = Bay::started();
    bay.drop_in("echo", &hotbay_tests::example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_bytes("echo", &with_version(&changed, "1.0.0", "1.1.0"));
    let receipt = bay.wait_receipt("echo", 1);
    assert_eq!(receipt.outcome, Outcome::RolledBack);
    let reason = receipt.reason.unwrap();
    assert!(
        reason.contains("layout") && reason.contains("rebuild it with this host's hotbay-plugin-api"),
        "{reason}"
    );
    assert!(!reason.contains('\n') && reason.len() < 700, "{reason}");
    // The rest on request.
    let checked = bay.hotbay(&["check", changed.to_str().unwrap()]);
    assert!(checked.code == 4 && checked.stderr.contains("HB0505"), "{checked:?}");
    assert!(checked.stdout.lines().count() > 50 && checked.stdout.contains("\nlayout\n"), "{checked:?}");
    assert_eq!(bay.call("echo.echo", "hello"), "hello");
}
