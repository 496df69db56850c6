//! What the `Cargo.toml`s say.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::sources::{APART, is_foreign, none, root, texts};

/// Each package's manifest, by its folder; without those of workspaces apart.
fn packages() -> BTreeMap<String, Table> {
    let mut all = all_packages();
    all.retain(|folder, _| !APART.contains(&folder.as_str()));
    all
}

fn all_packages() -> BTreeMap<String, Table> {
    let manifests = texts().into_iter().filter_map(|source| {
        let folder = source.path.strip_suffix("/Cargo.toml")?.to_owned();
        Some((folder, source.text.parse().expect("a manifest is TOML")))
    });
    manifests.collect()
}

fn workspace() -> Table {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let manifest: Table = text.parse().expect("a manifest is TOML");
    manifest["workspace"].as_table().expect("the top is a workspace").clone()
}

/// All that a package depends on: for running, testing and building, on any system.
fn dependencies(package: &Table) -> BTreeMap<String, Value> {
    let here = ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| package.get(*kind));
    let mut all: BTreeMap<String, Value> = here.filter_map(Value::as_table).flat_map(Table::clone).collect();
    let targets = package.get("target").and_then(Value::as_table).into_iter().flatten();
    for (_, target) in targets {
        all.extend(target.as_table().map(dependencies).unwrap_or_default());
    }
    all
}

fn is_ours(name: &str) -> bool {
    name.starts_with("hotbay") || name == "xtask"
}

/// A dependency in its long form.
fn long(dependency: &Value) -> Table {
    match dependency {
        Value::String(version) => Table::from_iter([("version".to_owned(), Value::String(version.clone()))]),
        Value::Table(table) => table.clone(),
        other => panic!("no dependency: {other}"),
    }
}

#[test]
fn members_are_listed_by_name() {
    let members = workspace()["members"].as_array().expect("members").clone();
    let listed: BTreeSet<String> = members.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let there: BTreeSet<String> = packages().into_keys().collect();
    assert_eq!(
        listed, there,
        "the workspace lists its members by name: a pattern breaks when a stray folder lies in plugins/"
    );
}

#[test]
fn contract_and_storage_import_nothing_of_ours() {
    let packages = packages();
    let places = ["plugin-api", "state"].iter().flat_map(|folder| {
        let ours = dependencies(&packages[*folder]).into_keys().filter(|name| is_ours(name));
        ours.map(|name| format!("{folder} depends on {name}")).collect::<Vec<_>>()
    });
    none("the contract never depends on the host, and storage knows bytes and names", places.collect());
}

#[test]
fn a_plugin_needs_the_contract_and_nothing_else() {
    let plugins = packages().into_iter().filter(|(folder, _)| folder.starts_with("plugins/"));
    let places = plugins.flat_map(|(folder, package)| {
        let others = dependencies(&package).into_keys().filter(|name| name != "hotbay-plugin-api");
        others.map(|name| format!("{folder} depends on {name}")).collect::<Vec<_>>()
    });
    none("an example needs no dependency but hotbay-plugin-api", places.collect());
}

#[test]
fn versions_and_lints_stand_once_in_the_workspace() {
    // The contract inherits nothing, see below.
    let inheriting = packages().into_iter().filter(|(folder, _)| folder != "plugin-api");
    let places = inheriting.flat_map(|(folder, package)| {
        let own =
            dependencies(&package).into_iter().filter(|(_, value)| long(value).get("workspace").is_none());
        let mut places: Vec<String> =
            own.map(|(name, _)| format!("{folder}: {name} has a version of its own")).collect();
        if package.get("lints").and_then(|lints| lints.get("workspace")) != Some(&Value::Boolean(true)) {
            places.push(format!("{folder}: [lints] workspace = true is missing"));
        }
        places
    });
    none("versions and lints stand in the workspace's Cargo.toml", places.collect());
}

#[test]
fn the_contract_repeats_the_workspace_to_the_letter() {
    let (workspace, contract) = (workspace(), packages().remove("plugin-api").expect("plugin-api is there"));
    let shared = &workspace["dependencies"];
    for (name, value) in dependencies(&contract) {
        let mut value = long(&value);
        // A workspace has no such word.
        value.remove("optional");
        assert_eq!(value, long(&shared[&name]), "plugin-api and the workspace differ in `{name}`");
    }
    assert_eq!(contract["lints"], workspace["lints"], "plugin-api and the workspace differ in their lints");
    for key in ["version", "edition", "license", "publish"] {
        assert_eq!(
            contract["package"][key], workspace["package"][key],
            "plugin-api and the workspace differ in `{key}`"
        );
    }
    let inherited = contract["package"].as_table().into_iter().flatten();
    let inherited =
        inherited.filter(|(_, value)| value.get("workspace").is_some()).map(|(key, _)| key.clone());
    none(
        "`hotbay new` writes plugin-api into a plugin's vendor/, where there is no workspace to inherit from",
        inherited.collect(),
    );
}

#[test]
fn the_contract_asks_tracing_for_no_list_that_each_load_would_leave_behind() {
    let contract = packages().remove("plugin-api").expect("plugin-api is there");
    let tracing = long(&dependencies(&contract)["tracing"]);
    assert_eq!(
        tracing.get("default-features"),
        Some(&Value::Boolean(false)),
        "see plugin-api/src/logging.rs"
    );
    assert_eq!(tracing.get("features"), None, "see plugin-api/src/logging.rs");
}

#[test]
fn every_dependency_has_a_version_from_the_registry() {
    let shared = workspace()["dependencies"].as_table().expect("dependencies").clone();
    let wrong = shared.into_iter().filter(|(name, value)| {
        let value = long(value);
        let version = value.get("version").and_then(Value::as_str).unwrap_or("*");
        !is_ours(name) && (version.contains('*') || value.contains_key("git") || value.contains_key("path"))
    });
    none("a dependency is a version of a registry", wrong.map(|(name, _)| name).collect());
}

#[test]
fn workspaces_apart_are_locked_unpublished_and_from_the_registry() {
    let packages = all_packages();
    for folder in APART {
        let package = packages.get(*folder).unwrap_or_else(|| panic!("{folder} has no manifest"));
        assert!(package.contains_key("workspace"), "{folder} is to be a workspace of its own");
        assert!(root().join(folder).join("Cargo.lock").is_file(), "{folder}: its lock file is missing");
        assert_eq!(package["package"]["publish"], Value::Boolean(false), "{folder} is for nobody but us");
        let shared = workspace();
        for (name, value) in dependencies(package) {
            let (value, shared) = (long(&value), shared["dependencies"].get(&name).map(long));
            let (version, of_registry) = (value.get("version"), !value.contains_key("git"));
            assert!(
                is_ours(&name) || (of_registry && version.is_some()),
                "{folder}: `{name}` has no version"
            );
            // One version of a crate is enough to know.
            let same = shared.is_none_or(|shared| is_ours(&name) || shared.get("version") == version);
            assert!(same, "{folder} and the workspace differ in the version of `{name}`");
        }
    }
}

#[test]
fn the_top_shows_what_there_is_and_no_more() {
    let expected = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "host",
        "plugin-api",
        "plugins",
        "scripts",
        "state",
        "tests",
        // A developer's own, ignored by git.
        "target",
        "hotbay.toml",
    ];
    let entries = std::fs::read_dir(root()).expect("the top can be read").flatten();
    let ours = entries.filter(|entry| !is_foreign(&entry.path()));
    let names = ours.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let stray = names.filter(|name| !name.starts_with('.') && !expected.contains(&name.as_str()));
    none("settings of tools are dotfiles, so that the top shows what this is", stray.collect());
}

#[test]
fn faults_are_injected_into_tests_alone() {
    for crate_name in ["host", "state"] {
        let package = packages().remove(crate_name).expect("it is there");
        let features = package["features"].as_table().expect("features");
        let named = |feature: &str| -> Vec<String> {
            let listed = features.get(feature).and_then(Value::as_array).into_iter().flatten();
            listed.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        assert!(named("fault-injection").contains(&"fail/failpoints".to_owned()), "the feature is gone");
        let mut default = vec!["default".to_owned()];
        let mut at = 0;
        while let Some(feature) = default.get(at).cloned() {
            default.extend(named(&feature));
            at += 1;
        }
        let fail = |name: &String| name == "fault-injection" || name.contains("fail");
        none("no release has points that fail on demand", default.into_iter().filter(fail).collect());
    }
    let users = packages().into_iter().filter(|(folder, package)| {
        let of = |value: &Value| format!("{value}").contains("fault-injection");
        folder != "tests" && dependencies(package).values().any(of)
    });
    none("only the tests turn on `fault-injection`", users.map(|(folder, _)| folder).collect());
}
