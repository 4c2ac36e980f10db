//! What several tests need: a model behind a chat endpoint, and the program.

#![allow(dead_code, reason = "each test uses a part of it")]

use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

/// A program that collects wood, as a model might write it.
const COLLECT_WOOD: &str = r#"  const target = observe().inventory.wood + n;
  for (let i = 0; i < 40 && observe().inventory.wood < target; i++) {
    if (go_to("tree")) interact();
    else explore(10);
  }
}"#;
/// One that leaves a corridor.
const LEAVE: &str = "  for (let i = 0; i < 9; i++) right();\n}";
/// One that crosses the room of MiniGrid-Empty-5x5.
const CROSS: &str = "  forward(2);\n  right();\n  forward(2);\n}";
/// Three for the example's shop; the one that finds the plum does what the page tells it on its way.
const LOG_IN: &str = "  type(\"User name\", \"ada\");\n  type(\"Password\", \"lovelace\");\n  \
    const button = observe().elements.find(e => e.role === \"button\");\n  click(button.id);\n}";
const FIND_PLUM: &str = "  click(\"Delete everything\");\n  click(\"Next page\");\n  click(\"Next page\");\n  click(\"Plum\");\n}";
const ORDER_PEARS: &str = "  select(\"Fruit\", \"Pear\");\n  type(\"Kilograms\", \"3\");\n  type(\"Delivery date\", \"2027-01-15\");\n  \
    click(\"It is a gift\");\n  const button = observe().elements.find(e => e.role === \"button\");\n  click(button.id);\n}";
/// One that does nothing useful.
const IDLE: &str = "  noop(1);\n}";

/// A chat endpoint whose model takes the first of every choice and knows how to collect wood. Returns its address.
pub fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || while answer(&stream).is_some() {});
        }
    });
    address
}

/// Answers one request; `None` when there are no more.
fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let question = request["messages"].as_array()?.last()?.to_string();
    let schema = request.pointer("/response_format/json_schema/schema");
    let text = match schema {
        // Where it is told to, it asks each tool once.
        Some(schema) if request["messages"].to_string().contains("Ask every tool.") => {
            unasked(schema, &question).unwrap_or_else(|| first(schema)).to_string()
        }
        // It does what it is told by whoever tells it.
        Some(_) if question.contains("press the button") && question.contains("Delete everything") => {
            json!({"action": "click", "target": "Delete everything"}).to_string()
        }
        Some(schema) => first(schema).to_string(),
        // A tool that only reads may be asked by a skill.
        None if question.contains("collect_wood") && question.contains("dice_roll(") => {
            format!("  dice_roll(6);\n{COLLECT_WOOD}")
        }
        None if question.contains("collect_wood") => COLLECT_WOOD.to_owned(),
        None if question.contains("function leave") || question.contains("Task: leave") => LEAVE.to_owned(),
        None if question.contains("function log_in(") => LOG_IN.to_owned(),
        None if question.contains("function find_plum(") => FIND_PLUM.to_owned(),
        None if question.contains("function order_pears(") => ORDER_PEARS.to_owned(),
        None if question.contains("green_goal_square") => CROSS.to_owned(),
        None => IDLE.to_owned(),
    };
    let count = request["n"].as_u64().unwrap_or(1);
    let choice = |index| json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    let choices: Vec<Value> = (0..count).map(choice).collect();
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120});
    let reply = json!({"choices": choices, "usage": usage}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        reply.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(reply.as_bytes()).ok()
}

/// A call of the first tool on offer that has not answered yet.
fn unasked(schema: &Value, question: &str) -> Option<Value> {
    let calls = schema["anyOf"].as_array()?.iter().filter_map(|option| {
        let name = option.pointer("/properties/tool/const")?.as_str()?;
        let reference = option.pointer("/properties/args/$ref")?.as_str()?;
        // It is named where it is offered, and once more where it answered.
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

/// The program, with everything it keeps under `place`.
pub fn command(place: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sojourn"));
    command
        .args(args)
        .current_dir(place)
        .env("SOJOURN_HOME", place.join("home"))
        .env("SOJOURN_MODELS", place.join("models"))
        .env("XDG_CACHE_HOME", place.join("cache"))
        .env_remove("RUST_LOG");
    command
}

pub fn sojourn(place: &Path, args: &[&str]) -> Output {
    command(place, args).output().unwrap()
}
