//! `hotbay stream`: items between a terminal and a plugin, at the pace of the slower one, over swaps, and to their end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use hotbay_tests::{Bay, eventually, fixture, with_version};

fn live() -> Bay {
    let bay = Bay::started();
    bay.drop_in("streams", &fixture("streams"));
    bay.wait_version("streams", "1.0.0");
    bay
}

/// Returns when it is open.
fn open(bay: &Bay, arguments: &[&str]) -> Child {
    let mut command = bay.command();
    command.arg("stream").args(arguments).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("opened streams."), "{said}");
    child
}

fn count(bay: &Bay, method: &str) -> u64 {
    bay.call(&format!("streams.{method}"), "").parse().unwrap()
}

/// As it is when it does not change any more.
fn settled(bay: &Bay, method: &str) -> u64 {
    let (mut last, mut times) = (0, 0);
    eventually("it stands still", || {
        let now = count(bay, method);
        times = if now == last { times + 1 } else { 0 };
        last = now;
        (now > 0 && times == 10).then_some(now)
    })
}

#[test]
fn lines_go_in_and_items_come_out_and_the_end_of_the_ones_is_the_end_of_the_others() {
    let bay = live();
    let mut child = open(&bay, &["streams.echo", "--lines", "-"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut into = child.stdin.take().unwrap();
    let mut line = String::new();
    for text in ["one", "", "three and more"] {
        into.write_all(format!("{text}\n").as_bytes()).unwrap();
        line.clear();
        lines.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{text}\n"));
    }
    into.write_all(b"the last").unwrap();
    drop(into);
    line.clear();
    lines.read_to_string(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("the last\n", Some(0)));
    std::fs::write(bay.path("lines"), b"text\n\xff\xfe\n").unwrap();
    let file = bay.path("lines");
    let json = bay.ok(&["stream", "streams.echo", "-l", file.to_str().unwrap(), "-o", "json"]);
    assert_eq!(json, "{\"text\":\"text\"}\n{\"base64\":\"//4=\"}\n");
}

#[test]
fn a_stream_of_the_command_goes_on_in_the_next_versions_and_nothing_of_it_is_lost() {
    const COUNT: u64 = 30_000;
    let bay = live();
    let mut child = open(&bay, &["streams.numbers", "-d", &COUNT.to_string()]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for number in 0..COUNT {
        if number % 10_000 == 5_000 {
            let swaps = number / 10_000 + 1;
            let version = format!("1.{swaps}.0");
            bay.drop_bytes("streams", &with_version(&fixture("streams"), "1.0.0", &version));
            bay.wait_version("streams", &version);
        }
        assert_eq!(lines.next().unwrap().unwrap(), number.to_string());
    }
    assert!(lines.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(bay.history("streams").iter().all(|receipt| receipt.requests.lost == 0));
}

#[test]
fn a_terminal_that_stands_still_stops_a_flood_and_its_end_is_heard_by_the_plugin() {
    let bay = live();
    let mut child = open(&bay, &["streams.flood"]);
    // What fits into the window, the socket and the pipe, of 1 KiB each.
    let kept = settled(&bay, "flooded");
    assert!((64..4_096).contains(&kept), "{kept} items were sent to nobody");
    assert!(bay.ok(&["metrics"]).contains("hotbay_open_streams{service=\"streams\"} 1"));
    let status = bay.ok(&["status", "streams"]);
    assert!(status.contains(" numbers, echo, flood") && status.contains("1 streams handled"), "{status}");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("it is heard", || (count(&bay, "gone") == 1).then_some(()));
}

#[test]
fn a_client_that_ends_while_nobody_takes_its_lines_is_let_go_of() {
    let bay = live();
    let mut child = open(&bay, &["streams.flood", "--lines", "-"]);
    let mut into = child.stdin.take().unwrap();
    // More than may be under way: nobody receives them.
    for number in 0..200 {
        into.write_all(format!("{number}\n").as_bytes()).unwrap();
    }
    settled(&bay, "flooded");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("it is heard", || (count(&bay, "gone") == 1).then_some(()));
}

#[test]
fn a_stream_of_the_command_ends_with_what_it_came_to() {
    let bay = live();
    for (arguments, code, told) in [
        (&["streams.ecko"][..], 3, "HB0781"),
        (&["nobody.echo"], 3, "HB0701"),
        (&["streams.fail"], 1, "send more than nothing"),
        (&["streams.panic"], 1, "no luck in a stream"),
        (&["streams.wait", "--timeout", "100ms"], 7, "HB0706"),
        (&["streams.echo", "-l", "no-such-file"], 3, "no-such-file"),
    ] {
        let all: Vec<&str> = [&["stream"], arguments].concat();
        let ran = bay.hotbay(&all);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(told), "{arguments:?}: {ran:?}");
    }
    let enough = bay.ok(&["stream", "streams.numbers", "-d", "1000", "-n", "3"]);
    assert_eq!(enough, "0\n1\n2\n");
    let mut child = open(&bay, &["streams.wait"]);
    bay.drop_bytes("streams", &with_version(&fixture("streams"), "1.0.0", "1.1.0"));
    let ended = eventually("it is told", || child.try_wait().unwrap());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(told.contains("HB0783") && told.contains("open the stream again"), "{told}");
}
