//! Where things are written, and how they look there.

use std::io::{self, IsTerminal as _, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use serde::Serialize;

use super::args::Format;
use super::failed::Otherwise as _;
use crate::error::Code;

/// No terminal that somebody reads tables on has fewer columns.
const NARROWEST: u16 = 40;

/// Nobody reads stdout any more: a reason to end, and none to complain.
#[derive(Debug, thiserror::Error)]
#[error("stdout was closed")]
pub(super) struct Closed;

/// What a word on a terminal looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    Good,
    Doubtful,
    Bad,
    Title,
}

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
        let text = if self.terminal { fitted(header, rows, terminal_width()) } else { plain(header, rows) };
        self.bytes(text.as_bytes())
    }

    /// Lines for people, with a line feed at the end.
    pub(super) fn text(&self, text: &str) -> anyhow::Result<()> {
        self.bytes(format!("{}\n", text.trim_end()).as_bytes())
    }

    /// A word in a colour, on a terminal that is to have some.
    pub(super) fn tinted(&self, word: &str, tint: Tint) -> String {
        if !self.terminal || !colors_are_welcome() {
            return word.to_owned();
        }
        let code = match tint {
            Tint::Good => 32,
            Tint::Doubtful => 33,
            Tint::Bad => 31,
            Tint::Title => 1,
        };
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    }

    /// Bytes as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.written(|stdout| stdout.write_all(bytes))
    }

    /// What is written there.
    pub(super) fn written(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match write(&mut stdout).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
            done => done.otherwise(Code::NotWritten, || "failed to write to stdout"),
        }
    }
}

/// Tells the person at the terminal. If nobody listens, nobody is told.
pub(super) fn narrate(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What plugins say must neither break lines nor speak to the terminal.
pub(super) fn one_line(text: &str) -> String {
    // Beside what `char` calls control: line separators, and what turns the direction of the text around.
    let unruly = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    text.trim().chars().map(|c| if unruly(c) { ' ' } else { c }).collect()
}

/// A word of a command line that somebody will copy.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/\\._-+:,=@%".contains(c);
    if cfg!(windows) {
        // A file's name has no quotes there.
        if word.chars().all(plain) { word.to_owned() } else { format!("\"{word}\"") }
    } else if !word.is_empty() && word.chars().all(|c| plain(c) && c != '\\') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Whether a terminal is to be shown colours: <https://no-color.org>
pub(super) fn colors_are_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What is not known is a dash in a table.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| one_line(&value.to_string()))
}

/// A text with the code of what it tells before it, where there is one: `[HB0204] failed to …`
pub(super) fn coded(code: Option<&str>, text: &str) -> String {
    match code {
        Some(code) => one_line(&format!("[{code}] {text}")),
        None => one_line(text),
    }
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

/// What the terminal says, unless it cannot be meant: some say 0, and columns of a letter each are of no use to anybody.
fn terminal_width() -> Option<u16> {
    Table::new().width().filter(|width| *width >= NARROWEST)
}

/// Without a width nothing is wrapped, save by the terminal.
fn fitted(header: &[&str], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    if !colors_are_welcome() {
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
        "starting" | "swapping" | "rollback" | "stopped" | "shadowed" | "pinned" => Some(Color::Yellow),
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
    fn words_have_colours_on_a_terminal_alone() {
        let [on, off] = [true, false].map(|terminal| Output { format: Format::Table, terminal });
        assert_eq!(off.tinted("refused", Tint::Bad), "refused");
        let wanted = if colors_are_welcome() { "\u{1b}[31mrefused\u{1b}[0m" } else { "refused" };
        assert_eq!(on.tinted("refused", Tint::Bad), wanted);
    }

    #[test]
    fn what_plugins_say_stays_on_its_line() {
        assert_eq!(one_line(" a\nb\x1b[31mc\r\n"), "a b [31mc");
        assert_eq!(one_line("a\u{202e}b\u{2028}c"), "a b c");
        assert_eq!(or_dash(None::<u32>), "-");
    }

    #[test]
    fn tables_are_wrapped_only_where_the_width_is_known() {
        let rows = [vec!["echo".to_owned(), "a long reason ".repeat(10)]];
        let lines = |width| fitted(&["NAME", "REASON"], &rows, width).lines().count();
        assert_eq!(lines(None), 2);
        assert!((3..8).contains(&lines(Some(NARROWEST))));
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("greeter/target/debug/libgreeter.so"), "greeter/target/debug/libgreeter.so");
        let expected = if cfg!(windows) { "\"my files/a.so\"" } else { "'my files/a.so'" };
        assert_eq!(quoted("my files/a.so"), expected);
        #[cfg(unix)]
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
