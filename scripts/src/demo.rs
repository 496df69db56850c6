//! `cargo xtask demo`: the main job in one go, for people to watch. Real binary, real plugins, temporary folders.
//!
//! Each step is looked at and says what it saw; the first that does not hold ends the demo with the host's log.

mod system;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::bay::{Bay, library_name};
use crate::cargo::{self, Built};
use crate::client::Client;

/// Answers that the client has on each side of the swap: enough to see that it never stood still.
const ANSWERS: u64 = 50;

pub(crate) fn run() -> Result<()> {
    println!("Building the host and the example plugins ...");
    let built = cargo::build()?;
    let mut bay = Bay::new(&built.hotbay)?;
    let shown = show(&mut bay, &built);
    if let Err(error) = &shown {
        println!("  ✗ {error:#}\n\nThe host's log:\n");
        for line in bay.log().lines() {
            println!("    {line}");
        }
        bail!("failed to show the main job");
    }
    println!("\nAll of it held. Now your own: README.md, \"Your first plugin\".");
    Ok(())
}

fn show(bay: &mut Bay<'_>, built: &Built) -> Result<()> {
    std::fs::write(bay.path("hotbay.toml"), system::SETTINGS)?;
    say("A host on an empty plugins folder");
    command("hotbay run");
    bay.start()?;
    held("it is up, and waits for plugins");

    say("Drop a compiled plugin into the folder");
    command(&format!("cp {} plugins/", library_name("echo")));
    bay.drop_in(&built.echo)?;
    let generation = bay.wait_for_version("1.0.0")?;
    ensure!(generation == 1, "echo 1.0.0 runs as generation {generation}, not 1");
    held("echo 1.0.0 was noticed, checked in a throw-away process, loaded and started");

    say("Drop in another one, which knows nothing of the first");
    command(&format!("cp {} plugins/", library_name("logger")));
    bay.drop_in_as("logger", &built.logger)?;
    bay.wait_for_service("logger", "1.0.0")?;
    held("logger 1.0.0 runs, and subscribed to `events.>`");

    say("Call echo");
    command("hotbay call echo.handle -d '\"hello\"'");
    let reply = bay.run(&["call", "echo.handle", "-d", "\"hello\""])?;
    ensure!(reply == "echo service handled", "it answered `{reply}`");
    held(&format!("it answered: {reply}"));

    say("They exchange events, and the kernel alone knows of both");
    command("hotbay logs logger");
    let line = bay.wait_until("the event in the log", |bay| {
        let lines = bay.run(&["logs", "logger"])?;
        Ok(lines.lines().find(|line| line.contains("events.echo.handled from echo")).map(str::to_owned))
    })?;
    println!("    {line}");
    held("echo published what it had handled, and logger wrote it down");

    say("Publish a message, and see where it goes");
    command("hotbay publish orders.created -d 7 && hotbay topics");
    let published: Value =
        serde_json::from_str(&bay.run(&["publish", "orders.created", "-d", "7", "-o", "json"])?)?;
    ensure!(published["taken"] == 0, "somebody took it: {published}");
    for line in bay.run(&["topics"])?.lines() {
        println!("    {line}");
    }
    held("nobody subscribed to `orders.created`, and nobody waited; what echo says goes to logger");

    let calls = replace_under_load(bay, built)?;
    let receipt = read_receipt(bay)?;

    say("Its state went on to the new version");
    command("hotbay call echo.count");
    let (count, expected) = (bay.count()?, 1 + calls);
    ensure!(count == expected, "it counted {count} of {expected} calls");
    held(&format!(
        "it counted {count}: one call before, and {calls} of the client; none twice, none forgotten"
    ));
    held(&format!("{} bytes of state were sealed and carried over", receipt["state_bytes"]));

    say("Stop the host, and start it again");
    command("^C");
    let status = bay.stop()?;
    ensure!(!cfg!(unix) || status.success(), "the host ended with {status}");
    command("hotbay run");
    bay.start()?;
    bay.wait_for_version("2.0.0")?;
    command("hotbay call echo.count");
    let after = bay.count()?;
    ensure!(after == count, "it counted {count} before, and {after} after the restart");
    held(&format!("the count is still {after}"));

    system::show(bay, built)?;
    bay.stop()?;
    Ok(())
}

/// Replaces the file while a client calls, and says how many calls the client made.
fn replace_under_load(bay: &mut Bay<'_>, built: &Built) -> Result<u64> {
    say("Replace the file while a client hammers the service");
    let client = Client::start(bay, 4);
    client.wait_for(ANSWERS)?;
    command(&format!("cp {} plugins/{}", library_name("echo_v2"), library_name("echo")));
    bay.drop_in(&built.echo_v2)?;
    bay.wait_for_version("2.0.0")?;
    client.wait_for(ANSWERS)?;
    let tally = client.stop();
    if let Some(failure) = tally.failures.first() {
        bail!("{} calls failed, the first: {failure}", tally.failures.len());
    }
    let of = |reply: &str| tally.replies.get(reply).copied().unwrap_or(0);
    let (old, new) = (of("echo service handled"), of("echo v2 service handled"));
    ensure!(old > 0 && new > 0, "the old version answered {old} calls, the new one {new}");
    ensure!(old + new == tally.answered(), "there were other answers: {:?}", tally.replies);
    held(&format!("{} calls, none failed: {old} answered by 1.0.0, {new} by 2.0.0", old + new));
    held(&format!("the slowest took {} ms, the start of its command included", tally.longest.as_millis()));
    Ok(tally.answered())
}

fn read_receipt(bay: &mut Bay<'_>) -> Result<Value> {
    say("Each swap has a receipt");
    command("hotbay history echo");
    let receipt = bay.wait_for_receipt(2)?;
    for line in bay.run(&["history", "echo"])?.lines() {
        println!("    {line}");
    }
    let requests = &receipt["requests"];
    ensure!(
        receipt["outcome"] == "committed",
        "the swap ended as {}: {}",
        receipt["outcome"],
        receipt["reason"]
    );
    ensure!(requests["lost"] == 0 && requests["duplicated"] == 0, "the receipt counts {requests}");
    held(&format!(
        "in the window of the swap: {} answered by the old version, {} waited (at most {} µs), {} by the new one; 0 lost, 0 twice",
        requests["old"], requests["waited"], receipt["pause_us"]["max"], requests["new"]
    ));
    ensure!(
        receipt["retired"] == "unloaded",
        "the old version is {}: {}",
        receipt["retired"],
        receipt["retired_reason"]
    );
    held("the old version is out of memory: that was looked at, not assumed");
    Ok(receipt)
}

fn say(title: &str) {
    println!("\n{title}");
}

fn command(line: &str) {
    println!("  $ {line}");
}

fn held(text: &str) {
    println!("  ✓ {text}");
}
