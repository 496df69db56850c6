//! The README's table of systems names the commands that see to them.

use std::collections::BTreeSet;
use std::path::Path;

/// The commands of `cargo xtask` that check or test.
const CHECKS: [&str; 3] = ["check-targets", "test", "windows"];

#[test]
fn the_table_of_systems_names_each_command_that_checks_one() {
    let text = crate::readme();
    let mut sections = text.split("\n## ");
    let section = sections.find(|section| section.starts_with("Where it runs")).expect("a section");
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let named: BTreeSet<&str> = rows
        .flat_map(|row| row.split("`cargo xtask ").skip(1))
        .filter_map(|rest| rest.split(['`', ' ']).next())
        .collect();
    assert_eq!(named, BTreeSet::from(CHECKS));
}

#[test]
fn the_commands_in_the_table_of_systems_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/src/main.rs");
    let source = std::fs::read_to_string(path).expect("the commands can be read");
    for command in CHECKS {
        // As clap names them: `CheckTargets` is `check-targets`.
        let variant: String = command.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        assert!(source.contains(&format!("    {variant}(")), "there is no `cargo xtask {command}`");
    }
}
