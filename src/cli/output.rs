//! All printing: data to standard output, in the form that was asked for; notes to standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::presets;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::CliError;
use super::error::one_line;

/// The widest cell of a table, in characters; longer ones are cut.
const CELL_CHARS_MAX: usize = 80;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people. The default.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

/// Where a command writes what it has to say.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    pub(super) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// Returns how data is written.
    #[must_use]
    pub fn format(self) -> Format {
        self.format
    }

    /// Writes a list: as a table, as one JSON array, or a line each.
    ///
    /// # Errors
    ///
    /// Fails if standard output does.
    pub fn list<T: Serialize>(self, items: &[T], table: impl FnOnce(&[T]) -> Table) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.text(|out| writeln!(out, "{}", table(items))),
            Format::Json => self.text(|out| write_json(out, &items)),
            Format::Jsonl => items.iter().try_for_each(|item| self.line(item)),
        }
    }

    /// Writes one thing: for people as `text` puts it, or as one JSON document.
    ///
    /// # Errors
    ///
    /// Fails if standard output does.
    pub fn one<T: Serialize>(
        self,
        item: &T,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.text(text),
            Format::Json => self.text(|out| write_json(out, item)),
            Format::Jsonl => self.line(item),
        }
    }

    /// Writes text as it is, whatever the format.
    ///
    /// # Errors
    ///
    /// Fails if standard output does.
    pub fn text(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CliError> {
        let mut out = anstream::AutoStream::auto(io::stdout()).lock();
        write(&mut out)?;
        Ok(out.flush()?)
    }

    /// Writes one JSON document on one line.
    pub(super) fn line<T: Serialize>(self, item: &T) -> Result<(), CliError> {
        let line = serde_json::to_string(item).map_err(io::Error::from)?;
        self.text(|out| writeln!(out, "{line}"))
    }

    /// Says something beside the data, unless the user wants quiet.
    pub fn note(self, text: &str) {
        if !self.quiet {
            // A note that nobody can read any more is no reason to fail.
            drop(writeln!(anstream::stderr(), "{text}"));
        }
    }

    /// Returns a bar that counts bytes up to `bytes`; hidden where nobody would see it.
    pub(super) fn progress(self, bytes: u64) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(bytes);
        match ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} left") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

fn write_json<T: Serialize>(out: &mut dyn Write, item: &T) -> io::Result<()> {
    let text = serde_json::to_string_pretty(item)?;
    writeln!(out, "{text}")
}

/// A table for people: no frame, so that it is easy to cut and to paste.
#[derive(Debug)]
pub struct Table {
    rows: comfy_table::Table,
    last: LastColumn,
}

/// What becomes of a long cell in the last column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastColumn {
    Cut,
    Whole,
}

impl Table {
    /// Starts a table with these column names.
    #[must_use]
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        let mut rows = comfy_table::Table::new();
        rows.load_style(presets::NOTHING).set_header(columns);
        rows.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
        Self { rows, last: LastColumn::Cut }
    }

    /// Never cuts the last column: for what people must read to the end.
    pub(super) fn with_whole_last_column(self) -> Self {
        Self { last: LastColumn::Whole, ..self }
    }

    /// Adds a row. Line breaks and control characters become blanks, and long cells are cut.
    #[must_use]
    pub fn row<const N: usize>(mut self, cells: [String; N]) -> Self {
        let mut cells = cells.map(|cell| one_line(&cell));
        let whole = usize::from(self.last == LastColumn::Whole);
        cells.iter_mut().rev().skip(whole).for_each(|cell| *cell = cut(cell));
        self.rows.add_row(cells);
        self
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.rows.trim_fmt())
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some(_) => text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_cell_cannot_break_the_table_or_move_the_cursor() {
        let table = Table::new(["a", "b"]).row(["x\ny\u{1b}[2J".to_owned(), "é".repeat(200)]);
        let text = table.to_string();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}') && text.ends_with('…'));
    }

    #[test]
    fn a_last_column_that_is_kept_whole_is_not_cut_and_the_others_are() {
        let long = "é".repeat(200);
        let table = Table::new(["a", "b"]).with_whole_last_column().row([long.clone(), long.clone()]);
        let text = table.to_string();
        assert!(text.ends_with(&long) && text.contains('…'), "{text}");
    }
}
