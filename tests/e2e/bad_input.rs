//! Files that are no plugins, and plugins that must not run: each refused in words of its own, and no other service
//! notices.

use std::collections::BTreeSet;

use hotbay::kernel::view::{Phase, Row};
use hotbay_tests::{Bay, children, edited, example, fixture, is_mapped};

/// Drops these bytes, and answers the row that the file was refused with. Beside it echo goes on serving.
fn refused(bay: &Bay, bytes: &[u8]) -> Row {
    bay.drop_bytes("bad", bytes);
    let row = refused_row(bay);
    bay.wait_version("echo", "1.0.0");
    let check = bay.hotbay(&["check", bay.file("bad").to_str().unwrap()]);
    assert_eq!(check.code, 4, "{check:?}");
    row
}

fn refused_row(bay: &Bay) -> Row {
    let file = bay.file("bad");
    hotbay_tests::eventually("the file is refused", || {
        bay.rows().into_iter().find(|row| {
            row.source.as_ref().and_then(|source| source.file_name()) == file.file_name()
                && row.phase == Phase::Rejected
        })
    })
}

fn with_echo() -> Bay {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay
}

fn assert_says(row: &Row, words: &[&str]) {
    let reason = row.reason.as_deref().unwrap();
    for word in words {
        assert!(reason.contains(word), "no `{word}` in: {reason}");
    }
    assert!(!reason.contains('\n'), "a reason is one line: {reason}");
}

#[test]
fn text_and_nothing_are_no_libraries() {
    let bay = with_echo();
    let text = refused(&bay, b"once upon a time there was no plugin in this file");
    assert_eq!((text.name.as_str(), text.version.as_deref(), text.generation), ("bad", None, None));
    assert!(text.digest.is_some());
    std::fs::remove_file(bay.file("bad")).unwrap();
    bay.wait_gone("bad");
    let empty = refused(&bay, b"");
    assert_says(&empty, &["empty"]);
    assert_ne!(text.reason, empty.reason);
}

#[test]
fn a_directory_is_no_file() {
    let bay = with_echo();
    std::fs::create_dir(bay.file("bad")).unwrap();
    assert_says(&refused_row(&bay), &["folder"]);
    bay.wait_version("echo", "1.0.0");
}

#[cfg(unix)] // Windows has no FIFOs in folders.
#[test]
fn a_fifo_is_not_waited_for() {
    let bay = with_echo();
    hotbay_tests::make_fifo(&bay.file("bad"));
    assert_says(&refused_row(&bay), &["FIFO"]);
    bay.wait_version("echo", "1.0.0");
}

#[cfg(unix)] // Windows has no sockets that stay in folders.
#[test]
fn a_socket_is_no_file() {
    let bay = with_echo();
    let _socket = std::os::unix::net::UnixListener::bind(bay.file("bad")).unwrap();
    assert_says(&refused_row(&bay), &["socket"]);
    bay.wait_version("echo", "1.0.0");
}

#[cfg(unix)] // Windows gives symbolic links to administrators only.
#[test]
fn a_link_to_nowhere_is_said_to_be_one() {
    let bay = with_echo();
    std::os::unix::fs::symlink("nowhere", bay.file("bad")).unwrap();
    assert_says(&refused_row(&bay), &["link"]);
    bay.wait_version("echo", "1.0.0");
}

#[test]
fn a_plugin_cut_at_any_length_is_refused_and_the_host_lives() {
    let mut bay = with_echo();
    bay.wait_version("echo", "1.0.0");
    let whole = std::fs::read(fixture("counter")).unwrap();
    let mut lengths = vec![1, 16, 63, 64, 200, 4096, whole.len() - 1];
    lengths.extend((1..10).map(|tenth| whole.len() * tenth / 10));
    // All at once: each is given some time, since its writer may go on.
    for length in &lengths {
        bay.drop_bytes(&format!("cut-{length}"), &whole[..*length]);
    }
    for length in &lengths {
        let row = bay.wait_phase(&format!("cut-{length}"), Phase::Rejected);
        assert_says(&row, &["incomplete or damaged", "copy it again"]);
    }
    bay.assert_alive();
    bay.drop_bytes("bad", &whole);
    bay.wait_version("counter", "1.0.0");
}

#[test]
fn a_plugin_whose_tail_is_not_written_yet_harms_nobody() {
    let mut bay = with_echo();
    bay.wait_version("echo", "1.0.0");
    let whole = std::fs::read(fixture("counter")).unwrap();
    for tenth in 1..10 {
        let mut bytes = whole.clone();
        bytes[whole.len() * tenth / 10..].fill(0);
        bay.drop_bytes("bad", &bytes);
        // Zeros where nothing is needed are no harm; what is refused has a reason.
        hotbay_tests::eventually("a verdict", || {
            let row = bay.rows().into_iter().find(|row| row.name != "echo")?;
            (row.phase == Phase::Running || row.reason.is_some()).then_some(())
        });
        bay.assert_alive();
        assert_eq!(bay.call("echo.echo", "here"), "here");
    }
}

#[test]
fn a_plugin_for_another_machine() {
    let bay = with_echo();
    let mut bytes = std::fs::read(fixture("counter")).unwrap();
    if cfg!(target_os = "linux") {
        // e_machine: s390x, which nobody runs this test on.
        bytes[18..20].copy_from_slice(&22u16.to_le_bytes());
    } else if cfg!(windows) {
        let header = u32::from_le_bytes(bytes[0x3c..0x40].try_into().unwrap()) as usize;
        // Machine: RISC-V 64, which Windows does not run on.
        bytes[header + 4..header + 6].copy_from_slice(&0x5064u16.to_le_bytes());
    } else {
        // cputype: PowerPC, which macOS left in 2009.
        bytes[4..8].copy_from_slice(&18u32.to_le_bytes());
    }
    let row = refused(&bay, &bytes);
    let reason = row.reason.unwrap().to_lowercase();
    assert!(reason.contains(std::env::consts::ARCH), "{reason}");
}

#[cfg(target_os = "linux")] // Where the format tells a program from a library in two bytes, and files may have holes.
#[test]
fn a_program_and_a_file_of_ten_gigabytes_are_refused_without_being_read_whole() {
    let bay = with_echo();
    let mut bytes = std::fs::read(fixture("counter")).unwrap();
    // e_type: a program that is mapped where it says.
    bytes[16..18].copy_from_slice(&2u16.to_le_bytes());
    let program = refused(&bay, &bytes);
    assert_says(&program, &["an executable", "cdylib"]);
    assert_eq!(program.code.as_deref(), Some("HB0211"));
    std::fs::remove_file(bay.file("bad")).unwrap();
    bay.wait_gone("bad");

    let sparse = bay.path("sparse");
    std::fs::File::create(&sparse).unwrap().set_len(10 << 30).unwrap();
    std::fs::rename(sparse, bay.file("bad")).unwrap();
    let large = refused_row(&bay);
    assert_says(&large, &["10737418240 bytes"]);
    assert_eq!(large.code.as_deref(), Some("HB0207"));
    let memory = hotbay_tests::peak_bytes(bay.pid()).unwrap();
    assert!(memory < 1 << 30, "{memory} bytes were resident");
}

#[cfg(target_os = "linux")] // ELF names what a library links to in a table of texts.
#[test]
fn a_library_that_links_to_one_that_is_missing_is_refused_with_its_name() {
    let bay = with_echo();
    let mut bytes = std::fs::read(fixture("counter")).unwrap();
    let (needed, missing) = (b"libgcc_s.so.1\0", b"libgcc_s.so.9\0");
    let at = bytes.windows(needed.len()).position(|window| window == needed).expect("it unwinds by libgcc_s");
    bytes[at..][..missing.len()].copy_from_slice(missing);
    bay.drop_bytes("bad", &bytes);
    let row = bay.wait_for("counter", |row| row.code.is_some());
    assert_says(&row, &["libgcc_s.so.9", "which it links to"]);
    assert_eq!(row.code.as_deref(), Some("HB0222"));
    bay.wait_version("echo", "1.0.0");
}

#[test]
fn no_plugin_but_a_library() {
    let bay = with_echo();
    let row = refused(&bay, &std::fs::read(fixture("no_plugin")).unwrap());
    assert_says(&row, &["HOTBAY_MANIFEST"]);
    assert_eq!(row.name, "bad");
}

#[test]
fn a_name_that_could_not_be_a_file_everywhere() {
    let bay = with_echo();
    for name in ["Counter", "../cout", "count.r", "count r"] {
        let bytes = edited(&fixture("counter"), r#""name":"counter""#, &format!(r#""name":"{name}""#));
        let row = refused(&bay, &bytes);
        assert_says(&row, &[name, "[a-z0-9_-]"]);
        std::fs::remove_file(bay.file("bad")).unwrap();
        hotbay_tests::eventually("the row is gone", || (bay.rows().len() == 1).then_some(()));
    }
    let row = refused(&bay, &edited(&fixture("base"), r#""name":"base""#, r#""name":"com1""#));
    assert_says(&row, &["com1"]);
}

#[test]
fn a_version_that_is_none() {
    let bay = with_echo();
    let row = refused(&bay, &edited(&fixture("counter"), r#""version":"1.0.0""#, r#""version":"1.0.x""#));
    assert_says(&row, &["1.0.x"]);
    assert_eq!(row.name, "counter");
}

#[test]
fn a_plugin_that_aborts_on_panic_would_take_the_host_along() {
    let bay = with_echo();
    let row = refused(&bay, &edited(&fixture("counter"), r#""panic":"unwind""#, r#""panic":"abort" "#));
    assert_says(&row, &["panic"]);
}

/// What a fixture is refused with in `list`, `add` and `why`.
fn rejected_fixture(name: &str) -> Row {
    let mut bay = Bay::with("[probe]\ndeadline_ms = 4000").up();
    bay.drop_in("echo", &example("echo"));
    bay.drop_in("bad", &fixture(name));
    let row = bay.wait_phase(name, Phase::Rejected);
    assert_eq!(row.version.as_deref(), Some("1.0.0"));
    bay.wait_version("echo", "1.0.0");
    bay.assert_alive();
    assert!(bay.ok(&["why", name]).contains(row.reason.as_deref().unwrap()));
    let add = bay.hotbay(&["add", fixture(name).to_str().unwrap()]);
    assert_eq!(add.code, 4, "{add:?}");
    row
}

/// How the end of a process is told that ended itself as Rust does.
const ABORTED: &str = if cfg!(windows) { "it crashed with code 0xc0000409 (abort" } else { "(SIGABRT)" };

#[test]
fn crashes_in_initializer() {
    let row = rejected_fixture("crashes_in_initializer");
    assert_says(&row, &["while mapping the library, ", ABORTED, "the host is untouched"]);
    assert_eq!(row.code.as_deref(), Some("HB0404"));
}

#[test]
fn exits_in_initializer() {
    let row = rejected_fixture("exits_in_initializer");
    assert_says(&row, &["while mapping the library, it ended the process with exit code 0"]);
    assert_eq!(row.code.as_deref(), Some("HB0404"));
}

#[test]
fn crashes_in_create() {
    let row = rejected_fixture("crashes_in_create");
    assert_says(&row, &["while creating the plugin, ", ABORTED, "the host is untouched"]);
    assert_eq!(row.code.as_deref(), Some("HB0404"));
}

#[test]
fn reads_null_in_create() {
    let row = rejected_fixture("reads_null_in_create");
    let how = if cfg!(windows) { "0xc0000005 (access violation)" } else { "(SIGSEGV)" };
    assert_says(&row, &["while creating the plugin, ", how, "the host is untouched"]);
    assert_eq!(row.code.as_deref(), Some("HB0404"));
}

#[test]
fn exits_in_create() {
    let row = rejected_fixture("exits_in_create");
    assert_says(&row, &["while creating the plugin, it ended the process with exit code 0"]);
    assert_eq!(row.code.as_deref(), Some("HB0404"));
}

#[test]
fn hangs_in_create() {
    let row = rejected_fixture("hangs_in_create");
    assert_says(&row, &["within 4000 ms: it hangs while creating the plugin"]);
    assert_eq!(row.code.as_deref(), Some("HB0405"));
}

#[test]
fn hangs_in_initializer() {
    let row = rejected_fixture("hangs_in_initializer");
    assert_says(&row, &["within 4000 ms: it hangs while mapping the library"]);
    assert_eq!(row.code.as_deref(), Some("HB0405"));
}

#[test]
fn leaves_a_process_in_create() {
    let mut bay = with_echo();
    bay.drop_in("bad", &fixture("leaves_a_process_in_create"));
    let row = bay.wait_phase("leaves_a_process_in_create", Phase::Rejected);
    // The probe ended in order, and was heard although the process holds its output open.
    assert_says(&row, &["come back: what it started runs on"]);
    let held = bay.path("held.by.a.process");
    hotbay_tests::eventually("what the plugin started is gone, and what it held is free", || {
        std::fs::File::open(&held).is_ok_and(|file| file.try_lock().is_ok()).then_some(())
    });
    let process = std::fs::read_to_string(held).unwrap();
    assert!(process.parse::<u32>().is_ok(), "no process was started: `{process}`");
    bay.wait_version("echo", "1.0.0");
    bay.assert_alive();
}

#[test]
fn panics_in_create() {
    assert_says(&rejected_fixture("panics_in_create"), &["no luck in create", "panics_in_create.rs"]);
}

#[test]
fn fails_in_create() {
    assert_says(&rejected_fixture("fails_in_create"), &["find the moon: it is cloudy"]);
}

#[test]
fn a_file_that_hangs_in_the_probe_holds_up_no_other() {
    // Longer than anything is waited for: it ends with the host.
    let bay = Bay::with("[probe]\ndeadline_ms = 600000").up();
    bay.drop_in("aaa", &fixture("hangs_in_create"));
    hotbay_tests::eventually("the probe runs", || (!bay.rows().is_empty()).then_some(()));
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let phases: BTreeSet<_> = bay.rows().iter().map(|row| row.phase.to_string()).collect();
    assert!(!phases.contains("rejected"), "the deadline came first");
}

#[test]
fn a_probe_that_hangs_ends_with_its_host_and_the_next_host_starts() {
    for fixture_name in ["hangs_in_create", "hangs_in_initializer"] {
        let mut bay = Bay::with("[probe]\ndeadline_ms = 600000").up();
        bay.drop_in("bad", &fixture(fixture_name));
        // Where processes cannot be looked at, the next host is all that is asked for.
        let probe = cfg!(target_os = "linux").then(|| {
            hotbay_tests::eventually("the probe maps the file", || {
                children(bay.pid())?.into_iter().find(|probe| is_mapped(*probe, "/memfd:bad-") == Some(true))
            })
        });
        bay.kill();
        if let Some(probe) = probe {
            hotbay_tests::eventually("the probe is gone", || {
                (is_mapped(probe, "/memfd:bad-") != Some(true)).then_some(())
            });
        }
        std::fs::remove_file(bay.file("bad")).unwrap();
        bay.drop_in("echo", &example("echo"));
        bay.start();
        bay.wait_version("echo", "1.0.0");
    }
}
