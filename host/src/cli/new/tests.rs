use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::Path;

use super::embedded::{CONTRACT, LOCKED};
use super::files::{Api, source};
use super::lock::lock;
use super::name::Name;
use super::{advice, quoted, write};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn names_that_cannot_be_a_crate_are_refused() {
    for bad in
        ["", "Greeter", "1st", "_x", "-x", "fn", "test", "std", "proc-macro", "serde", "serde-json", "con"]
    {
        assert!(Name::new(bad).is_err(), "{bad}");
    }
    for good in ["a", "greeter", "echo-v2", "my_service9", "template", "tests"] {
        assert!(Name::new(good).is_ok(), "{good}");
    }
}

#[test]
fn types_are_in_title_case_and_hide_no_other() {
    for (service, type_name) in
        [("greeter", "Greeter"), ("my-own_2nd", "MyOwn2nd"), ("a-", "A"), ("template", "Template")]
    {
        assert_eq!(name(service).type_name(), type_name);
    }
    for (service, type_name) in
        [("state", "StatePlugin"), ("plugin", "PluginPlugin"), ("option", "OptionPlugin")]
    {
        assert_eq!(name(service).type_name(), type_name);
    }
}

#[test]
fn the_source_is_the_template_under_another_name() {
    let source = source(&name("my-bay"));
    assert!(source.contains("export_plugin!(MyBay: Stateful {\n    name: \"my-bay\""));
    assert!(source.contains("impl Plugin for MyBay"));
    assert!(!source.to_lowercase().contains("template"));
}

#[test]
fn the_lock_file_has_what_the_contract_needs_and_no_more() {
    let text = lock(&name("greeter"));
    let parsed: toml::Table = text.parse().unwrap();
    let packages = parsed["package"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(names.contains(&"greeter") && names.contains(&"abi_stable") && !names.contains(&"tokio"));

    // Every dependency is there, and everything there is a dependency.
    let mut wanted = BTreeSet::from(["greeter"]);
    for package in packages {
        let dependencies = package.get("dependencies").and_then(|found| found.as_array());
        for dependency in dependencies.into_iter().flatten() {
            let (name, version) = {
                let text = dependency.as_str().unwrap();
                text.split_once(' ').map_or((text, None), |(name, version)| (name, Some(version)))
            };
            wanted.insert(name);
            let found = packages.iter().filter(|package| {
                package["name"].as_str() == Some(name)
                    && version.is_none_or(|version| package["version"].as_str() == Some(version))
            });
            assert_eq!(found.count(), 1, "{dependency} is not told apart as cargo does it");
        }
    }
    assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn the_crate_is_written_whole() {
    let parent = tempfile::tempdir().unwrap();
    write(parent.path(), &name("greeter"), &Api::Vendored).unwrap();
    let root = parent.path().join("greeter");
    for file in ["Cargo.toml", "Cargo.lock", "src/lib.rs", ".gitignore", "README.md"] {
        assert!(root.join(file).is_file(), "{file}");
    }
    for (path, bytes) in CONTRACT {
        assert_eq!(fs::read(root.join("vendor/hotbay-plugin-api").join(path)).unwrap(), *bytes);
    }
    assert!(CONTRACT.iter().any(|(path, _)| *path == "src/abi/mod.rs"));
    assert!(LOCKED.iter().any(|(name, _)| *name == "hotbay-plugin-api"));

    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["package"]["name"].as_str(), Some("greeter"));
    let path = manifest["dependencies"]["hotbay-plugin-api"]["path"].as_str().unwrap();
    assert!(root.join(path).join("Cargo.toml").is_file());
}

#[test]
fn the_advice_can_be_followed_from_where_one_stands() {
    let library = |target: Option<&str>| {
        let advice = advice(&name("my-bay"), target.map(AsRef::as_ref));
        assert!(!advice.contains("cd "), "{advice}");
        assert!(advice.contains("cargo build --manifest-path my-bay/Cargo.toml\n"), "{advice}");
        let add = advice.lines().find_map(|line| line.trim().strip_prefix("hotbay add ")).unwrap();
        add.split("  ").next().unwrap().replace('\\', "/")
    };
    let file = format!("debug/{DLL_PREFIX}my_bay{DLL_SUFFIX}");
    assert_eq!(library(None), format!("my-bay/target/{file}"));
    assert_eq!(library(Some("")), format!("my-bay/target/{file}"));
    assert_eq!(library(Some("/tmp/my target")), quoted(&format!("/tmp/my target/{file}")));
}

#[test]
fn what_exists_is_not_touched() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("greeter");
    fs::write(&root, "mine").unwrap();
    let error = write(parent.path(), &name("greeter"), &Api::Vendored).unwrap_err();
    assert_eq!(error.downcast_ref::<Failure>().unwrap().exit, Exit::Refused);
    assert_eq!(fs::read(&root).unwrap(), b"mine");
}

#[test]
fn the_contract_may_come_from_elsewhere() {
    assert_eq!(Api::of(None), Ok(Api::Vendored));
    assert_eq!(Api::of(Some("0.1")), Ok(Api::Version("0.1".to_owned())));
    assert_eq!(Api::of(Some("no/such/folder")).unwrap_err().exit, Exit::NotFound);

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    let api = Api::of(folder.path().to_str()).unwrap();
    assert!(matches!(&api, Api::Path(path) if Path::new(path).is_absolute()));

    let parent = tempfile::tempdir().unwrap();
    write(parent.path(), &name("a"), &api).unwrap();
    write(parent.path(), &name("b"), &Api::Version("0.1".to_owned())).unwrap();
    assert!(!parent.path().join("a/vendor").exists());
    assert!(parent.path().join("a/Cargo.lock").exists() && !parent.path().join("b/Cargo.lock").exists());
    assert!(
        fs::read_to_string(parent.path().join("b/Cargo.toml"))
            .unwrap()
            .contains("hotbay-plugin-api = \"0.1\"")
    );
}
