use crate::args::Tools;
use crate::{environments, output, table};
use anyhow::Result;
use sojourn_tools::{Effects, signature};

/// Shows what an environment offers.
pub fn tools(command: &Tools) -> Result<()> {
    let Tools::List { environment, json } = command;
    let environment = environments::open(environment)?;
    let spec = environment.spec();
    if *json {
        return Ok(output::json(&spec.tools)?);
    }
    let mut table = table::new(["tool", "effects", "what it does"]);
    for tool in &spec.tools {
        table.add_row([
            signature(&tool.name, &tool.parameters),
            effects(tool.effects),
            tool.description.clone(),
        ]);
    }
    Ok(table::print(&table)?)
}

fn effects(effects: Effects) -> String {
    let named = [
        (effects.write, "writes"),
        (effects.network, "network"),
        (effects.irreversible, "irreversible"),
        (effects.idempotent, "idempotent"),
    ];
    let names: Vec<&str> = named.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    if names.is_empty() { "reads".to_owned() } else { names.join(", ") }
}
