//! The README's unit of systemd, and the settings beside it, are what is shipped and what is understood.

use std::path::Path;
use std::process::Command;

use hotbay::Config;
use hotbay::config::KeySource;
use hotbay_tests::{hotbay_binary, run};

fn section() -> String {
    let text = crate::readme();
    let mut sections = text.split("\n## ");
    sections.find(|section| section.starts_with("As a service of systemd")).expect("a section").to_owned()
}

/// The text of the one block in this language.
fn block(language: &str) -> String {
    let section = section();
    let (_, rest) = section.split_once(&format!("\n```{language}\n")).expect("a block");
    format!("{}\n", rest.split_once("\n```\n").expect("its end").0)
}

fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/systemd/hotbay.service");
    std::fs::read_to_string(path).expect("the unit can be read")
}

#[test]
fn the_unit_in_the_readme_is_the_one_that_is_shipped() {
    assert_eq!(block("ini"), shipped());
}

#[test]
fn the_settings_beside_the_unit_name_what_it_makes() {
    let config = Config::parse(&block("toml"), Path::new("/etc/hotbay/hotbay.toml")).expect("settings");
    let unit = shipped();
    assert!(unit.contains("\nStateDirectory=hotbay hotbay/plugins\n"));
    assert_eq!(config.plugins, Path::new("/var/lib/hotbay/plugins"));
    assert_eq!(config.home.parent(), Some(Path::new("/var/lib/hotbay")));
    let KeySource::Credential(name) = config.state.key else { panic!("the key is a credential") };
    assert!(unit.contains(&format!("\nLoadCredentialEncrypted={name}:")), "{name}");
}

#[test]
fn systemd_understands_the_unit_where_there_is_systemd() {
    let there =
        Command::new("systemd-analyze").arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !there {
        eprintln!("skipped: there is no systemd-analyze here to ask");
        return;
    }
    // It looks whether the program is there.
    let program = hotbay_binary();
    let unit = shipped().replace("/usr/local/bin/hotbay", &program.display().to_string());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("hotbay.service");
    std::fs::write(&path, unit).expect("the unit can be written");
    let ran = run(Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&path));
    // What it says of other units of this machine is none of our business.
    let ours: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("hotbay")).collect();
    assert!(ours.is_empty() && ran.code == 0, "{ran:?}");
}
