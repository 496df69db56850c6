//! What the README says of the unit of systemd, and the settings beside it, are what is shipped and what is understood.

use std::io::Write as _;
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

/// The words after `KEY=` in the unit, of all lines with that key.
fn values(key: &str) -> Vec<String> {
    let unit = shipped();
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn the_readme_names_the_unit_and_says_of_it_what_it_says() {
    let section = section();
    assert!(section.contains("](scripts/systemd/hotbay.service)"), "there is no link to it");
    assert_eq!(values("Type"), ["notify"]);
    // Each setting of systemd that is named there stands in the unit; `KEY=` alone is one that must not.
    let named = section.split('`').skip(1).step_by(2).filter(|word| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.split_once('=').is_some_and(|(key, _)| key.chars().all(char::is_alphabetic))
    });
    let named: Vec<&str> = named.collect();
    assert!(named.len() >= 4, "{named:?}");
    for setting in named {
        let (key, value) = setting.split_once('=').expect("a setting");
        let expected: &[&str] = if value.is_empty() { &[] } else { &[value] };
        assert_eq!(values(key), expected, "`{setting}`");
    }
}

#[test]
fn the_binary_takes_what_the_unit_starts_and_finds_the_settings_where_the_readme_installs_them() {
    let start = values("ExecStart");
    let [program, arguments @ ..] = start.as_slice() else { panic!("nothing is started") };
    let ["run", "--config", settings] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        panic!("{arguments:?}")
    };
    let shell = block("sh");
    assert!(shell.contains(&format!("hotbay.toml {settings}\n")), "{settings}");
    assert!(shell.contains(&format!("hotbay {program}\n")), "{program}");
    // The file is where this machine has none: what the binary says of that shows that it understood the rest.
    let absent = tempfile::tempdir().expect("a temporary folder can be made").path().join("hotbay.toml");
    let ran = run(Command::new(hotbay_binary()).args(["run", "--config"]).arg(&absent));
    assert!(ran.code != 0 && ran.stderr.contains("hotbay.toml"), "{ran:?}");
}

#[test]
fn the_settings_beside_the_unit_name_what_it_makes() {
    let config = Config::parse(&block("toml"), Path::new("/etc/hotbay/hotbay.toml")).expect("settings");
    // Below /var/lib, by systemd's rule.
    assert_eq!(values("StateDirectory"), ["hotbay", "hotbay/plugins"]);
    assert_eq!(config.plugins, Path::new("/var/lib/hotbay/plugins"));
    assert_eq!(config.home.parent(), Some(Path::new("/var/lib/hotbay")));
    let shell = block("sh");
    assert!(shell.contains(&format!("HOTBAY_HOME={} ", config.home.display())));
    let [KeySource::Credential(name)] = &config.state.keys[..] else { panic!("the key is a credential") };
    let [credential] = &values("LoadCredentialEncrypted")[..] else { panic!("there is one credential") };
    let (of_unit, file) = credential.split_once(':').expect("a name and a file");
    assert_eq!(of_unit, name);
    assert!(shell.contains(&format!("--name={name} - {file}\n")), "{file}");
}

/// On stderr past the harness, which keeps to itself what a test that passes prints: `.ci/run` repeats it at its end.
fn warn(what: &str) {
    let _ = writeln!(std::io::stderr(), "\nWARNING  NOT CHECKED: {what}");
}

#[test]
fn systemd_understands_the_unit_where_there_is_systemd() {
    let there =
        Command::new("systemd-analyze").arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !there {
        warn("the unit of systemd, since there is no systemd-analyze here to ask");
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
