use serde_json::Value;
use sojourn_tools::ToolCall;

/// A call as JavaScript source: `open("door", 2)`. Arguments stand in the order in which the call has them.
pub fn as_javascript(call: &ToolCall) -> String {
    let args: Vec<String> = call.args.values().map(Value::to_string).collect();
    format!("{}({})", call.name, args.join(", "))
}
