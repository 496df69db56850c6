use super::*;

/// A folder, and the head of a library of this system.
fn folder() -> (tempfile::TempDir, Vec<u8>) {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    (tempfile::tempdir().unwrap(), program[..64].to_vec())
}

fn place(asked: &Asked, name: &str) -> Place {
    asked.place(name, &LazyCell::new(|| asked.folders()))
}

#[test]
fn what_the_host_links_to_is_there() {
    let (_, head) = folder();
    let asked = Asked { head, ..Asked::default() };
    let c = if cfg!(target_env = "musl") { "libc.so" } else { "libc.so.6" };
    assert_eq!(place(&asked, c), Place::Host);
}

#[test]
fn a_library_is_found_along_the_run_path_and_passed_over_where_it_is_of_another_processor() {
    let (top, head) = folder();
    let [first, second] = ["first", "second"].map(|name| top.path().join(name));
    let mut foreign = head.clone();
    // e_machine: none.
    foreign[18..20].fill(0);
    for (folder, bytes) in [(&first, &foreign), (&second, &head)] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("libx-of-a-test.so.1"), bytes).unwrap();
    }
    let run_path = format!("{}:{}", first.display(), second.display());
    let found = Place::At(second.join("libx-of-a-test.so.1"));
    for old in [false, true] {
        let [run_path, old_run_path] = [!old, old].map(|this| this.then(|| run_path.clone()));
        let asked = Asked { head: head.clone(), run_path, old_run_path, ..Asked::default() };
        assert_eq!(place(&asked, "libx-of-a-test.so.1"), found);
        assert_eq!(place(&asked, "libx-of-a-test.so.2"), Place::Missing);
    }
}

#[test]
fn a_library_in_a_folder_for_newer_processors_is_found() {
    let (top, head) = folder();
    let newer = top.path().join("glibc-hwcaps/x86-64-v3");
    std::fs::create_dir_all(&newer).unwrap();
    std::fs::write(newer.join("liby-of-a-test.so"), &head).unwrap();
    let run_path = Some(top.path().display().to_string());
    let asked = Asked { head, run_path, ..Asked::default() };
    assert_eq!(place(&asked, "liby-of-a-test.so"), Place::At(newer.join("liby-of-a-test.so")));
}

#[test]
fn a_library_beside_the_file_is_not_beside_what_is_mapped() {
    let (top, head) = folder();
    std::fs::write(top.path().join("libz-of-a-test.so"), &head).unwrap();
    for run_path in ["$ORIGIN", "/nowhere:${ORIGIN}/lib"] {
        let asked = Asked { head: head.clone(), run_path: Some(run_path.to_owned()), ..Asked::default() };
        assert_eq!(place(&asked, "libz-of-a-test.so"), Place::MissingBeside);
    }
    let path = top.path().join("libz-of-a-test.so");
    let asked = Asked { head, ..Asked::default() };
    assert_eq!(place(&asked, path.to_str().unwrap()), Place::At(path));
    assert_eq!(place(&asked, "$ORIGIN/libz-of-a-test.so"), Place::MissingBeside);
}

#[test]
fn words_of_the_loader_are_expanded_where_they_are_known() {
    let origin = Some(Path::new("/opt/bin"));
    assert_eq!(expanded("$ORIGIN/../a", origin).all, [Path::new("/opt/bin/../a")]);
    let libs = expanded("/x/${LIB}", None).all;
    assert!(libs.contains(&"/x/lib64".into()) && libs.contains(&"/x/lib".into()), "{libs:?}");
}

#[test]
fn what_is_no_file_is_not_opened_and_so_not_waited_for() {
    let (top, head) = folder();
    let pipe = top.path().join("libp-of-a-test.so");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let asked = Asked { head, run_path: Some(top.path().display().to_string()), ..Asked::default() };
    assert_eq!(place(&asked, "libp-of-a-test.so"), Place::Missing);
    assert_eq!(place(&asked, pipe.to_str().unwrap()), Place::Missing);
}
