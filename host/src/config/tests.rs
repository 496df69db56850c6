use std::path::Path;
use std::time::Duration;

use hotbay_plugin_api::Level;

use super::{
    Config, ConfigError, ExposedHome, Http, KeySource, Origin, ProbeMode, Service, Unsigned, WatchMode,
};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("hotbay.toml"))
}

#[track_caller]
fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(format!("{:?}", parse("").unwrap()), format!("{:?}", Config::default()));
}

#[test]
fn everything_can_be_set() {
    let config = parse(
        r#"
        plugins = "bay"
        home = "/var/lib/hotbay"
        [watch]
        mode = "poll"
        settle_ms = 1
        rescan_ms = 20
        grace_ms = 3
        [swap]
        callback_ms = 4
        drain_ms = 5
        [probation]
        window_ms = 0
        window_calls = 8
        min_calls = 7
        max_error_rate = 0.25
        [state]
        interval_ms = 60
        key_env = "KEY"
        [probe]
        mode = "always"
        deadline_ms = 70
        program = "/bin/probe"
        memory_mib = 64
        env = ["A", "B"]
        [log]
        level = "trace"
        [service.echo]
        lanes = 4
        mailbox = 9
        [service.slow]
        lanes = 2
        [plugin.echo]
        loud = true
        ratio = 0.5
        many = [1, "two", 1979-05-27]
        deep.er = "x"
        "#,
    )
    .unwrap();
    let ms = Duration::from_millis;
    assert_eq!(config.plugins, Path::new("bay"));
    let service = |lanes, mailbox| Service { lanes, mailbox, ..Service::default() };
    assert_eq!(config.service["echo"], service(4, 9));
    assert_eq!(config.service["slow"], service(2, Service::default().mailbox));
    assert_eq!(config.home, Path::new("/var/lib/hotbay"));
    assert_eq!(config.watch.mode, WatchMode::Poll);
    assert_eq!([config.watch.settle, config.watch.rescan, config.watch.grace], [ms(1), ms(20), ms(3)]);
    assert_eq!([config.swap.callback, config.swap.drain], [ms(4), ms(5)]);
    assert!(!config.probation.is_on());
    assert_eq!((config.probation.window_calls, config.probation.min_calls), (8, 7));
    assert_eq!(config.probation.max_error_rate, 0.25);
    assert_eq!(
        (config.state.interval, config.state.keys),
        (ms(60), vec![KeySource::Environment("KEY".into())])
    );
    assert_eq!((config.probe.mode, config.probe.deadline), (ProbeMode::Always, ms(70)));
    assert_eq!(config.probe.program.unwrap(), Path::new("/bin/probe"));
    assert_eq!(
        (config.probe.memory, &*config.probe.env),
        (Some(64 << 20), &["A".to_owned(), "B".to_owned()][..])
    );
    assert_eq!(config.log.level, Level::Trace);
    let echo = serde_json::json!({
        "loud": true, "ratio": 0.5, "many": [1, "two", "1979-05-27"], "deep": { "er": "x" }
    });
    assert_eq!(config.plugin["echo"], echo);
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "plugins = \"p\"\n[state]\nkey_file = \"k\"";
    let config = Config::parse(text, Path::new("/etc/hotbay/hotbay.toml")).unwrap();
    assert_eq!(config.plugins, Path::new("/etc/hotbay/p"));
    assert_eq!(config.state.keys, [KeySource::File("/etc/hotbay/k".into())]);
    // What is not in the file is where the command runs.
    assert_eq!(config.home, Path::new(".hotbay"));
}

#[test]
fn an_unknown_key_is_shown_with_its_place_and_the_one_that_was_meant() {
    assert_eq!(
        refused("# été\n[watch]\n  debouce_ms = 100\n"),
        "failed to read the configuration: hotbay.toml:3:3: unknown key `debouce_ms`, did you mean `settle_ms`?"
    );
    assert!(refused("[wacth]\nmode = \"poll\"").ends_with("1:2: unknown key `wacth`, did you mean `watch`?"));
    assert!(refused("[watch]\nmode = \"pol\"").ends_with("2:8: unknown value `pol`, did you mean `poll`?"));
    assert!(
        refused("[log]\nlevel = \"shout\"").contains("2:9: unknown value `shout`; known are error, warn")
    );
}

#[test]
fn a_plugins_table_under_the_name_of_the_folder_is_put_right() {
    assert!(refused("[plugins.echo]\nloud = true").contains("1:2: a folder is no table"));
}

#[test]
fn what_is_no_toml_is_shown_with_its_place() {
    assert!(refused("plugins = \"p\"\nhome = \n").contains("hotbay.toml:2:"));
    assert!(refused("[swap]\ndrain_ms = \"5\"").contains("hotbay.toml:2:12: invalid type"));
    assert!(refused("[swap]\ndrain_ms = -5").contains("hotbay.toml:2:12: invalid value"));
}

#[test]
fn a_rate_or_a_count_that_cannot_be_meant_is_refused() {
    assert!(refused("[probation]\nmax_error_rate = 1.5").contains("2:18: 1.5 is out of range"));
    assert!(refused("[probation]\nmin_calls = 0").contains("2:13: 0 calls are out of range"));
}

#[test]
fn a_window_that_ends_before_anything_is_judged_is_refused() {
    for (text, place, told) in [
        ("[probation]\nmin_calls = 2000", ":2:13: ", "after 1000 calls, before there are the 2000 of"),
        ("[probation]\nwindow_calls = 5", ":2:16: ", "after 5 calls, before there are the 20 of"),
        (
            "[probation]\nmin_calls = 9\nwindow_calls = 8",
            ":2:13: ",
            "lower `min_calls`, or raise `window_calls`",
        ),
    ] {
        let problem = refused(text);
        assert!(problem.contains(place) && problem.contains(told), "{problem}");
    }
    assert_eq!(parse("[probation]\nmin_calls = 8\nwindow_calls = 8").unwrap().probation.min_calls, 8);
}

#[test]
fn a_time_that_cannot_be_meant_is_refused() {
    for key in [
        "watch]\nsettle",
        "watch]\nrescan",
        "watch]\ngrace",
        "swap]\ncallback",
        "swap]\ndrain",
        "state]\ninterval",
    ] {
        for absurd in [0, 3_600_001] {
            let problem = refused(&format!("[{key}_ms = {absurd}"));
            assert!(problem.contains(&format!("{absurd} ms is out of range: from")), "{problem}");
        }
    }
    assert!(refused("[probe]\ndeadline_ms = 0").contains(":2:15: 0 ms is out of range"));
    assert!(refused("[probe]\nmemory_mib = 63").contains(":2:14: 63 MiB is out of range"));
    assert_eq!(parse("[probe]\nmemory_mib = 0").unwrap().probe.memory, None);
    assert!(
        refused("[state]\nkey_env = \"K\"\n[probe]\nenv = [\"K\"]")
            .contains(":4:8: a probe is not told the key")
    );
}

#[test]
fn keys_come_from_a_file_then_a_credential_then_the_environment() {
    let config = parse("[state]\nkey_env = \"K\"\nkey_credential = \"c\"\nkey_file = \"k\"").unwrap();
    let [KeySource::File(_), KeySource::Credential(_), KeySource::Environment(_)] = &config.state.keys[..]
    else {
        panic!("{:?}", config.state.keys)
    };
    assert_eq!(parse("").unwrap().state.keys, [KeySource::Home]);
}

#[test]
fn at_least_the_newest_snapshot_is_kept() {
    assert_eq!(parse("[state]\nkeep = 1").unwrap().state.keep, 1);
    assert!(refused("[state]\nkeep = 0").contains("0 is out of range: from 1"));
}

#[test]
fn a_credential_is_named_and_not_a_path() {
    let config = parse("[state]\nkey_credential = \"hotbay-key\"").unwrap();
    assert_eq!(config.state.keys, [KeySource::Credential("hotbay-key".into())]);
    for name in ["../key", "a/b", "..", ""] {
        let problem = refused(&format!("[state]\nkey_credential = \"{name}\""));
        assert!(problem.contains(":2:18: no credential can be called"), "{problem}");
    }
}

#[test]
fn a_table_for_what_no_plugin_can_be_called_is_refused() {
    let problem = refused("[plugin.echo]\n[plugin.Echo]\n");
    assert!(problem.contains(":2:9: no plugin can be called `Echo`"), "{problem}");
    assert!(refused("[plugin]\necho = 1").contains(":2:8: invalid type"));
    assert!(refused("[plugin.echo]\nx = nan").contains("no number NaN"));
}

#[test]
fn a_file_that_is_named_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("x.toml");
    let error = Config::load(Some(&missing)).unwrap_err();
    assert!(matches!(&error, ConfigError::Read { path, .. } if *path == missing));

    std::fs::write(&missing, "[log]\nlevel = \"warn\"").unwrap();
    assert_eq!(Config::load(Some(&missing)).unwrap().log.level, Level::Warn);
}

#[test]
fn a_service_says_how_many_messages_wait_and_what_becomes_of_more() {
    let text = "[service.echo]\nmessages = 7\nmessage_bytes = 4096\nwhen_full = \"drop-oldest\"\nwhen_stopped = \"keep\"";
    let service = Config::parse(text, "hotbay.toml".as_ref()).unwrap().service_of("echo");
    assert_eq!(
        (service.messages, service.message_bytes, service.when_full, service.when_stopped),
        (7, 4096, crate::bus::WhenFull::DropOldest, crate::config::WhenStopped::Keep)
    );
    assert!(refused("[service.echo]\nmessages = 0").contains("out of range"));
    assert!(refused("[service.echo]\nwhen_full = \"explode\"").contains("drop-oldest"));
}

#[test]
fn lanes_and_mailboxes_out_of_range_are_refused_at_their_place() {
    assert!(refused("[service.echo]\nlanes = 0").contains("0 is out of range: from 1 to 256"));
    assert!(refused("[service.echo]\nmailbox = 2000000").contains("out of range: from 1 to 1000000"));
    assert!(refused("[service.\"No Name\"]\nlanes = 2").contains("no plugin can be called `No Name`"));
    assert!(refused("[service.echo]\nlane = 2").contains("lanes"));
}

#[test]
fn a_service_names_its_store_and_whom_it_may_ask() {
    let text = "[service.echo]\nstore = \"redis\"\nhttp.hosts = [\"a.example\", \"*.b.example:81\"]\nhttp.private = true";
    let config = parse(text).unwrap();
    let echo = config.service_of("echo");
    let hosts: Vec<String> = echo.http.hosts.iter().map(ToString::to_string).collect();
    assert_eq!((echo.store.as_str(), echo.http.private), ("redis", true));
    assert_eq!(hosts, ["a.example", "*.b.example:81"]);
    let other = config.service_of("other");
    assert_eq!(
        (other.store.as_str(), other.http),
        ("kv", Http::default()),
        "nobody, where nothing is written"
    );
    let error = refused("[service.echo]\nhttp.hosts = [\"https://a.example\"]");
    assert!(error.contains(":2:15: no host can be `https://a.example`"), "{error}");
    assert!(refused("[service.echo]\nstore = \"No\"").contains("no plugin can be called `No`"));
    assert!(refused("[service.echo]\nhttp.host = []").contains("hosts"));
}

#[test]
fn trust_names_keys_and_pins() {
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let (one, two) = ("ab".repeat(32), "cd".repeat(32));
    let config = parse(&format!(
        r#"
        [trust]
        unsigned = "warn"
        exposed_home = "allow"
        keys.all = "{KEY}"
        keys.some = {{ key = "{KEY}", services = ["echo"] }}
        pins.one = "{one}"
        pins.two = ["{one}", "{two}"]
        "#
    ));
    let trust = config.unwrap().trust;
    assert_eq!((trust.unsigned, trust.exposed_home), (Some(Unsigned::Warn), ExposedHome::Allow));
    assert!(trust.keys["all"].services.is_empty() && trust.keys["some"].services == ["echo"]);
    assert_eq!((trust.pins["one"].len(), &trust.pins["two"]), (1, &vec![one, two]));

    for (wrong, said) in [
        ("unsigned = 'never'", "unknown value"),
        ("key = 1", "unknown key `key`"),
        ("keys.a = 'RW'", "public key of minisign"),
        ("keys.a = 1", "write a key as"),
        ("keys.a = { services = ['b'] }", "write a key as"),
        ("pins.a = 'ab'", "64 hex digits"),
        ("pins.a = []", "64 hex digits"),
        ("pins.A = 'ab'", "no service can be called `A`"),
    ] {
        let error = refused(&format!("[trust]\n{wrong}"));
        assert!(error.contains(said) && error.contains(":2:"), "{wrong}: {error}");
    }
    for (wrong, said) in [("services = []", "for no service"), ("service = ['b']", "unknown key `service`")] {
        let error = refused(&format!("[trust]\nkeys.a = {{ key = '{KEY}', {wrong} }}"));
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn each_setting_of_the_documented_file_is_shown_as_it_stands_there() {
    let lines = include_str!("../config.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let lines = lines.skip_while(|line| !line.contains("```toml")).skip(1);
    // Keys and digests are cut short there.
    let text: String = lines
        .take_while(|line| !line.contains("```"))
        .filter(|line| !line.contains('…'))
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = parse(&text).unwrap();
    let shown = config.settings();
    let mut checked = 0;
    for (key, value) in config.source.values() {
        let setting = shown.iter().find(|setting| setting.key == *key);
        let setting = setting.unwrap_or_else(|| panic!("`{key}` is not shown"));
        assert_eq!((&setting.value, setting.origin), (value, Origin::File), "{key}");
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
    let defaults = Config::default().settings();
    assert!(defaults.iter().all(|setting| setting.origin == Origin::Default) && defaults.len() > 20);
}

#[test]
fn what_a_plugin_calls_a_secret_is_not_shown() {
    let config = parse("[plugin.mail]\nhost = \"a\"\n[plugin.mail.login]\nPassword = \"b\"\n").unwrap();
    let shown = serde_json::to_string(&config.settings()).unwrap();
    assert!(shown.contains("plugin.mail.host") && shown.contains("plugin.mail.login.Password"), "{shown}");
    assert!(!shown.contains("\"b\""), "{shown}");
}

#[test]
fn a_setting_is_found_by_its_line_and_what_is_not_there_by_the_table_around_it() {
    let config = parse("[log]\n\n[plugin.a]\nx = { y = [1,\n 2] }\n[plugin.b]\n").unwrap();
    for (key, place) in [
        ("plugin.a.x.y.1", "the configuration:5:2"),
        ("plugin.a.x.y", "the configuration:4:7"),
        ("plugin.a.z.w", "the configuration:3:9"),
        ("plugin.b", "the configuration:6:9"),
        ("swap.drain_ms", "the configuration"),
    ] {
        assert_eq!(config.source.place(key), place, "{key}");
    }
    let other = parse("[log]\nlevel = \"info\"\n[plugin.a]\nx = { y = [1, 2] }\n").unwrap();
    let changed: Vec<_> = config.source.changed(&other.source).into_iter().collect();
    assert_eq!(changed, ["log.level", "plugin.b"]);
}
