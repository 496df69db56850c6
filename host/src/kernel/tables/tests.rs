use std::path::Path;
use std::sync::Arc;

use hotbay_plugin_api::manifest::Manifest;
use serde_json::json;

use super::{Offered, Tables};
use crate::Config;
use crate::error::{Code, Trouble};

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("hotbay.toml")).unwrap()
}

/// A version whose table has these keys, all of them numbers up to 10, and no others.
fn version(keys: &[&str]) -> Manifest {
    let properties: serde_json::Map<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), json!({"type": "integer", "maximum": 10}))).collect();
    let schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    serde_json::from_value(json!({"name": "echo", "version": "1.0.0", "contract": "1.3", "config": schema}))
        .unwrap()
}

fn any() -> Manifest {
    serde_json::from_value(json!({"name": "echo", "version": "1.0.0", "contract": "1.3"})).unwrap()
}

#[test]
fn a_bad_table_is_told_with_its_line_its_key_and_what_was_wanted() {
    let tables = Tables::new(&config("[log]\n[plugin.echo]\n\ntimes = 11\n"));
    let trouble = tables.for_version("echo", &version(&["times"])).unwrap_err();
    assert_eq!(trouble.code, Code::ConfigMisfit);
    assert!(
        trouble.contains(
            "the configuration:4:1: `plugin.echo.times` is 11, and is to be a whole number up to 10"
        ),
        "{trouble}"
    );
    assert!(tables.for_version("echo", &any()).is_ok());
}

#[test]
fn what_a_plugin_refused_in_words_no_version_gets_until_the_file_is_mended() {
    let tables = Tables::new(&config("[plugin.echo]\ntimes = 1"));
    let first = tables.for_version("echo", &any()).unwrap();
    tables.serves("echo", &first);
    assert!(tables.pending("echo", &first).is_none());

    tables.want(&config("[plugin.echo]\ntimes = 2"), ["echo"].into_iter());
    let second = tables.pending("echo", &first).unwrap();
    tables.note("echo", &second, Offered::Refused(Trouble::new(Code::ConfigRefused, "no")));
    assert!(tables.pending("echo", &first).is_none());
    assert_eq!(tables.trouble("echo", &first).unwrap().code, Code::ConfigRefused);
    assert!(Arc::ptr_eq(&tables.for_version("echo", &any()).unwrap(), &first));

    // Taken back, it is as if nothing had been.
    tables.want(&config("[plugin.echo]\ntimes = 1"), ["echo"].into_iter());
    assert!(tables.pending("echo", &first).is_none() && tables.trouble("echo", &first).is_none());
}

#[test]
fn the_next_version_gets_what_only_its_own_schema_takes_and_the_one_that_is_gone_back_to_what_it_had() {
    let (older, newer) = (version(&["times"]), version(&["times", "rate"]));
    let tables = Tables::new(&config("[plugin.echo]\ntimes = 1"));
    let first = tables.for_version("echo", &older).unwrap();
    tables.serves("echo", &first);

    tables.want(&config("[plugin.echo]\ntimes = 1\nrate = 2"), ["echo"].into_iter());
    let second = tables.pending("echo", &first).unwrap();
    let misfit = tables.fits("echo", &second, &older).unwrap_err();
    assert!(misfit.contains("`plugin.echo.rate` is unknown"), "{misfit}");
    tables.note("echo", &second, Offered::Misfit(misfit));
    assert!(Arc::ptr_eq(&tables.for_version("echo", &older).unwrap(), &first));

    let next = tables.for_version("echo", &newer).unwrap();
    assert!(Arc::ptr_eq(&next, &second));
    tables.serves("echo", &next);
    assert!(tables.trouble("echo", &next).is_none());
    assert!(Arc::ptr_eq(&tables.for_version("echo", &older).unwrap(), &first));
}

#[test]
fn what_waits_for_a_reload_is_what_the_next_version_gets() {
    let tables = Tables::new(&config(""));
    let first = tables.for_version("echo", &any()).unwrap();
    tables.serves("echo", &first);
    tables.want(&config("[plugin.echo]\ntimes = 2"), ["echo"].into_iter());
    let second = tables.pending("echo", &first).unwrap();
    tables.note("echo", &second, Offered::AtReload(Trouble::new(Code::ConfigAtReload, "reload it")));
    let next = tables.for_version("echo", &any()).unwrap();
    assert_eq!(&*next.json, r#"{"times":2}"#);
}
