//! Tables for people.

use crate::output;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};
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

/// Prints a table.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(table: &Table) -> io::Result<()> {
    output::line(table.trim_fmt())
}
