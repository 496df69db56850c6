//! `hotbay completions SHELL`

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Args;
use super::output::Output;

pub(super) fn completions(shell: Shell, out: &Output) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "hotbay", &mut script);
    out.bytes(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "hotbay", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in ["rollback", "completions", "doctor"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
