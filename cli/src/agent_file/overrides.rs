//! `--set KEY=VALUE`.

use crate::error::{Failure, Kind};
use toml::{Table, Value};

/// Sets `a.b.c=value` in a table. A value that is not TOML is taken as a string.
///
/// # Errors
/// When there is no `=` or no key, or a part of the key is not a table.
pub fn assign(table: &mut Table, assignment: &str) -> Result<(), Failure> {
    let bad = |reason: &str| {
        Failure::new(Kind::Usage, format!("--set {assignment}: {reason}"))
            .hint("write it like `--set run.actor.candidates=8`")
    };
    let (key, value) = assignment.split_once('=').ok_or_else(|| bad("there is no `=`"))?;
    let mut names: Vec<&str> = key.trim().split('.').collect();
    let last = names.pop().filter(|name| !name.is_empty()).ok_or_else(|| bad("there is no key"))?;
    let mut place = table;
    for name in names {
        let entry = place.entry(name).or_insert_with(|| Value::Table(Table::new()));
        place = entry.as_table_mut().ok_or_else(|| bad(&format!("`{name}` is not a table")))?;
    }
    let parsed =
        toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    place.insert(last.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
    Ok(())
}
