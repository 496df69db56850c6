//! All codes as a page to read: `host/ERRORS.md`.

use std::fmt::Write as _;

use super::explained::STAGES;

const INTRODUCTION: &str = "# Errors

Each error that Hotbay tells has a code, such as `HB0204`: in brackets behind `error`, in `hotbay why`, `status`, `list`, `events` and
`history`, in the logs, and as `code` and `blame` in what `-o json` prints. A code never means something else than it did. `hotbay
explain HB0204` shows what stands here, without a host and without a network. *Blame* says who can mend it: the plugin's author, the
host's, or its operator.

This page is written by `cargo xtask errors`, from `host/src/error/explained`.
";

/// All codes as a page in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    // To a string nothing fails.
    let mut line = |text: std::fmt::Arguments<'_>| _ = writeln!(page, "{text}");
    for stage in STAGES {
        line(format_args!("\n## {}", stage.title));
        for explained in stage.table {
            line(format_args!("\n### {}: {}\n", explained.code, explained.title));
            line(format_args!("> {}\n", explained.example));
            line(format_args!("{}\n", explained.meaning));
            line(format_args!("* **Blame**: {}", explained.blame));
            line(format_args!("* **Common causes**: {}", explained.causes.join("; ")));
            line(format_args!("* **Unchanged**: {}", explained.unchanged));
            line(format_args!("* **Next**: {}", explained.next.join("; ")));
        }
    }
    page
}
