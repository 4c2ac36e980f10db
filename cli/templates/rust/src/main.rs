//! PLUGIN_NAME: tools for a Sojourn agent. One JSON object a line comes in, one a line goes out.
//!
//! cargo build --release

use serde_json::{Value, json};
use std::io::{BufRead, Write};

fn tools() -> Value {
    json!([{
        "name": "greet",
        "description": "greets somebody by name",
        "input": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": false,
        },
        // Declared effects: this tool only reads. Without `effects` the worst is assumed.
        "effects": {"write": false, "idempotent": true},
        "returns": "json",
    }])
}

fn greet(args: &Value) -> Result<Value, String> {
    let name = args["name"].as_str().ok_or("name is not a text")?;
    Ok(json!({"greeting": format!("Hello, {name}!")}))
}

fn answer(request: &Value) -> Option<Value> {
    let id = &request["id"];
    let result = match request["method"].as_str()? {
        "describe" => Ok(json!({"tools": tools()})),
        "call" => match request["params"]["tool"].as_str() {
            Some("greet") => greet(&request["params"]["args"]),
            other => Err(format!("no tool {other:?}")),
        },
        _ => return None,
    };
    Some(match result {
        Ok(result) => json!({"id": id, "result": result}),
        Err(error) => json!({"id": id, "error": error}),
    })
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        if let Some(reply) = answer(&request) {
            writeln!(out, "{reply}")?;
            out.flush()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(tool: &str, args: Value) -> Value {
        answer(&json!({"id": 1, "method": "call", "params": {"tool": tool, "args": args}})).unwrap()
    }

    #[test]
    fn it_greets() {
        assert_eq!(call("greet", json!({"name": "Ada"}))["result"], json!({"greeting": "Hello, Ada!"}));
    }

    #[test]
    fn bad_input_is_an_error_and_not_the_end() {
        assert!(call("greet", json!({"name": []}))["error"].is_string());
        assert!(call("nothing", json!({}))["error"].is_string());
    }
}
