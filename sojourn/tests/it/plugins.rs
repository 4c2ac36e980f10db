//! Plugins as their authors and their users meet them: the examples, the templates, and a run that asks them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::{endpoint, sojourn};
use serde_json::{Value, json};
use sojourn_testkit::{has, skipped};
use std::path::{Path, PathBuf};
use std::process::Command;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/plugins")
}

fn checked(place: &Path, plugin: &Path) -> Value {
    let output = sojourn(place, &["tools", "check", plugin.to_str().unwrap(), "--json"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{err}", plugin.display());
    serde_json::from_str(&out).unwrap()
}

/// Where the packages that components are made of stay compiled.
fn components() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("components")
}

/// Builds a component; says so where Rust cannot.
fn built(directory: &Path) -> bool {
    let _ = Command::new("rustup").args(["target", "add", "wasm32-wasip2"]).output();
    let output = Command::new("cargo")
        .args(["build", "--release", "--target", "wasm32-wasip2"])
        .current_dir(directory)
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", components())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("target may not be installed") {
        skipped("Rust has no target wasm32-wasip2 here");
        return false;
    }
    assert!(output.status.success(), "{said}");
    let settings = std::fs::read_to_string(directory.join("tool.toml")).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    let component = Path::new(settings["component"].as_str().unwrap());
    std::fs::create_dir_all(directory.join(component.parent().unwrap())).unwrap();
    let built = components().join("wasm32-wasip2/release").join(component.file_name().unwrap());
    std::fs::copy(built, directory.join(component)).unwrap();
    true
}

fn assert_sound(plugin: &Path) {
    let place = tempfile::tempdir().unwrap();
    let report = checked(place.path(), plugin);
    assert_eq!(report["examples"][0]["passed"], true, "{report}");
    let read: Vec<&Value> =
        report["tools"].as_array().unwrap().iter().filter(|tool| tool["calls"].as_u64() > Some(0)).collect();
    assert!(!read.is_empty(), "{report}");
}

#[test]
fn the_examples_are_sound() {
    for (plugin, program) in [("python", "python3"), ("node", "node")] {
        if has(program) {
            assert_sound(&examples().join(plugin));
        }
    }
}

/// A template's language, the program that it needs, and that program's arguments to test and to build a plugin.
type Template = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// Creates a plugin of each template below `place`, tests, checks and calls it. Returns an agent file with those plugins.
fn new_plugins(place: &Path, templates: &[Template]) -> String {
    let mut agent = "environment = \"crafter\"\nmodel = \"m\"\n".to_owned();
    let mut made = Vec::new();
    for &(lang, program, test, build) in templates {
        if !has(program) {
            continue;
        }
        let name = format!("my-{lang}");
        let output = sojourn(place, &["tools", "new", &name, "--lang", lang]);
        let (said, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{err}");
        let plugin = place.join(&name);
        if lang == "wasm" && !built(&plugin) {
            continue;
        }
        if lang == "rust" {
            // What is not built cannot be started, and what to do is said.
            let unbuilt = sojourn(place, &["tools", "check", &name]);
            let told = String::from_utf8_lossy(&unbuilt.stderr).into_owned();
            assert!(!unbuilt.status.success() && told.contains("build it first if it is compiled"), "{told}");
            // The package that it needs is one of this repository's: it is here already.
            let lock = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("Cargo.lock");
            std::fs::copy(lock, plugin.join("Cargo.lock")).unwrap();
        }
        for args in [test, build].into_iter().filter(|args| !args.is_empty()) {
            let mut run = Command::new(program);
            let run = run.args(args).current_dir(&plugin).env_remove("RUSTFLAGS");
            let run = match lang {
                "wasm" => run.env("CARGO_TARGET_DIR", components()),
                _ => run.env_remove("CARGO_TARGET_DIR"),
            };
            let done = run.output().unwrap();
            assert!(done.status.success(), "{lang}: {}", String::from_utf8_lossy(&done.stderr));
        }
        let report = checked(place, &plugin);
        assert_eq!(report["examples"][0]["passed"], true, "{report}");
        let again = sojourn(place, &["tools", "new", &name, "--lang", lang]);
        assert_eq!(again.status.code(), Some(2), "it would write over what is there");
        // What it says of an agent file is put into one.
        let table = said
            .lines()
            .skip_while(|line| !line.starts_with("  [tools."))
            .take_while(|line| !line.is_empty());
        table.for_each(|line| agent.extend([line, "\n"]));
        made.push(format!("my_{lang}_greet"));
    }
    std::fs::write(place.join("agent.toml"), &agent).unwrap();
    for tool in made {
        let output = sojourn(place, &["tools", "call", "agent.toml", &tool, r#"{"name": "Ada"}"#, "--json"]);
        let told = String::from_utf8_lossy(&output.stderr);
        let outcome: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{tool}: {told}{agent}"));
        assert_eq!(outcome["value"], json!({"greeting": "Hello, Ada!"}), "{tool}");
    }
    agent
}

#[test]
fn a_new_plugin_passes_its_own_test_and_the_check() {
    let place = tempfile::tempdir().unwrap();
    let templates: [Template; 3] = [
        ("python", "python3", &["-m", "unittest"], &[]),
        ("node", "node", &["--test"], &[]),
        ("rust", "cargo", &["test", "--quiet", "--offline"], &["build", "--release", "--quiet", "--offline"]),
    ];
    let agent = new_plugins(place.path(), &templates);
    if !agent.contains("[tools.") {
        return;
    }
    // A source that does not start is not passed over in silence.
    let gone = agent.replace("[tools.my_", "[tools.no_").replace("my-", "no-");
    std::fs::write(place.path().join("gone.toml"), gone).unwrap();
    let listed = sojourn(place.path(), &["tools", "list", "gone.toml"]);
    let told = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(listed.status.success() && told.contains("the tools of `no_"), "{told}");
}

#[test]
fn a_request_and_a_directory_are_plugins() {
    let place = tempfile::tempdir().unwrap();
    let report = checked(place.path(), &examples().join("files"));
    assert_eq!(
        (&report["examples"][0]["passed"], &report["examples"][1]["passed"]),
        (&json!(true), &json!(true))
    );

    if has("python3") {
        // The service of the example, at a port that is free here.
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let http = examples().join("http");
        let mut service = Command::new("python3").arg(http.join("service.py")).arg(&port).spawn().unwrap();
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            assert!(begun.elapsed().as_secs() < 30, "the service does not come up");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let plugin = place.path().join("http");
        std::fs::create_dir(&plugin).unwrap();
        let text = std::fs::read_to_string(http.join("tool.toml")).unwrap().replace("8791", &port);
        std::fs::write(plugin.join("tool.toml"), text).unwrap();
        let check = |key: &str| {
            let args = ["tools", "check", plugin.to_str().unwrap(), "--json"];
            let output = crate::support::command(place.path(), &args).env("TIDES_KEY", key).output().unwrap();
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        let (right, wrong) = (check("open sesame"), check("abracadabra"));
        service.kill().unwrap();
        service.wait().unwrap();
        assert_eq!(right["examples"][0]["passed"], true, "{right}");
        assert!(wrong["examples"][0]["problem"].as_str().unwrap().contains("the key is wrong"), "{wrong}");
        assert!(!wrong.to_string().contains("abracadabra"));
    }
}

#[test]
fn a_check_names_the_faults_of_a_plugin() {
    if !has("python3") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let plugin = place.path().join("bad");
    std::fs::create_dir(&plugin).unwrap();
    let source = "import json, sys
for line in sys.stdin:
    ask = json.loads(line)
    if ask['method'] == 'describe':
        tools = [{'name': 'half', 'effects': {}, 'input': {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}}]
        print(json.dumps({'id': ask['id'], 'result': {'tools': tools}}), flush=True)
    elif ask['method'] == 'call':
        print(json.dumps({'id': ask['id'], 'result': ask['params']['args']['n'] // 2}), flush=True)
";
    std::fs::write(plugin.join("plugin.py"), source).unwrap();
    let manifest = "kind = \"process\"\ncommand = [\"python3\", \"plugin.py\"]\n\
                    [[example]]\ntool = \"half\"\nargs = { n = 5 }\nresult = 2.5\n";
    std::fs::write(plugin.join("tool.toml"), manifest).unwrap();
    let output = sojourn(place.path(), &["tools", "check", "bad", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["examples"][0]["problem"], "expected 2.5, got 2");
    let problems = report["tools"][0]["problems"].to_string();
    assert!(problems.contains("no description") && problems.contains("given no arguments"), "{problems}");
    let nothing = sojourn(place.path(), &["tools", "check", "."]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("tools new NAME --lang python"));
}

#[test]
fn a_run_asks_a_plugin_and_its_replay_does_not() {
    if !has("python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    let plugin = examples().join("python/dice.py");
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [run]\nlibrary = false\nmemory = false\n\
         [tools.dice]\nkind = \"process\"\ncommand = [\"python3\", {:?}]\n\
         [tools.notes]\nkind = \"files\"\nroot = \".\"\n",
        endpoint(),
        plugin.to_str().unwrap()
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    let run = |args: &[&str]| {
        let output = sojourn(place, args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listed: Value = serde_json::from_str(&run(&["tools", "list", "agent.toml", "--json"])).unwrap();
    let names: Vec<&str> = listed["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["tool"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["dice_roll", "notes_list", "notes_read", "notes_search"]);
    let rolled: Value = serde_json::from_str(&run(&[
        "tools",
        "call",
        "agent.toml",
        "dice_roll",
        r#"{"sides": 2}"#,
        "--json",
    ]))
    .unwrap();
    assert!(rolled["value"][0].as_u64().unwrap() <= 2);

    // The scripted model takes the first option, a primitive; tools are told of in its prompts and in the log.
    let result: Value = serde_json::from_str(&run(&["run", "agent.toml", "--steps", "5", "--json"])).unwrap();
    let id = result["run"].as_str().unwrap();
    let log = run(&["log", id]);
    assert!(log.contains("tools appeared: dice_roll, notes_list, notes_read, notes_search"), "{log}");
    let verdict: Value = serde_json::from_str(&run(&["replay", id, "--verify", "--json"])).unwrap();
    assert_eq!(verdict["matched"], json!(true));
}

mod with_network {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_wasm_example_is_sound() {
        let directory = examples().join("wasm");
        if has("cargo") && built(&directory) {
            assert_sound(&directory);
        }
    }

    #[test]
    fn a_new_wasm_plugin_passes_its_own_test_and_the_check() {
        let place = tempfile::tempdir().unwrap();
        let template: Template = ("wasm", "cargo", &["test", "--quiet"], &[]);
        new_plugins(place.path(), &[template]);
    }

    #[test]
    fn a_server_of_others_is_a_plugin() {
        if !has("npx") {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let plugin = place.path().join("mcp");
        std::fs::create_dir(&plugin).unwrap();
        std::fs::copy(examples().join("mcp/tool.toml"), plugin.join("tool.toml")).unwrap();
        // What npx would fetch is put where it looks first.
        let fetched = Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline"])
            .arg("@modelcontextprotocol/server-filesystem@2026.8.31")
            .current_dir(&plugin)
            .status();
        if !fetched.is_ok_and(|status| status.success()) {
            skipped("npm cannot fetch the server");
            return;
        }
        let there = || -> BTreeSet<_> {
            std::fs::read_dir(&plugin).unwrap().flatten().map(|entry| entry.file_name()).collect()
        };
        let before = there();
        let report = checked(place.path(), &plugin);
        assert_eq!(
            (&report["examples"][0]["passed"], &report["examples"][1]["passed"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(there(), before, "what writes is not called by chance, also where it does the same twice");
    }
}
