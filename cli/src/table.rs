//! Tables for people.

use crate::output;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};
use std::fmt::Write as _;
use std::io;

/// A line under the head and nothing else, so that rows can be cut and sorted by other programs.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with these columns, wide enough for its longest cells; on a terminal it is fitted to the window. The first column
/// holds what other commands are given, so it is never broken.
pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    if output::is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(columns.into_iter().collect::<Vec<_>>());
    whole(&mut table, [0]);
    table
}

/// Numbers stand right-aligned.
pub fn numbers(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// The cells of these columns are never broken, however narrow the window is.
pub fn whole(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// Columns that a text needs beside the other cells of its row.
const TEXT_COLUMNS: usize = 40;
/// Columns that a cell needs, if it is not shorter, for its words to be read.
const CELL_COLUMNS: usize = 12;

/// The terminal's width; `None` where stdout is something else.
pub fn terminal_width() -> Option<usize> {
    let width = if output::is_terminal() { new([""]).width().map(usize::from) } else { None };
    // A terminal whose size nobody set has none.
    width.filter(|width| *width >= 20)
}

/// Prints rows whose last cells are texts. Where a terminal leaves them too little room, each stands below its row; where the
/// rows themselves do not fit, below their first cells.
///
/// # Errors
/// When stdout cannot be written.
pub fn print_with_texts<const N: usize>(
    columns: [&str; N],
    right: &[usize],
    rows: Vec<[String; N]>,
) -> io::Result<()> {
    output::line(with_texts(columns, right, rows, terminal_width()))
}

/// The rows of [`print_with_texts`] for a terminal of this width, or for none.
pub fn with_texts<const N: usize>(
    columns: [&str; N],
    right: &[usize],
    rows: Vec<[String; N]>,
    width: Option<usize>,
) -> String {
    let row_table = |columns: &[&str]| {
        let mut table = new(columns.iter().copied());
        table.set_content_arrangement(ContentArrangement::Disabled);
        numbers(&mut table, right.iter().copied());
        table
    };
    let mut short = row_table(&columns[..N - 1]);
    for row in &rows {
        short.add_row(row[..N - 1].iter().map(|cell| cell.replace('\n', " ")));
    }
    let short = short.trim_fmt();
    let used = short.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let longest = rows.iter().map(|row| row[N - 1].chars().count()).max().unwrap_or(0);
    let Some(width) = width.filter(|width| used + longest.min(TEXT_COLUMNS) + 4 > *width) else {
        let mut table = row_table(&columns);
        if width.is_some() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            whole(&mut table, 0..N - 1);
        }
        for row in rows {
            table.add_row(row);
        }
        return table.trim_fmt();
    };
    if used > width {
        return stacked(&columns[..N - 1], rows.iter().map(<[String; N]>::as_slice), width);
    }
    let mut shown = String::new();
    let (head, below) = short.split_at(short.match_indices('\n').nth(1).map_or(short.len(), |(at, _)| at));
    shown.push_str(head);
    for (line, row) in below.trim_start_matches('\n').lines().zip(&rows) {
        let _ = write!(shown, "\n{line}");
        for part in wrapped(&row[N - 1], width.saturating_sub(5).max(20)) {
            let _ = write!(shown, "\n     {part}");
        }
    }
    shown
}

/// Each row as its first cell, with the cells of the other columns and the texts that follow them below it.
fn stacked<'a>(columns: &[&str], rows: impl Iterator<Item = &'a [String]>, width: usize) -> String {
    let room = width.saturating_sub(5).max(20);
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(row.first().map(|first| first.replace('\n', " ")));
        let cells = columns.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty());
        let cells: Vec<String> = cells.map(|(column, cell)| format!("{column}: {cell}")).collect();
        let texts = row.iter().skip(columns.len());
        for text in std::iter::once(&cells.join(", ")).chain(texts) {
            lines.extend(wrapped(text, room).into_iter().map(|line| format!("     {line}")));
        }
    }
    lines.join("\n")
}

/// The words of a text in lines of at most `width` characters; a longer word is broken.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let word: Vec<char> = word.chars().collect();
        for (at, piece) in word.chunks(width).enumerate() {
            match lines.last_mut() {
                Some(line) if at == 0 && used + 1 + piece.len() <= width => {
                    line.push(' ');
                    line.extend(piece);
                    used += 1 + piece.len();
                }
                _ => {
                    lines.push(piece.iter().collect());
                    used = piece.len();
                }
            }
        }
    }
    lines
}

/// Prints a table. Where a terminal leaves its columns too little room, each row is printed below its first cell.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(table: &Table) -> io::Result<()> {
    output::line(fitted(table, terminal_width()))
}

fn fitted(table: &Table, width: Option<usize>) -> String {
    let widths = table.column_max_content_widths();
    let needed = widths.iter().enumerate().map(|(at, &wide)| {
        let wide = usize::from(wide);
        3 + if at == 0 { wide } else { wide.min(CELL_COLUMNS) }
    });
    let needed: usize = needed.sum();
    let Some(width) = width.filter(|width| needed > *width) else { return table.trim_fmt() };
    let cells =
        |row: &comfy_table::Row| row.cell_iter().map(comfy_table::Cell::content).collect::<Vec<String>>();
    let columns = table.header().map(cells).unwrap_or_default();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = table.row_iter().map(cells).collect();
    stacked(&columns, rows.iter().map(Vec::as_slice), width)
}

#[cfg(test)]
mod tests {
    use super::{fitted, new, with_texts};

    #[test]
    fn rows_that_no_terminal_has_room_for_stand_below_their_first_cells() {
        let rows = || {
            vec![
                [
                    "every_trigger_long_running_operation(duration = 10, steps = 5)",
                    "writes, network, irreversible",
                    "ask",
                    "Demonstrates a long running operation with progress updates, one after each of its steps.",
                ],
                ["observe()", "idempotent", "environment", "the present state"],
            ]
            .into_iter()
            .map(|row| row.map(str::to_owned))
            .collect::<Vec<_>>()
        };
        let columns = ["tool", "effects", "policy", "description"];
        let narrow = with_texts(columns, &[], rows(), Some(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        insta::assert_snapshot!("stacked", narrow);

        let mut table = new(columns);
        table.add_rows(rows());
        let narrow = fitted(&table, Some(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.starts_with("every_trigger_long_running_operation(duration"), "{narrow}");
        assert_eq!(fitted(&table, None).lines().count(), 4, "nothing is broken where there is no terminal");
    }

    #[test]
    fn a_text_that_has_no_room_beside_its_row_stands_below_it() {
        let rows = || {
            vec![
                [
                    "36fd594f",
                    "7.32",
                    "reflection",
                    "2026-11-29 09:58",
                    "20261129-095554-1ce9 585",
                    "killed by a zombie: make a wood sword and a wood pickaxe before the night, and stay near what you built",
                ],
                ["e4d083ef", "16.08", "episode", "2026-11-29 09:57", "20261129-095554-1ce9 82", "eat_cow() failed."],
            ]
            .into_iter()
            .map(|row| row.map(str::to_owned))
            .collect()
        };
        let columns = ["id", "score", "kind", "when (UTC)", "origin", "memory"];
        let narrow = with_texts(columns, &[1], rows(), Some(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        insta::assert_snapshot!("narrow", narrow);
        let beside = with_texts(columns, &[1], rows(), None);
        assert_eq!(beside.lines().count(), 4, "{beside}");
        let wide = with_texts(columns, &[1], rows(), Some(130));
        assert!(
            wide.lines().nth(2).unwrap_or_default().contains("20261129-095554-1ce9 585   killed by"),
            "{wide}"
        );
    }
}
