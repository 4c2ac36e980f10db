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
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
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

/// Prints a table.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(table: &Table) -> io::Result<()> {
    output::line(table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_whole_at_80_columns() {
        let mut table =
            new(["run (its start, UTC)", "ran", "status", "environment", "model", "what came of it"]);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(80);
        numbers(&mut table, [1]);
        let model = "Qwen2.5-Coder-1.5B-Instruct-Q4_K_M";
        for (id, came) in [
            ("20261123-175900-1a2b3c", "12 achievements, 3 skills; the time budget is used up"),
            ("20261124-080000-4d5e6f", ""),
        ] {
            table.add_row([id, "11 min 33 s", "finished", "crafter", model, came]);
        }
        insta::assert_snapshot!(table.trim_fmt());
    }
}
