//! The README's table of settings says what the host does.

use std::path::Path;

use hotbay::Config;

#[test]
fn each_setting_has_the_default_that_the_readme_names() {
    let text = crate::readme();
    let section =
        text.split("\n## ").find(|section| section.starts_with("Settings")).expect("there are settings");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut checked = 0;
    for (key, rest) in rows {
        let default = rest.split(" | ").next().unwrap_or_default().trim().trim_matches('`');
        if default.is_empty() || default.starts_with('|') {
            continue;
        }
        let config = Config::parse(&format!("{key} = {default}"), Path::new("hotbay.toml"));
        let config =
            config.unwrap_or_else(|error| panic!("README.md names `{key}`, which is no setting: {error}"));
        let (named, real) = (format!("{config:?}"), format!("{:?}", Config::default()));
        assert_eq!(named, real, "README.md gives `{key}` the default {default}");
        checked += 1;
    }
    assert!(checked > 8, "the table was not found");
}
