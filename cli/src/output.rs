//! How results are printed.

use std::fmt::Display;
use std::io::{self, Write};

use rustix::io::Errno;
use serde::Serialize;

/// For whom output is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// People.
    Text,
    /// Programs: JSON, one value per line.
    Json,
}

impl Format {
    /// What `--json` chooses.
    pub(crate) fn from_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Prints a line, at once.
///
/// # Errors
///
/// If standard output is closed.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints `value` as one line of JSON, at once.
///
/// # Errors
///
/// If standard output is closed.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(print(serde_json::to_string(value)?)?)
}

/// Says on standard error, at once and on one line, what went wrong.
pub(crate) fn complain(text: impl Display) {
    // If nobody is left to be told, as after a terminal was closed, there is nothing to be done.
    let _ = writeln!(io::stderr().lock(), "{}", one_line(&text.to_string()));
}

/// Whether the reader of our output has gone: a pipe was closed, or a terminal.
pub(crate) fn is_unread(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|cause| {
        cause.kind() == io::ErrorKind::BrokenPipe
            || cause.raw_os_error() == Some(Errno::IO.raw_os_error())
    })
}

/// `text` on one line and without what a terminal would obey: names and
/// messages come from strangers.
pub(crate) fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `text` in at most `width` characters.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Rows below `header`, each column as wide as its widest cell.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths);
        let line: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        line.join("  ").trim_end().to_owned()
    };

    let mut lines = vec![line(header)];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "bé".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["id", "x"], &rows), "id    x\na     bé\nlong");
    }

    #[test]
    fn strangers_cannot_steer_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc\r\n"), "a [2Jb c");
    }

    #[test]
    fn long_text_is_shortened_by_characters() {
        assert_eq!(shortened("äöüß", 4), "äöüß");
        assert_eq!(shortened("äöüßx", 4), "äöü…");
    }

    #[test]
    fn a_reader_that_has_gone_is_told_from_other_errors() {
        let closed_pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        let closed_terminal = io::Error::from(Errno::IO);
        assert!(is_unread(&anyhow::Error::new(closed_pipe).context("x")));
        assert!(is_unread(&closed_terminal.into()));
        assert!(!is_unread(&io::Error::from(io::ErrorKind::NotFound).into()));
    }
}
