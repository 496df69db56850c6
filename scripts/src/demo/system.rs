//! The second half of the demo: plugins that make a system. One decides by what the kernel counts, and keeps what it decided in a
//! store, which is replaced by another one under it.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{command, held, say};
use crate::bay::{Bay, library_name};
use crate::cargo::Built;
use crate::client::Client;

/// So that a handful of commands is a wave.
pub(super) const SETTINGS: &str = "[plugin.autoscaler]\nservice = \"echo\"\ncalls_per_lane = 5.0\n";

pub(super) fn show(bay: &mut Bay<'_>, built: &Built) -> Result<()> {
    say("An autoscaler hears from the kernel how often echo is called, and decides");
    command(&format!("cp {} {} plugins/", library_name("kv"), library_name("autoscaler")));
    bay.drop_in_as("kv", &built.kv)?;
    bay.wait_for_service("kv", "1.0.0")?;
    bay.drop_in_as("autoscaler", &built.autoscaler)?;
    bay.wait_for_service("autoscaler", "1.0.0")?;
    let client = Client::start(bay, 2);
    let decided = bay.wait_until("a decision for more lanes", |bay| {
        client.wait_for(0)?;
        let decision: Value = serde_json::from_str(&bay.run(&["call", "autoscaler.decision"])?)?;
        Ok((decision["lanes"].as_u64() > Some(1)).then_some(decision))
    })?;
    command("hotbay call autoscaler.decision");
    println!("    {decided}");
    held(&format!(
        "echo is called {} times a second, so it should have {} lanes",
        decided["calls_per_second"], decided["lanes"]
    ));
    let topics = bay.run(&["topics"])?;
    ensure!(topics.contains("autoscaler.decided"), "its decision was not published: {topics}");
    held("it was published as `autoscaler.decided`, for whoever acts on it");

    say("Replace the store under it by another implementation");
    command("hotbay call kv.find -d autoscaler/echo");
    let decided = kept(bay)?;
    held(&format!("the autoscaler keeps what it decided in the store: {decided}"));
    command(&format!("cp {} plugins/{}", library_name("kv_history"), library_name("kv")));
    bay.drop_in_as("kv", &built.kv_history)?;
    bay.wait_for_service("kv", "2.0.0")?;
    let after = kept(bay)?;
    ensure!(after["lanes"].is_u64(), "the new store has `{after}`");
    held(&format!("the new store has it: {after}"));
    let failures = client.stop().failures;
    ensure!(failures.is_empty(), "{} calls failed, the first: {}", failures.len(), failures[0]);
    // After some calm windows it goes down, and writes that to whoever is the store now.
    let calm = bay.wait_until("a decision in the new store", |bay| {
        let before = bay.run(&["call", "kv.history", "-d", "autoscaler/echo"])?;
        Ok((before != "[]").then_some(before))
    })?;
    command("hotbay call kv.history -d autoscaler/echo");
    held(&format!("the autoscaler went on with it and noticed nothing; what it had decided before: {calm}"));
    Ok(())
}

/// What the autoscaler keeps; it writes when it decides.
fn kept(bay: &mut Bay<'_>) -> Result<Value> {
    bay.wait_until("what was decided to be kept", |bay| {
        let text = bay.run(&["call", "kv.find", "-d", "autoscaler/echo"])?;
        if text.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
    })
}
