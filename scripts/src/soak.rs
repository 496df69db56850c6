//! `cargo xtask soak`: echo 1.0.0 and 2.0.0 replace each other many times while a client calls.
//!
//! What must hold: no request lost, none answered twice, each old library unmapped, the count carried through all of
//! it, and memory that stays where it was after the first hundred swaps.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bay::Bay;
use crate::cargo;
use crate::client::Client;

/// Allocators and caches have found their size by then.
const WARM: u64 = 100;

/// What a thousand swaps may add. A library that is not unmapped costs 400 KiB per swap: two of a thousand would show.
const GROWTH_KIB: u64 = 2048;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often the file is replaced
    #[arg(long, default_value_t = 1000)]
    swaps: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("Building the host and two versions of the plugin `echo` ...");
    let built = cargo::build()?;
    let mut bay = Bay::new(&built.hotbay)?;
    let soaked = soak(&mut bay, &built, options.swaps);
    if soaked.is_err() {
        println!("\nThe end of the host's log:\n");
        let log = bay.log();
        let lines: Vec<&str> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(40)) {
            println!("    {line}");
        }
    }
    soaked
}

fn soak(bay: &mut Bay<'_>, built: &cargo::Built, swaps: u64) -> Result<()> {
    bay.start()?;
    bay.drop_in(&built.echo)?;
    bay.wait_for_version("1.0.0")?;
    let client = Client::start(bay, 1);
    client.wait_for(1)?;

    let (begun, mut sums, mut warm) = (Instant::now(), Sums::default(), None);
    for swap in 1..=swaps {
        bay.drop_in(if swap % 2 == 1 { &built.echo_v2 } else { &built.echo })?;
        // The first load was generation 1.
        sums.add(&bay.wait_for_receipt(swap + 1)?).with_context(|| format!("swap {swap} failed"))?;
        if swap == WARM {
            warm = memory_kib(bay);
        }
        if swap % 100 == 0 {
            let memory = memory_kib(bay).map_or_else(String::new, |kib| format!(", memory {kib} KiB"));
            println!("{swap} swaps in {} s{memory}", begun.elapsed().as_secs());
        }
    }
    let (tally, after) = (client.stop(), memory_kib(bay));
    ensure!(
        tally.failures.is_empty(),
        "{} calls failed, the first: {}",
        tally.failures.len(),
        tally.failures[0]
    );
    let (answered, count) = (tally.answered(), bay.count()?);

    println!("\nswaps        {swaps}");
    println!("unloaded     {}", sums.unloaded);
    println!("lost         {}", sums.lost);
    println!("duplicated   {}", sums.duplicated);
    println!(
        "calls        {answered}, slowest {} ms with the start of its command",
        tally.longest.as_millis()
    );
    println!("counted      {count}");
    println!("longest wait {} µs at the gate", sums.longest_pause_us);
    match (warm, after) {
        (Some(warm), Some(after)) => {
            println!("memory       {warm} KiB after {WARM} swaps, {after} KiB after {swaps}");
            ensure!(
                after <= warm + GROWTH_KIB,
                "memory grew by {} KiB, more than {GROWTH_KIB}",
                after - warm
            );
        }
        _ => println!("memory       not measured: it takes Linux and more than {WARM} swaps"),
    }
    ensure!(sums.lost == 0 && sums.duplicated == 0, "requests were lost or answered twice");
    ensure!(
        sums.unloaded == swaps,
        "{} old versions are still in memory: {}",
        swaps - sums.unloaded,
        sums.pinned
    );
    ensure!(count == answered, "{answered} calls were answered, and {count} counted");
    bay.stop()?;
    Ok(())
}

/// What all receipts say together.
#[derive(Debug, Default)]
struct Sums {
    lost: u64,
    duplicated: u64,
    unloaded: u64,
    longest_pause_us: u64,
    /// Why the last one that was not unloaded is still there.
    pinned: String,
}

impl Sums {
    fn add(&mut self, receipt: &Value) -> Result<()> {
        if receipt["outcome"] != "committed" {
            bail!("it was rolled back: {}", receipt["reason"]);
        }
        let number =
            |value: &Value| value.as_u64().with_context(|| format!("failed to read a count of {receipt}"));
        self.lost += number(&receipt["requests"]["lost"])?;
        self.duplicated += number(&receipt["requests"]["duplicated"])?;
        self.longest_pause_us = self.longest_pause_us.max(number(&receipt["pause_us"]["max"])?);
        if receipt["retired"] == "unloaded" {
            self.unloaded += 1;
        } else {
            self.pinned = receipt["retired_reason"].to_string();
        }
        Ok(())
    }
}

/// Resident memory of the host.
// Windows: no file says it, nor on macOS; it is measured on Linux alone.
fn memory_kib(bay: &Bay<'_>) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bay.pid()?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
