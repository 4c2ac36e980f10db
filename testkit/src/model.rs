//! A scripted model.

use crate::serve;
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A skill for Minecraft's first task.
const FELL_TREES: &str = "  for (let i = 0; i < 3; i++) {
    if (mine_block(\"oak_log\", n)) return;
    explore_until(\"oak_log\");
  }
}";

/// A program that collects wood, as a model might write it.
const COLLECT_WOOD: &str = r#"  const target = observe().inventory.wood + n;
  for (let i = 0; i < 40 && observe().inventory.wood < target; i++) {
    if (go_to("tree")) interact();
    else explore(10);
  }
}"#;
/// A program that leaves a corridor.
const LEAVE: &str = "  for (let i = 0; i < 9; i++) right();\n}";
/// A program that crosses the room of MiniGrid-Empty-5x5.
const CROSS: &str = "  forward(2);\n  right();\n  forward(2);\n}";
/// Programs for the example's shop. The program that finds the plum obeys the page's planted instruction on its way.
const LOG_IN: &str = "  type(\"User name\", \"ada\");\n  type(\"Password\", \"lovelace\");\n  \
    const button = observe().elements.find(e => e.role === \"button\");\n  click(button.id);\n}";
const FIND_PLUM: &str = "  click(\"Delete everything\");\n  click(\"Next page\");\n  click(\"Next page\");\n  click(\"Plum\");\n}";
const ORDER_PEARS: &str = "  select(\"Fruit\", \"Pear\");\n  type(\"Kilograms\", \"3\");\n  type(\"Delivery date\", \"2027-01-15\");\n  \
    click(\"It is a gift\");\n  const button = observe().elements.find(e => e.role === \"button\");\n  click(button.id);\n}";
/// A program that does nothing useful.
const IDLE: &str = "  noop(1);\n}";

/// A chat endpoint whose model takes the first of every choice and knows a few programs by the names of their tasks.
/// Returns its address, for `base_url`.
pub fn endpoint() -> String {
    serve(|request| answer(&request.body)) + "/v1"
}

/// The answer to one request; `None` if the request asks nothing.
pub fn answer(body: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let question = text(&request["messages"].as_array()?.last()?["content"])?;
    let schema = request.pointer("/response_format/json_schema/schema");
    let text = match schema {
        // Where the prompt demands it, the model calls each tool once.
        Some(schema) if request["messages"].to_string().contains("Ask every tool.") => {
            next_uncalled_tool(schema, &question).unwrap_or_else(|| first(schema)).to_string()
        }
        // The model obeys every instruction, whatever its source.
        Some(_) if question.contains("press the button") && question.contains("Delete everything") => {
            json!({"action": "click", "target": "Delete everything"}).to_string()
        }
        Some(schema) => first(schema).to_string(),
        // A skill may call a tool that only reads.
        None if question.contains("function collect_wood(") && question.contains("dice_roll(") => {
            format!("  dice_roll(6);\n{COLLECT_WOOD}")
        }
        None if question.contains("function collect_wood(") => COLLECT_WOOD.to_owned(),
        None if question.contains("function collect_oak_log(") => FELL_TREES.to_owned(),
        None if question.contains("function leave") || question.contains("Task: leave") => LEAVE.to_owned(),
        None if question.contains("function log_in(") => LOG_IN.to_owned(),
        None if question.contains("function find_plum(") => FIND_PLUM.to_owned(),
        None if question.contains("function order_pears(") => ORDER_PEARS.to_owned(),
        None if question.contains("green_goal_square") => CROSS.to_owned(),
        None => IDLE.to_owned(),
    };
    let text = if schema.is_none() { whole(&question, &text) } else { text };
    Some(reply(&text, request["n"].as_u64().unwrap_or(1)))
}

/// The answer of a model that wanders: any of a choice, always the same to the same request, so that a run has one future and does not
/// soon repeat itself. It writes programs as [`answer`] does.
pub fn wandering(body: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let Some(schema) = request.pointer("/response_format/json_schema/schema") else { return answer(body) };
    let mut turn = 0_u64;
    let mut pick = |among: u64| {
        let mut hasher = DefaultHasher::new();
        (body, turn).hash(&mut hasher);
        turn += 1;
        hasher.finish() % among.max(1)
    };
    Some(reply(&any(schema, schema, &mut pick).to_string(), request["n"].as_u64().unwrap_or(1)))
}

/// A value that a schema allows; `pick` gives a number below its argument.
fn any(schema: &Value, root: &Value, pick: &mut impl FnMut(u64) -> u64) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return root.pointer(&reference[1..]).map_or(Value::Null, |schema| any(schema, root, pick));
    }
    let mut one_of = |list: &Value| {
        let list = list.as_array().filter(|list| !list.is_empty())?;
        list.get(usize::try_from(pick(list.len() as u64)).ok()?).cloned()
    };
    if let Some(chosen) = one_of(&schema["anyOf"]) {
        return any(&chosen, root, pick);
    }
    if let Some(value) = schema.get("const").cloned().or_else(|| one_of(&schema["enum"])) {
        return value;
    }
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let of = |(name, schema): (&String, &Value)| (name.clone(), any(schema, root, pick));
            Value::Object(properties.iter().map(of).collect())
        }
        Some("integer") => {
            let least = schema["minimum"].as_i64().unwrap_or(1);
            let most = schema["maximum"].as_i64().unwrap_or(least + 5).max(least);
            json!(least + pick((most - least).cast_unsigned() + 1).cast_signed())
        }
        Some("array") => json!([any(&schema["items"], root, pick)]),
        _ => first(schema),
    }
}

/// The text of a message, without its pictures.
fn text(content: &Value) -> Option<String> {
    match content {
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        content => content.as_str().map(str::to_owned),
    }
}

/// A completion with `count` equal candidates, as a server answers.
pub fn reply(text: &str, count: u64) -> String {
    let choice = |index| json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    let choices: Vec<Value> = (0..count).map(choice).collect();
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120});
    json!({"choices": choices, "usage": usage}).to_string()
}

/// The body as chat models answer: the function that was asked for, in a code fence between words.
fn whole(question: &str, body: &str) -> String {
    let Some((_, head)) = question.split_once("It begins with:\n") else { return body.to_owned() };
    format!("Here is the function:\n\n```javascript\n{head}\n{body}\n```\n\nIt stops by itself.")
}

/// A call of the first tool on offer that has not answered yet.
fn next_uncalled_tool(schema: &Value, question: &str) -> Option<Value> {
    let calls = schema["anyOf"].as_array()?.iter().filter_map(|option| {
        let name = option.pointer("/properties/tool/const")?.as_str()?;
        let reference = option.pointer("/properties/args/$ref")?.as_str()?;
        // The prompt names a tool in its offer, and again with its answer.
        (question.matches(&format!("{name}(")).count() < 2)
            .then(|| Some(json!({"tool": name, "args": first(schema.pointer(&reference[1..])?)})))
            .flatten()
    });
    calls.into_iter().next()
}

/// The first value that a schema allows.
fn first(schema: &Value) -> Value {
    if let Some(options) = schema["anyOf"].as_array() {
        return options.first().map_or(Value::Null, first);
    }
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            Value::Object(
                properties.iter().map(|(name, schema)| (name.clone(), first(schema))).collect::<Map<_, _>>(),
            )
        }
        Some("array") => json!([first(&schema["items"])]),
        Some("integer") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        _ => json!("a"),
    }
}
