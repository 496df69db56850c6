//! `hotbay.toml` while the host runs, and the log: what is edited is taken whole or not at all, and who edits it is told.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use hotbay::config::{Origin, Setting};
use hotbay::kernel::lines::Line;
use hotbay::kernel::view::{Event, Phase};
use hotbay_tests::{Bay, eventually, example, fixture, run};
use serde_json::json;

/// No deadline and no snapshot comes in between, but for those of the test.
const CALM: &str = "[swap]\ncallback_ms = 1200\ndrain_ms = 1200\n[state]\ninterval_ms = 600000\n";

/// Writes the settings as an editor does: beside, and then over.
fn edit(bay: &Bay, change: impl FnOnce(&mut toml::Table)) {
    let text = std::fs::read_to_string(bay.path("hotbay.toml")).unwrap();
    let mut all: toml::Table = text.parse().unwrap();
    change(&mut all);
    write(bay, &all.to_string());
}

fn write(bay: &Bay, text: &str) {
    std::fs::write(bay.path("edited"), text).unwrap();
    hotbay_tests::rename(&bay.path("edited"), &bay.path("hotbay.toml"));
}

pub(super) fn set(bay: &Bay, table: &[&str], key: &str, value: impl Into<toml::Value>) {
    edit(bay, |all| {
        let mut at = all;
        for name in table {
            let inner = at.entry(*name).or_insert_with(|| toml::Table::new().into());
            at = inner.as_table_mut().unwrap();
        }
        at.insert(key.to_owned(), value.into());
    });
}

#[track_caller]
fn wait_event(bay: &Bay, kind: &str, word: &str) -> Event {
    eventually(&format!("an event `{kind}` with `{word}`"), || {
        let events = bay.ok(&["events", "-n", "1000", "-o", "json"]);
        let mut events = events.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
        events.find(|event| event.kind == kind && event.text.contains(word))
    })
}

fn count(bay: &Bay, kind: &str) -> usize {
    let events = bay.ok(&["events", "-n", "1000", "-o", "json"]);
    events.lines().filter(|line| serde_json::from_str::<Event>(line).unwrap().kind == kind).count()
}

#[track_caller]
fn in_force(bay: &Bay, key: &str) -> Setting {
    let all: Vec<Setting> = serde_json::from_str(&bay.ok(&["config", "show", "-o", "json"])).unwrap();
    all.into_iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("no setting `{key}`"))
}

/// `hotbay logs -f`, a line of JSON for each line of the log.
struct Follower {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Follower {
    fn start(bay: &Bay, arguments: &[&str]) -> Self {
        let mut command = bay.command();
        command.args(["logs", "-f", "-o", "json"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next(&mut self) -> Line {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    fn wait_for(&mut self, text: &str) -> Line {
        loop {
            let line = self.next();
            if line.text == text {
                return line;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_table_that_does_not_fit_is_told_before_the_plugin_runs_and_mended_it_is_tried_by_itself() {
    let bay = Bay::with("[plugin.logger]\nlevel = \"loud\"").up();
    bay.drop_in("logger", &example("logger"));
    let row = bay.wait_phase("logger", Phase::Rejected);
    assert_eq!(row.code.as_deref(), Some("HB0640"));
    let reason = row.reason.unwrap();
    for word in [
        "hotbay.toml:",
        "`plugin.logger.level` is \"loud\"",
        "one of \"error\", \"warn\", \"info\", \"debug\"",
        "mend it",
    ] {
        assert!(reason.contains(word), "{word}: {reason}");
    }
    set(&bay, &["plugin", "logger"], "level", "warn");
    bay.wait_version("logger", "1.0.0");
}

#[test]
fn a_changed_table_is_taken_by_the_plugin_while_it_runs() {
    let bay = Bay::started();
    bay.drop_in("logger", &example("logger"));
    bay.wait_version("logger", "1.0.0");
    set(&bay, &["plugin", "logger"], "level", "error");
    wait_event(&bay, "configured", "it took its changed table");
    assert_eq!(bay.row("logger").unwrap().generation, Some(1));
    bay.call("logger.write", "loud and clear");
    eventually("the line at its new level", || {
        bay.log().lines().any(|line| line.contains("loud and clear") && line.contains("ERROR")).then_some(())
    });
    let setting = in_force(&bay, "plugin.logger.level");
    assert_eq!((setting.value, setting.origin), (json!("error"), Origin::File));
    assert!(setting.place.unwrap().contains("hotbay.toml:"));
}

#[test]
fn a_refused_change_keeps_the_old_table_for_the_next_version_too_until_it_is_mended() {
    let bay = Bay::with(CALM).up();
    bay.drop_in("fails", &fixture("fails"));
    bay.wait_version("fails", "1.0.0");
    set(&bay, &["plugin", "fails"], "old", "on_config");
    wait_event(&bay, "config_refused", "failed to find any luck in on_config");
    let row = bay.wait_for("fails", |row| row.reason.is_some());
    assert_eq!((row.phase, row.code.as_deref()), (Phase::Running, Some("HB0641")));
    assert!(bay.ok(&["why", "fails"]).contains("the table that it had is in force"));
    let setting = in_force(&bay, "plugin.fails.old");
    assert_eq!((setting.value, setting.waits), (json!(null), Some(json!("on_config"))));

    // In `create` the next version would fail by the refused table.
    set(&bay, &["plugin", "fails"], "new", "create");
    bay.drop_in("fails", &fixture("fails_next"));
    bay.wait_version("fails", "1.1.0");

    edit(&bay, |all| drop(all.remove("plugin")));
    bay.wait_for("fails", |row| row.reason.is_none() && row.phase == Phase::Running);
    assert_eq!(bay.call("fails.add", ""), "1");
}

#[test]
fn a_change_that_the_plugin_hangs_or_panics_over_is_given_up_and_it_serves_on() {
    for (name, word) in [("hangs", "on_config did not end within 1200 ms"), ("panics", "on_config panicked")]
    {
        let mut bay = Bay::with(CALM).up();
        bay.drop_in(name, &fixture(name));
        bay.wait_version(name, "1.0.0");
        set(&bay, &["plugin", name], "old", "on_config");
        wait_event(&bay, "config_refused", word);
        assert_eq!(bay.call(&format!("{name}.add"), ""), "1");
        bay.assert_alive();
    }
}

#[test]
fn a_plugin_that_takes_none_while_it_runs_gets_the_new_table_by_a_reload() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    set(&bay, &["plugin", "echo"], "anything", 7);
    let event = wait_event(&bay, "configured", "`hotbay reload echo`");
    assert_eq!(event.code.as_deref(), Some("HB0642"));
    bay.wait_for("echo", |row| row.reason.is_some());
    bay.ok(&["reload", "echo"]);
    bay.wait_for("echo", |row| row.reason.is_none() && row.generation == Some(2));
}

#[test]
fn a_broken_file_keeps_everything_as_it_was_and_is_told_once() {
    let bay = Bay::with("[plugin.logger]\nlevel = \"warn\"").up();
    bay.drop_in("logger", &example("logger"));
    bay.wait_version("logger", "1.0.0");
    let good = std::fs::read_to_string(bay.path("hotbay.toml")).unwrap();
    write(&bay, &format!("{good}\n[wach]\n"));
    let event = wait_event(&bay, "config_refused", "unknown key `wach`, did you mean `watch`?");
    assert_eq!(event.code.as_deref(), Some("HB0103"));
    let why = bay.ok(&["why", "logger"]);
    assert!(why.contains("wach") && why.contains("hotbay config check"), "{why}");
    assert_eq!(in_force(&bay, "plugin.logger.level").value, json!("warn"));
    // Looked at once more, and still told once.
    std::fs::write(bay.path("hotbay.toml"), format!("{good}\n[wach]\n")).unwrap();
    set_and_wait_rescan(&bay);
    assert_eq!(count(&bay, "config_refused"), 1);
    write(&bay, &good);
    wait_event(&bay, "configured", "mended");
    assert!(!bay.ok(&["why", "logger"]).contains("wach"));
}

/// Returns when the host has looked at its files again: it took a file that was dropped in.
fn set_and_wait_rescan(bay: &Bay) {
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
}

#[test]
fn what_needs_a_restart_is_named_and_stays_as_it_was() {
    let bay = Bay::started();
    set(&bay, &["swap"], "drain_ms", 1234);
    let event = wait_event(&bay, "configured", "restart the host for swap.drain_ms");
    assert_eq!(event.code.as_deref(), Some("HB0140"));
    let setting = in_force(&bay, "swap.drain_ms");
    assert_eq!((setting.value, setting.waits), (json!(5000), Some(json!(1234))));
    let shown = bay.ok(&["config", "show", "--origin"]);
    assert!(shown.contains("# command line") && shown.contains("# default"), "{shown}");
}

#[test]
fn the_level_of_a_plugins_log_is_changed_while_it_runs_by_the_file_and_by_a_command() {
    let bay = Bay::started();
    bay.drop_in("logger", &example("logger"));
    bay.wait_version("logger", "1.0.0");
    let mut follower = Follower::start(&bay, &["logger", "-n", "0"]);
    bay.call("logger.debug", "not wanted");
    assert!(bay.ok(&["log-level", "logger", "debug"]).contains("logger logs debug"));
    let say = |text: &str| {
        let text = text.to_owned();
        eventually("a line that is wanted", || {
            bay.call("logger.debug", &text);
            bay.log().contains(&text).then_some(())
        });
    };
    say("wanted by the command");
    let line = follower.wait_for("wanted by the command");
    assert_eq!(
        (line.level.as_str(), line.service.as_deref(), line.generation),
        ("debug", Some("logger"), Some(1))
    );
    assert_eq!(in_force(&bay, "log.plugins.logger").origin, Origin::Command);

    bay.ok(&["log-level", "logger", "default"]);
    bay.call("logger.debug", "not wanted");
    set(&bay, &["log", "plugins"], "logger", "debug");
    wait_event(&bay, "configured", "log.plugins.logger");
    say("wanted by the file");
    assert!(!bay.log().contains("not wanted"), "{}", bay.log());
    let ran = bay.hotbay(&["log-level", "nobody", "debug"]);
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn logs_show_the_last_lines_with_what_stands_beside_them() {
    let bay = Bay::with("[log]\nlevel = \"debug\"").up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.handle", "12345");
    let line = bay.ok(&["logs", "echo", "-n", "1000", "-o", "json"]);
    let mut lines = line.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    let line = lines.find(|line| line.text == "handled").unwrap();
    assert_eq!((line.fields["bytes"].clone(), line.target.as_str()), (json!(5), "echo"));
    // The host's own are there as well, unless one service is asked for.
    assert!(bay.ok(&["logs"]).contains("started:"));
    let ran = bay.hotbay(&["logs", "nobody"]);
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn a_line_is_shown_with_the_span_that_it_was_said_within() {
    let bay = Bay::started();
    bay.drop_in("given", &fixture("given"));
    bay.wait_version("given", "1.0.0");
    bay.call("given.say", "");
    let line = bay.ok(&["logs", "given", "-n", "1000", "-o", "json"]);
    let mut lines = line.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    let line = lines.find(|line| line.text == "said within a span").unwrap();
    assert_eq!((line.spans[0].name.as_str(), &line.spans[0].fields["number"]), ("order", &json!(7)));
    let shown = bay.ok(&["logs", "given", "-n", "1000"]);
    assert!(
        shown.lines().any(|line| line.contains("order") && line.contains("said within a span")),
        "{shown}"
    );
}

#[test]
fn the_level_of_the_host_itself_is_changed_by_the_file() {
    let bay = Bay::with("[log]\nlevel = \"error\"").up();
    set(&bay, &["log"], "level", "debug");
    wait_event(&bay, "configured", "log.level");
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    eventually("a debug line of the host", || bay.log().contains("verified:").then_some(()));
}

#[test]
fn config_check_tells_what_is_wrong_with_a_file_without_a_host() {
    let bay = Bay::new();
    let check = |text: &str| {
        std::fs::write(bay.path("hotbay.toml"), text).unwrap();
        let mut command = bay.command();
        run(command.current_dir(bay.path("")).args(["config", "check"]))
    };
    let ran = check("[log]\nlevel = \"info\"\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = check("[log]\nlevl = \"info\"\n");
    assert!(ran.code == 2 && ran.stderr.contains("hotbay.toml:2:1: unknown key `levl`"), "{ran:?}");

    bay.drop_in("logger", &example("logger"));
    bay.drop_in("echo", &example("echo"));
    let ran = check("[plugin.logger]\nlevel = \"warn\"\n[plugin.nobody]\n");
    assert!(ran.code == 0 && ran.stdout.contains("plugin.logger  1.0.0  fits"), "{ran:?}");
    assert!(ran.stderr.contains("`[plugin.nobody]` is for a plugin that is not in"), "{ran:?}");
    let ran = check("\n[plugin.logger]\nlevl = \"warn\"\n");
    assert_eq!(ran.code, 2, "{ran:?}");
    for word in ["error[HB0640]", "hotbay.toml:3:1", "`plugin.logger.levl` is unknown, did you mean `level`?"]
    {
        assert!(ran.stderr.contains(word), "{word}: {ran:?}");
    }
}
