use sojourn_tools::ToolCall;
use sojourn_tools::outside::terminal::escaped_json;

/// A call as JavaScript source on one line: `open("door", 2)`. Arguments stand in the order in which the call has them.
pub fn as_javascript(call: &ToolCall) -> String {
    let args: Vec<String> =
        call.args.values().map(|value| escaped_json(&value.to_string()).into_owned()).collect();
    format!("{}({})", call.name, args.join(", "))
}
