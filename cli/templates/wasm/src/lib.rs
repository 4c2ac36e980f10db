//! PLUGIN_NAME: tools for a Sojourn agent, as a WebAssembly component.
//!
//! rustup target add wasm32-wasip2
//! cargo build --release --target wasm32-wasip2

use serde_json::{Value, json};

wit_bindgen::generate!({ path: "wit", world: "plugin" });

struct Plugin;
export!(Plugin);

impl Guest for Plugin {
    fn describe() -> String {
        json!({"tools": [{
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
        }]})
        .to_string()
    }

    fn call(request: Request) -> Result<String, String> {
        let args: Value = serde_json::from_str(&request.args).map_err(|error| error.to_string())?;
        match request.tool.as_str() {
            "greet" => greet(&args),
            other => Err(format!("no tool `{other}`")),
        }
        .map(|value| value.to_string())
    }
}

fn greet(args: &Value) -> Result<Value, String> {
    let name = args["name"].as_str().ok_or("name is not a text")?;
    Ok(json!({"greeting": format!("Hello, {name}!")}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets() {
        assert_eq!(greet(&json!({"name": "Ada"})), Ok(json!({"greeting": "Hello, Ada!"})));
    }

    #[test]
    fn bad_input_is_an_error_and_not_the_end() {
        assert!(greet(&json!({"name": []})).is_err());
    }
}
