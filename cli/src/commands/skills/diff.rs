use crate::args::Target;
use crate::error::{Failure, Kind};
use crate::output;
use anyhow::Result;
use serde_json::{Value, json};
use similar::TextDiff;
use sojourn_skills::{Entry, LibraryState, Manifest};

/// Shows the changes from one version to another: the manifest first, then the source.
pub fn diff(
    state: &LibraryState,
    name: &str,
    (from, to): (Option<u32>, Option<u32>),
    json: bool,
) -> Result<()> {
    let find = |version| super::find(state, &Target { name: name.to_owned(), version });
    let newer = find(to)?;
    let number = newer.skill.manifest.version;
    let older = match from.or_else(|| number.checked_sub(1).filter(|before| *before > 0)) {
        Some(before) => find(Some(before))?,
        None => {
            return Err(Failure::new(
                Kind::NotFound,
                format!("there is no version before version 1 of `{name}`"),
            )
            .hint(format!("`sojourn skills show {name}` shows it in full"))
            .into());
        }
    };
    let promises = promises(&older.skill.manifest, &newer.skill.manifest);
    let source = source(older, newer);
    if json {
        return Ok(output::json(&json!({
            "name": name,
            "from": older.skill.manifest.version,
            "to": number,
            "promises": promises,
            "source": source,
        }))?);
    }
    for change in &promises {
        let field = change["field"].as_str().unwrap_or_default();
        output::line(format!("{field}: {} -> {}", change["from"], change["to"]))?;
    }
    if promises.is_empty() && source.is_empty() {
        return Ok(output::line("the versions differ only in their numbers")?);
    }
    Ok(output::line(source.trim_end())?)
}

/// The differences between the manifests.
fn promises(older: &Manifest, newer: &Manifest) -> Vec<Value> {
    let field = |name: &str, from: Value, to: Value| {
        (from != to).then(|| json!({"field": name, "from": from, "to": to}))
    };
    [
        field("description", json!(older.description), json!(newer.description)),
        field("parameters", json!(older.parameters), json!(newer.parameters)),
        field("before", json!(older.precondition), json!(newer.precondition)),
        field("after", json!(older.postcondition), json!(newer.postcondition)),
        field("calls", json!(older.calls), json!(newer.calls)),
        field("kind", json!(older.kind), json!(newer.kind)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The sources as a unified diff; empty where they are equal.
fn source(older: &Entry, newer: &Entry) -> String {
    let title = |entry: &Entry| {
        let manifest = &entry.skill.manifest;
        format!("{} version {} ({})", manifest.name, manifest.version, entry.status)
    };
    let text = |entry: &Entry| format!("{}\n", entry.skill.source.trim_end());
    let (before, after) = (text(older), text(newer));
    if before == after {
        return String::new();
    }
    TextDiff::from_lines(&before, &after).unified_diff().header(&title(older), &title(newer)).to_string()
}
