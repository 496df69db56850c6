//! Running a program of ours that judges for itself: what it found is on its stdout, whether it held in how it ends.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Runs it, in the format that was asked for.
pub(crate) fn run(command: &mut Command, output: Option<&str>) -> Result<()> {
    if let Some(format) = output {
        command.args(["--output", format]);
    }
    let program = command.get_program().to_owned();
    let status =
        command.status().with_context(|| format!("failed to run `{}`", program.to_string_lossy()))?;
    if !status.success() {
        bail!("not all of it held; what did not is said above");
    }
    Ok(())
}
