//! Embeds what `hotbay new` writes: the template, the contract's sources, and the versions that they are built from.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The contract, whose sources and dependencies go along.
const CONTRACT: &str = "hotbay-plugin-api";

/// Optional dependencies that something else in this workspace turns on (loom does, the host itself, and example plugins) and a new plugin does
/// not: the lock file does not tell the two apart. `e2e: new` fails when one is missing here.
const NOT_OURS: [&str; 4] = ["once_cell", "rmp-serde", "tracing-attributes", "valuable"];

fn main() -> Result<(), Box<dyn Error>> {
    let host = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let workspace = host.parent().ok_or("the host is not in a workspace")?;
    let contract = workspace.join("plugin-api");
    let template = workspace.join("plugins/template/src/lib.rs");
    let lock = workspace.join("Cargo.lock");
    for path in [&host.join("build.rs"), &contract, &template, &lock] {
        println!("cargo::rerun-if-changed={}", path.display());
    }

    let mut files = Vec::new();
    for name in ["ABI.md", "Cargo.toml", "README.md", "build.rs"] {
        files.push(contract.join(name));
    }
    find_files(&contract.join("src"), &mut files)?;
    files.sort();

    let mut out = String::new();
    writeln!(out, "pub(super) const TEMPLATE: &str = include_str!({template:?});")?;
    writeln!(out, "pub(super) const CONTRACT: &[(&str, &[u8])] = &[")?;
    for file in &files {
        let parts: Vec<_> = file.strip_prefix(&contract)?.iter().map(|part| part.to_string_lossy()).collect();
        writeln!(out, "    ({:?}, include_bytes!({file:?})),", parts.join("/"))?;
    }
    writeln!(out, "];\npub(super) const LOCKED: &[(&str, &str)] = &[")?;
    for (name, entry) in locked(&fs::read_to_string(&lock)?)? {
        writeln!(out, "    ({name:?}, {entry:?}),")?;
    }
    writeln!(out, "];")?;
    fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("embedded.rs"), out)?;
    Ok(())
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// An entry of the lock file.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    /// Its lines up to the dependencies.
    head: &'a str,
    /// `name`, or `name version` where a name alone does not tell.
    dependencies: Vec<&'a str>,
}

/// The entries of `lock` that the contract needs, itself included, by name; in the order and spelling of cargo, which
/// with `--locked` takes no other.
fn locked(lock: &str) -> Result<Vec<(&str, String)>, Box<dyn Error>> {
    let mut packages: Vec<Package<'_>> = lock
        .split("[[package]]\n")
        .skip(1)
        .map(parse)
        .collect::<Option<_>>()
        .ok_or("Cargo.lock is not as cargo writes it")?;
    for package in &mut packages {
        package.dependencies.retain(|dependency| !NOT_OURS.contains(dependency));
    }
    let find = |dependency: &str| {
        let (name, version) = dependency.split_once(' ').unwrap_or((dependency, ""));
        let wanted = |package: &&Package<'_>| {
            package.name == name && (version.is_empty() || package.version == version)
        };
        packages.iter().find(wanted).ok_or_else(|| format!("{dependency} is missing in Cargo.lock"))
    };

    let mut needed = BTreeMap::new();
    let mut open = vec![find(CONTRACT)?];
    while let Some(package) = open.pop() {
        if needed.insert((package.name, package.version), package).is_none() {
            for dependency in &package.dependencies {
                open.push(find(dependency)?);
            }
        }
    }

    let versions = |name: &str| needed.keys().filter(|(other, _)| *other == name).count();
    // The lock file's own order, which is by name and then by version as a version, not as text.
    let mut entries = Vec::new();
    for package in packages.iter().filter(|package| needed.contains_key(&(package.name, package.version))) {
        let mut entry = format!("[[package]]\n{}", package.head);
        if !package.dependencies.is_empty() {
            entry.push_str("dependencies = [\n");
            for dependency in &package.dependencies {
                let found = find(dependency)?;
                match versions(found.name) {
                    1 => writeln!(entry, " \"{}\",", found.name)?,
                    _ => writeln!(entry, " \"{} {}\",", found.name, found.version)?,
                }
            }
            entry.push_str("]\n");
        }
        entries.push((package.name, entry));
    }
    Ok(entries)
}

fn parse(entry: &str) -> Option<Package<'_>> {
    let field = |key: &str| entry.lines().find_map(|line| line.strip_prefix(key)?.strip_suffix('"'));
    let (head, dependencies) = match entry.split_once("dependencies = [\n") {
        Some((head, rest)) => (head, rest.split_once(']')?.0),
        None => (entry.trim_end_matches('\n'), ""),
    };
    // Without dependencies the entry ends with its last field, and the empty line is cargo's between entries.
    let head = if dependencies.is_empty() { &entry[..head.len() + 1] } else { head };
    Some(Package {
        name: field("name = \"")?,
        version: field("version = \"")?,
        head,
        dependencies: dependencies.lines().map(|line| line.trim().trim_matches([',', '"'])).collect(),
    })
}
