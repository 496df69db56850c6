//! Where things are written, and how they look there.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use serde::Serialize;

use super::args::Format;

/// Nobody reads stdout any more: a reason to end, and none to complain.
#[derive(Debug, thiserror::Error)]
#[error("stdout was closed")]
pub(super) struct Closed;

/// How data is shown on stdout.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    terminal: bool,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format, terminal: io::stdout().is_terminal() }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One value, for programs.
    pub(super) fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// A table: fitted into a terminal; elsewhere one line per row, columns two spaces apart.
    pub(super) fn table(&self, header: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
        let text = if self.terminal { fitted(header, rows) } else { plain(header, rows) };
        self.bytes(text.as_bytes())
    }

    /// Lines for people, with a line feed at the end.
    pub(super) fn text(&self, text: &str) -> anyhow::Result<()> {
        self.bytes(format!("{}\n", text.trim_end()).as_bytes())
    }

    /// Bytes as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
            done => done.map_err(|error| anyhow::Error::new(error).context("failed to write to stdout")),
        }
    }
}

/// Tells the person at the terminal. If nobody listens, nobody is told.
pub(super) fn narrate(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What plugins say must neither break lines nor speak to the terminal.
pub(super) fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What is not known is a dash in a table.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| one_line(&value.to_string()))
}

/// Enough of a digest to tell two apart.
pub(super) fn short_digest(digest: Option<&str>) -> String {
    or_dash(digest.map(|digest| digest.chars().take(12).collect::<String>()))
}

fn plain(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn fitted(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // https://no-color.org
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.iter().map(|text| match color(text) {
            Some(color) => Cell::new(text).fg(color),
            None => Cell::new(text),
        }));
    }
    format!("{}\n", table.trim_fmt())
}

/// Phases and outcomes are words that nothing else in a table is.
fn color(word: &str) -> Option<Color> {
    match word {
        "running" | "committed" | "unloaded" => Some(Color::Green),
        "starting" | "swapping" | "stopped" | "shadowed" | "pinned" => Some(Color::Yellow),
        "rejected" | "faulted" | "quarantined" | "rolled back" => Some(Color::Red),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_tables_line_up_and_have_no_trailing_blanks() {
        let rows = [vec!["echo".to_owned(), "1".to_owned()], vec!["été-longer".to_owned(), "".to_owned()]];
        assert_eq!(plain(&["NAME", "N"], &rows), "NAME        N\necho        1\nété-longer\n");
    }

    #[test]
    fn what_plugins_say_stays_on_its_line() {
        assert_eq!(one_line(" a\nb\x1b[31mc\r\n"), "a b [31mc");
        assert_eq!(or_dash(None::<u32>), "-");
    }
}
