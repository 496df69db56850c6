//! Before anything of a file runs, what it links to is looked for, and whether its thread-locals fit; in the probe, what creating it
//! changes of the process. What is refused is refused by `check`, too, and nobody else notices.

use hotbay::kernel::view::{Phase, Row};
use hotbay_tests::{Bay, example, fixture};
#[cfg(target_os = "linux")] // Windows: what a library links to is shown, and judged by the probe.
use hotbay_tests::{Bound, linked_to, marked_initial_exec, marked_nodelete};
use serde_json::Value;

/// `hotbay check -o json` of a file.
fn report(bay: &Bay, file: &str) -> Value {
    let ran = bay.hotbay(&["check", file, "-o", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(ran.code, if report["accepted"] == true { 0 } else { 4 }, "{ran:?}");
    report
}

#[test]
fn a_check_tells_what_a_library_is_links_to_and_keeps_per_thread() {
    let bay = Bay::new();
    let echo = example("echo");
    let report = report(&bay, echo.to_str().unwrap());
    let anatomy = &report["anatomy"];
    assert_eq!(anatomy["architecture"], std::env::consts::ARCH);
    let format = if cfg!(windows) {
        "pe"
    } else if cfg!(target_vendor = "apple") {
        "mach-o"
    } else {
        "elf"
    };
    assert_eq!(report["format"], format);
    assert_eq!((&anatomy["kind"], &report["probed"]), (&"shared library".into(), &true.into()));
    assert!(anatomy["sections"].as_u64().unwrap() > 3 && anatomy["root"].is_string(), "{anatomy}");
    let needs = anatomy["needs"].as_array().unwrap();
    assert!(!needs.is_empty());
    if cfg!(target_os = "linux") {
        assert!(
            needs.iter().all(|needed| needed["place"] != "missing" && needed["place"] != "unknown"),
            "{needs:?}"
        );
        assert_eq!(anatomy["thread_locals"]["initial_exec"], false);
        assert_eq!(anatomy["stays_mapped"], Value::Null);
    }
    let text = bay.ok(&["check", echo.to_str().unwrap()]);
    for words in [
        "echo",
        ": accepted",
        "\nfile\n",
        "\nmanifest\n",
        "\nloading\n",
        "\nprobe\n",
        "root symbol",
        "unwind",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours in a pipe: {text}");
}

#[cfg(target_os = "linux")] // Windows: as above.
#[test]
fn a_library_that_is_missing_is_named_before_anything_runs_and_is_looked_for_again() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let whole = std::fs::read(fixture("marks_in_initializer")).unwrap();
    bay.drop_bytes("bad", &linked_to(whole, "libgcc_s.so.1", "libgcc_x.so.1"));
    // It is no fault of the file: it is tried again.
    let row = bay.wait_phase("marks_in_initializer", Phase::Faulted);
    assert_eq!(row.code.as_deref(), Some("HB0222"));
    let reason = row.reason.unwrap();
    assert!(
        reason.contains("`libgcc_x.so.1`") && reason.contains("install it") && !reason.contains('\n'),
        "{reason}"
    );
    let told = report(&bay, bay.file("bad").to_str().unwrap());
    let needs = told["anatomy"]["needs"].as_array().unwrap().clone();
    assert!(
        needs.iter().any(|needed| needed["library"] == "libgcc_x.so.1" && needed["place"] == "missing"),
        "{needs:?}"
    );
    assert_eq!(told["probed"], false);
    bay.assert_alive();
    assert_eq!(bay.call("echo.echo", "here"), "here");
    assert!(!bay.path("marked.by.an.initializer").exists(), "it was mapped");

    // It is installed where the file says: no more than the next try is waited for.
    bay.stop();
    let libraries = bay.path("libraries");
    std::fs::create_dir(&libraries).unwrap();
    bay.start_with(|command| _ = command.env("LD_LIBRARY_PATH", &libraries));
    bay.wait_for("marks_in_initializer", |row| row.reason.as_ref() == Some(&reason));
    std::fs::copy(fixture("no_plugin"), libraries.join("libgcc_x.so.1")).unwrap();
    bay.wait_for("marks_in_initializer", |row| {
        row.phase == Phase::Running
            || row.reason.as_ref().is_some_and(|told| !told.contains("libgcc_x.so.1`, which"))
    });
}

#[cfg(target_os = "linux")] // Windows: no file says so.
#[test]
fn thread_locals_at_a_fixed_distance_are_refused_where_a_swap_would_not_fit_them_twice() {
    let bay = Bay::started();
    bay.drop_bytes("bad", &marked_initial_exec(std::fs::read(fixture("counter")).unwrap()));
    let row = bay.wait_phase("counter", Phase::Rejected);
    let reason = row.reason.unwrap();
    assert!(reason.contains("initial-exec") && reason.contains(" bytes"), "{reason}");
    let told = report(&bay, bay.file("bad").to_str().unwrap());
    assert_eq!(told["anatomy"]["thread_locals"]["initial_exec"], true);
    assert!(told["anatomy"]["thread_locals"]["bytes"].as_u64().unwrap() > 0);
}

#[cfg(target_os = "linux")] // Windows: no file says so.
#[test]
fn a_mark_that_keeps_it_mapped_is_shown_and_accepted() {
    let bay = Bay::new();
    bay.drop_bytes("kept", &marked_nodelete(std::fs::read(example("echo")).unwrap()));
    let told = report(&bay, bay.file("kept").to_str().unwrap());
    assert!(told["anatomy"]["stays_mapped"].as_str().unwrap().contains("NODELETE"), "{told}");
    assert_eq!(told["accepted"], true);
}

/// A fixture that misbehaves in its constructor is refused, in words, and the host goes on.
fn refused_by_the_probe(name: &str, settings: &str, words: &[&str]) -> Row {
    let mut bay = Bay::with(settings).up();
    bay.drop_in("echo", &example("echo"));
    bay.drop_in("bad", &fixture(name));
    let row = bay.wait_phase(name, Phase::Rejected);
    let reason = row.reason.as_deref().unwrap();
    for word in words {
        assert!(reason.contains(word), "no `{word}` in: {reason}");
    }
    bay.wait_version("echo", "1.0.0");
    bay.assert_alive();
    row
}

#[test]
fn changes_handler_in_create() {
    let of = if cfg!(windows) { "exceptions" } else { "SIGTERM" };
    refused_by_the_probe("changes_handler_in_create", "", &["changed the handler of", of, "`start`"]);
}

#[test]
fn changes_folder_in_create() {
    refused_by_the_probe("changes_folder_in_create", "", &["changed the working directory"]);
}

#[test]
fn changes_environment_in_create() {
    let row = refused_by_the_probe(
        "changes_environment_in_create",
        "",
        &["changed the environment variable HOTBAY_FIXTURE"],
    );
    assert!(!row.reason.unwrap().contains("was here"), "values may be secret");
}

#[cfg(unix)] // Windows has no such mask.
#[test]
fn changes_mask_in_create() {
    refused_by_the_probe("changes_mask_in_create", "", &["changed the mask for modes of new files"]);
}

#[cfg(target_os = "linux")] // Windows, macOS: see `os::census`.
#[test]
fn leaves_a_file_open_in_create() {
    refused_by_the_probe("leaves_a_file_open_in_create", "", &["it left ", "open, as descriptor"]);
}

#[cfg(any(target_os = "linux", windows))] // macOS tells of no beginnings of threads.
#[test]
fn leaves_a_thread_in_create() {
    refused_by_the_probe("leaves_a_thread_in_create", "", &["left thread", "left-early"]);
}

#[cfg(any(target_os = "linux", windows))] // macOS bounds no memory.
#[test]
fn takes_memory_in_create() {
    refused_by_the_probe(
        "takes_memory_in_create",
        "[probe]\nmemory_mib = 256\n",
        &["while creating the plugin", "has 256 MiB of memory"],
    );
}

#[cfg(unix)] // Windows bounds no files.
#[test]
fn writes_much_in_create() {
    refused_by_the_probe("writes_much_in_create", "", &["while creating the plugin", "SIGXFSZ"]);
}

#[test]
fn reads_environment_in_create() {
    let told = |bay: &mut Bay| {
        bay.start_with(|command| _ = command.env("HOTBAY_FIXTURE_SECRET", "1"));
        bay.drop_in("a", &fixture("reads_environment_in_create"));
    };
    let mut bay = Bay::new();
    told(&mut bay);
    let row = bay.wait_phase("reads_environment_in_create", Phase::Rejected);
    assert!(row.reason.unwrap().contains("find HOTBAY_FIXTURE_SECRET"));
    let mut bay = Bay::with("[probe]\nenv = [\"HOTBAY_FIXTURE_SECRET\"]\n");
    told(&mut bay);
    bay.wait_version("reads_environment_in_create", "1.0.0");
}

/// A counter that is dropped in is put off with these words, while echo serves on, and comes by itself when `room` has made some.
#[cfg(target_os = "linux")] // Windows: there is no such limit that a test could set for another process.
fn put_off_until(bay: &mut Bay, words: &[&str], room: impl FnOnce(&Bay)) {
    bay.drop_in("counter", &fixture("counter"));
    let row = bay.wait_for("counter", |row| row.reason.as_ref().is_some_and(|why| why.contains("are taken")));
    let reason = row.reason.unwrap();
    for part in [words, &["tried again by itself"]].concat() {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_ne!(row.phase, Phase::Rejected, "it is no fault of the file");
    bay.assert_alive();
    assert_eq!(bay.call("echo.echo", "here"), "here");
    room(bay);
    bay.wait_version("counter", "1.0.0");
}

#[cfg(target_os = "linux")] // Windows: as above.
#[test]
fn a_load_near_the_limit_of_open_files_is_put_off_with_numbers_and_goes_on_when_there_is_room() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let files = hotbay_tests::census(bay.pid()).unwrap().files as u64;
    let most = files + 10;
    let before = hotbay_tests::bounded(bay.pid(), Bound::Files, Some(most));
    let words = format!("of {most} open files");
    put_off_until(&mut bay, &[&words, "RLIMIT_NOFILE", "LimitNOFILE"], |bay| {
        hotbay_tests::bounded(bay.pid(), Bound::Files, before);
    });
}

#[cfg(target_os = "linux")] // Windows: as above.
#[test]
fn a_load_without_memory_for_it_is_put_off_with_numbers_and_goes_on_when_there_is_some() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let most = hotbay_tests::mapped_bytes(bay.pid()) + (36 << 20);
    let before = hotbay_tests::bounded(bay.pid(), Bound::AddressSpace, Some(most));
    let words = format!("of {most} bytes of memory");
    put_off_until(&mut bay, &[&words, "RLIMIT_AS"], |bay| {
        hotbay_tests::bounded(bay.pid(), Bound::AddressSpace, before);
    });
}

/// Processes that do nothing, and end with the value.
#[cfg(target_os = "linux")] // Windows: as above.
struct Sleepers(Vec<std::process::Child>);

#[cfg(target_os = "linux")] // Windows: as above.
impl Drop for Sleepers {
    fn drop(&mut self) {
        for sleeper in &mut self.0 {
            let _ = sleeper.kill();
            let _ = sleeper.wait();
        }
    }
}

#[cfg(target_os = "linux")] // Windows: as above.
#[test]
fn a_load_near_the_limit_of_threads_is_put_off_with_numbers_and_goes_on_when_there_is_room() {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    const MOST: usize = 120;
    // Root has as many as there are, and whoever runs the tests as another has threads beside the host's: so it takes root, and a user
    // who has nothing else.
    const NOBODY_ELSE: u32 = 54_322;
    if !hotbay_tests::is_root() {
        return;
    }
    let mut bay = Bay::new().of_user(NOBODY_ELSE);
    bay.start_with(|command| {
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nproc={MOST}")).arg("--");
        limited.arg(command.get_program()).args(command.get_args());
        limited.current_dir(command.get_current_dir().unwrap()).uid(NOBODY_ELSE).gid(NOBODY_ELSE);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        *command = limited;
    });
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let threads = hotbay_tests::census(bay.pid()).unwrap().threads;
    let sleeper = || Command::new("sleep").arg("600").uid(NOBODY_ELSE).gid(NOBODY_ELSE).spawn().unwrap();
    let sleepers = Sleepers((threads + 8..MOST).map(|_| sleeper()).collect());
    let words = format!("of {MOST} threads");
    put_off_until(&mut bay, &[&words, "RLIMIT_NPROC", "LimitNPROC"], |_| drop(sleepers));
}

#[cfg(target_os = "linux")] // Windows has no limit to mappings.
#[test]
fn takes_mappings_and_a_load_is_put_off_until_it_gives_them_back() {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    // The limit is the system's, and near a higher one the kernel itself needs much memory: there the numbers alone are tested.
    if limit.trim().parse::<u64>().unwrap() > 200_000 {
        return;
    }
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.drop_in("takes_mappings", &fixture("takes_mappings"));
    bay.wait_version("echo", "1.0.0");
    bay.wait_version("takes_mappings", "1.0.0");
    let words = format!("of {} mappings", limit.trim());
    put_off_until(&mut bay, &[&words, "vm.max_map_count"], |bay| {
        bay.ok(&["stop", "takes_mappings"]);
    });
}
