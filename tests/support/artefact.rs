//! The compiled host, plugins and fixtures.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `target/<profile>`, with everything in it that tests need.
///
/// Built here once per process, so that a bare `cargo test -p hotbay-tests` works; `HOTBAY_TEST_PREBUILT=1` says that
/// it has been built, as `cargo xtask test` does.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // This program is `target/<profile>/deps/<test>-<hash>`.
        let program = std::env::current_exe().unwrap();
        let folder = program.ancestors().nth(2).unwrap().to_owned();
        if std::env::var_os("HOTBAY_TEST_PREBUILT").is_none_or(|value| value != "1") {
            build(&folder);
        }
        folder
    })
}

fn build(folder: &Path) {
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let ran = cargo()
        .args(["build", "--quiet", "--workspace", "--lib", "--bins", "--examples"])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("failed to run cargo");
    assert!(
        ran.status.success(),
        "failed to build what is tested:\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// The cargo that runs the tests, without what it tells to the tests only.
#[must_use]
pub fn cargo() -> Command {
    // Under wine, `cargo xtask windows` names a program that has it run outside.
    let named = ["HOTBAY_TEST_CARGO", "CARGO"].into_iter().find_map(std::env::var_os);
    let mut cargo = Command::new(named.unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR") {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Where cargo lays what it builds in `target` for the system that these tests run on.
#[must_use]
pub fn debug_folder(target: &Path) -> PathBuf {
    let triple = std::env::var_os("CARGO_BUILD_TARGET").map(PathBuf::from).unwrap_or_default();
    target.join(triple).join("debug")
}

/// The `hotbay` binary.
#[must_use]
pub fn hotbay_binary() -> PathBuf {
    existing(folder().join(format!("hotbay{EXE_SUFFIX}")))
}

/// The program behind `cargo xtask soak`.
#[must_use]
pub fn soak_binary() -> PathBuf {
    existing(folder().join(format!("hotbay-soak{EXE_SUFFIX}")))
}

/// The program behind `cargo xtask race`.
#[must_use]
pub fn race_binary() -> PathBuf {
    existing(folder().join(format!("hotbay-race{EXE_SUFFIX}")))
}

/// The program behind `cargo xtask mutate`.
#[must_use]
pub fn mutate_binary() -> PathBuf {
    existing(folder().join(format!("hotbay-mutate{EXE_SUFFIX}")))
}

/// The names of all fixtures.
#[must_use]
pub fn fixtures() -> Vec<String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/Cargo.toml");
    let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    let examples = manifest["example"].as_array().unwrap();
    examples.iter().map(|example| example["name"].as_str().unwrap().to_owned()).collect()
}

/// The file name of a library: `libecho.so`, `echo.dll`.
#[must_use]
pub fn library_name(name: &str) -> String {
    format!("{DLL_PREFIX}{name}{DLL_SUFFIX}")
}

/// A compiled example plugin: `echo`, `echo_v2`, `logger`, `template`.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    existing(folder().join(library_name(name)))
}

/// A compiled fixture, by its name.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    existing(folder().join("examples").join(library_name(name)))
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// A plugin's bytes with something else in its manifest, of the same length: another version of the same code, or a
/// manifest that no compiler of ours would write.
#[must_use]
pub fn edited(plugin: &Path, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "the manifest's length stands before it");
    let mut bytes = std::fs::read(plugin).unwrap();
    let at = find(&bytes, b"HOTBAY-MANIFEST\0").expect("no manifest in the plugin") + 16;
    let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let json = &mut bytes[at + 4..][..len];
    let place = find(json, from.as_bytes()).unwrap_or_else(|| panic!("no {from} in the manifest"));
    json[place..][..to.len()].copy_from_slice(to.as_bytes());
    signed(bytes)
}

/// The same code under another version.
#[must_use]
pub fn with_version(plugin: &Path, from: &str, to: &str) -> Vec<u8> {
    edited(plugin, &format!(r#""version":"{from}""#), &format!(r#""version":"{to}""#))
}

/// A version of a plugin whose file says that it is never to be unmapped, as `-z nodelete` makes it. ELF only: PE and Mach-O
/// files cannot say so.
///
/// # Panics
/// The plugin is no ELF file of 64 bits with flags in its dynamic section, which is what linkers write.
#[must_use]
pub fn marked_nodelete(mut plugin: Vec<u8>) -> Vec<u8> {
    use object::elf::{DF_1_NODELETE, DT_FLAGS_1};
    mark(&mut plugin, DT_FLAGS_1, u8::try_from(DF_1_NODELETE.0).unwrap());
    plugin
}

/// Sets a flag of the lowest byte in an entry of the dynamic section.
fn mark(plugin: &mut [u8], tag: object::elf::DynamicTag, flag: u8) {
    use object::elf::FileHeader64;
    use object::read::elf::{Dyn as _, ElfFile};
    use object::{LittleEndian, Object as _, ObjectSection as _};

    let file = ElfFile::<FileHeader64<LittleEndian>>::parse(&*plugin).unwrap();
    let entries = file.elf_dynamic_table().unwrap().dynamics();
    let flags = entries.iter().position(|entry| entry.d_tag(LittleEndian) == tag).unwrap();
    let (start, _) = file.section_by_name(".dynamic").unwrap().file_range().unwrap();
    // Behind the tag of 8 bytes stands the value, its lowest byte first.
    let at = usize::try_from(start).unwrap() + flags * size_of_val(&entries[0]) + 8;
    plugin[at] |= flag;
}

/// A plugin that says of its thread-locals that they are reached at a fixed distance, as linkers do where they are (`DF_STATIC_TLS`).
/// ELF only.
///
/// # Panics
/// The plugin is no ELF file of 64 bits with flags in its dynamic section, which is what linkers write.
#[must_use]
pub fn marked_initial_exec(mut plugin: Vec<u8>) -> Vec<u8> {
    use object::elf::{DF_STATIC_TLS, DT_FLAGS};
    mark(&mut plugin, DT_FLAGS, u8::try_from(DF_STATIC_TLS.0).unwrap());
    plugin
}

/// A plugin that links to another library than `library`, whose name is as long. ELF only.
///
/// # Panics
/// The plugin does not link to it.
#[must_use]
pub fn linked_to(mut plugin: Vec<u8>, library: &str, other: &str) -> Vec<u8> {
    assert_eq!(library.len(), other.len(), "the texts stand one behind the other");
    let named = format!("\0{library}\0");
    let at = find(&plugin, named.as_bytes()).unwrap_or_else(|| panic!("it does not link to {library}"));
    plugin[at + 1..][..other.len()].copy_from_slice(other.as_bytes());
    plugin
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// On macOS a changed library has to be signed again, or the system ends whoever maps it.
fn signed(bytes: Vec<u8>) -> Vec<u8> {
    if !cfg!(target_os = "macos") {
        return bytes;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edited.dylib");
    std::fs::write(&file, bytes).unwrap();
    let ran = Command::new("codesign").args(["--force", "--sign", "-"]).arg(&file).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    std::fs::read(file).unwrap()
}
