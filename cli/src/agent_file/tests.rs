//! What an agent file may say, and the errors for what it may not.

use super::AgentFile;
use anyhow::Result;
use sojourn_controller::openai::Price;
use sojourn_core::{Prices, RunConfig};
use sojourn_sandbox::Limits;
use sojourn_skills::grammar::Language;
use sojourn_tools::{Effects, EnvironmentSpec, SourceSettings, SpecOnlyEnvironment, ToolSpec};
use std::path::Path;

fn parse(text: &str, overrides: &[&str]) -> Result<AgentFile, String> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    AgentFile::parse(text, "agent.toml", Path::new("dir"), &overrides).map_err(|error| error.to_string())
}

#[test]
fn errors_say_where_and_what_was_meant() {
    for (text, expected) in [
        (
            "environment = \"crafter\"\nmodle = \"x\"\n",
            "agent.toml:2:1: unknown key `modle`; did you mean `model`?",
        ),
        (
            "environment = \"crafter\"\n[run.budgets]\nstep = 3\n",
            "agent.toml:3:1: unknown key `step`; did you mean `steps`?",
        ),
        (
            "environment = \"crafter\"\n[controller]\nkind = \"lama\"\n",
            "agent.toml:3:8: unknown value `lama`; did you mean `llama`?",
        ),
        ("model = \"x\"\n", "agent.toml: there is no key `environment`"),
        (
            "environment = \"crafter\"\n[controller]\nkind = \"openai\"\n",
            "agent.toml: `controller.kind` is \"openai\", but there is no `controller.base_url`",
        ),
    ] {
        assert_eq!(parse(text, &[]).unwrap_err(), expected);
    }
    let syntax = parse("environment = \"crafter\"\nmodel = [\n", &[]).unwrap_err();
    assert!(syntax.starts_with("agent.toml:"), "{syntax}");
    let wrong_type = parse("environment = \"crafter\"\n[run]\nseed = \"one\"\n", &[]).unwrap_err();
    assert!(wrong_type.starts_with("agent.toml:3:8: invalid type"), "{wrong_type}");
}

#[test]
fn request_limits_and_prices_of_a_server_are_read() {
    let text = "environment = \"crafter\"\nmodel = \"m\"\n[controller]\nkind = \"openai\"\n\
                base_url = \"http://localhost/v1\"\nstream = false\ntimeout_ms = 9000\nmax_attempts = 2\n\
                requests_per_minute = 30\nmax_concurrent = 4\nprice = { prompt = 0.5, completion = 2 }\n";
    let agent = parse(text, &[]).unwrap();
    let settings = &agent.controller;
    assert_eq!(
        (settings.stream, settings.timeout_ms, settings.max_attempts),
        (Some(false), Some(9000), Some(2))
    );
    assert_eq!((settings.requests_per_minute, settings.max_concurrent), (Some(30), Some(4)));
    assert_eq!(settings.price, Some(Price { prompt: 0.5, cached: None, completion: 2.0 }));
    // The budget counts in the same money, at the full price where no price of cached tokens is given.
    assert_eq!(agent.run.prices, Some(Prices { prompt: 0.5, cached: 0.5, completion: 2.0 }));
    let own = parse(text, &["run.prices={prompt=1, completion=1}"]).unwrap();
    assert_eq!(own.run.prices, Some(Prices { prompt: 1.0, cached: 0.0, completion: 1.0 }));
    for (assignment, part) in [
        ("controller.stramm=true", "unknown key `stramm`; did you mean `stream`?"),
        ("controller.price={promt=1, completion=1}", "unknown key `promt`; did you mean `prompt`?"),
        ("controller.price={prompt=1}", "there is no key `completion`"),
    ] {
        let error = parse(text, &[assignment]).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn names_of_earlier_settings_are_unknown_keys() {
    for key in ["draft=\"m\"", "prompt_memory_mib=1", "keep_prefixes=true"] {
        let error = parse("environment = \"crafter\"\n", &[&format!("controller.{key}")]).unwrap_err();
        assert!(error.contains("unknown key"), "{error}");
    }
}

#[test]
fn tools_and_their_policy_are_read_and_checked() {
    let text = "environment = \"crafter\"\n[tools.notes]\nkind = \"files\"\nroot = \"notes\"\n\
                [[policy.rule]]\ntool = \"notes_*\"\nthen = \"allow\"\n";
    let agent = parse(text, &["run.tools.shown=3"]).unwrap();
    assert!(matches!(agent.tools["notes"], SourceSettings::Files(_)));
    let settings = agent.run.tools.unwrap();
    assert_eq!((settings.shown, settings.policy.rules.len()), (3, 1));
    assert_eq!(parse("environment = \"crafter\"\n", &[]).unwrap().run.tools, None);
    for (text, part) in [
        ("[tools.x]\nkind = \"file\"\n", "unknown value `file`; did you mean `files`?"),
        (
            "[tools.x]\nkind = \"process\"\ncommand = [\"a\"]\nenvv = [\"B\"]\n",
            "unknown key `envv`; did you mean `env`?",
        ),
        ("[[policy.rule]]\ntool = \"a[\"\nthen = \"allow\"\n", "policy: rule 1: `a[` is not a valid pattern"),
    ] {
        let error = parse(&format!("environment = \"crafter\"\n{text}"), &[]).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_policy_that_leaves_nothing_to_do_in_a_world_is_refused_at_the_start() {
    let action = |name: &str| ToolSpec {
        effects: Effects { write: true, ..Effects::default() },
        ..ToolSpec::new(name, "")
    };
    let spec = |deterministic| EnvironmentSpec {
        name: "office".to_owned(),
        deterministic,
        tools: vec![ToolSpec::new("observe", ""), action("file"), action("send_mail")],
        ..unknown_world()
    };
    let check = |rules: &str, deterministic: bool| {
        let agent = parse(&format!("environment = \"crafter\"\n{rules}"), &[]).unwrap();
        agent
            .check_actions(&SpecOnlyEnvironment::new(spec(deterministic)))
            .map_err(|failure| failure.to_string())
    };
    let rule = |tool: &str, then: &str| format!("[[policy.rule]]\ntool = {tool:?}\nthen = {then:?}\n");
    assert_eq!(check("", false), Ok(()));
    assert_eq!(check(&rule("send_*", "deny"), false), Ok(()), "the other action is left");
    assert_eq!(check(&rule("*", "deny"), true), Ok(()), "nothing real happens in this world");
    let nothing = check(&rule("*", "deny"), false).unwrap_err();
    assert!(nothing.contains("rule 1 leaves no action of the environment `office`"), "{nothing}");
    assert_eq!(check(&(rule("file", "allow") + &rule("*", "deny")), false), Ok(()));
    let asked = check(&rule("send_mail", "ask"), false).unwrap_err();
    assert!(asked.contains("rule 1 asks about `send_mail`"), "{asked}");
}

/// A world without anything.
fn unknown_world() -> EnvironmentSpec {
    serde_json::from_value(serde_json::json!({
        "name": "", "version": "", "deterministic": false, "about": "", "tools": [], "actions": [], "tasks": [],
        "recipes": [], "examples": [], "vitals": [],
    }))
    .unwrap()
}

#[test]
fn limits_reach_the_settings_of_the_run() {
    let text = "environment = \"crafter\"\n[limits]\nfuel = 5\nwall = \"3s\"\n[limits.reflex]\nfuel = 7\n";
    let agent = parse(text, &["limits.depth=2"]).unwrap();
    let actor = &agent.run.actor;
    let base = RunConfig::default().actor.limits;
    let wall = std::time::Duration::from_secs(3);
    assert_eq!(actor.limits, Limits { fuel: 5, wall, depth: 2, ..base.clone() });
    assert_eq!(actor.tick_limits(), Limits { fuel: 7, ..Limits::reflex() });
    let silent = parse("environment = \"crafter\"\n[limits]\n", &[]).unwrap();
    assert_eq!((&silent.run.actor.limits, &silent.run.actor.reflex_limits), (&base, &None));
}

#[test]
fn limits_that_cannot_be_are_refused() {
    for (limits, expected) in [
        ("[limits]\nfule = 5\n", "agent.toml:2:1: unknown key `fule`; did you mean `fuel`?"),
        ("[limits.reflex]\nfule = 5\n", "agent.toml:2:2: reflex: unknown key `fule`; did you mean `fuel`?"),
        ("[limits]\ndepth = 0\n", "agent.toml:2:1: `depth` cannot be 0: the outermost call counts as one"),
        (
            "[run.actor.limits]\ndepth = 0\n",
            "agent.toml: limits: `depth` cannot be 0: the outermost call counts as one",
        ),
    ] {
        assert_eq!(parse(&format!("environment = \"crafter\"\n{limits}"), &[]).unwrap_err(), expected);
    }
    let many = parse("environment = \"crafter\"\n[limits]\nmemory_bytes = 1_000_000_000\n", &[]).unwrap_err();
    assert!(many.contains("`memory_bytes` cannot be 1000000000: the maximum is 67108864"), "{many}");
    let wrong = parse("environment = \"crafter\"\n[limits]\nwall = \"soon\"\n", &[]).unwrap_err();
    assert!(wrong.contains("a duration is written like"), "{wrong}");
}

#[test]
fn an_override_goes_before_the_file() {
    let text = "environment = \"crafter\"\n[run]\nseed = 3\n";
    let agent =
        parse(text, &["run.seed=7", "run.actor.candidates=8", "model=some-model", "run.memory=false"])
            .unwrap();
    assert_eq!((agent.run.seed, agent.run.actor.candidates, agent.run.memory), (7, 8, false));
    assert_eq!(agent.model.as_deref(), Some("some-model"));
    let given = parse("model = \"x\"", &["environment=crafter"]).unwrap();
    assert_eq!(given.environment.name(), Some("crafter"));
}

#[test]
fn a_bad_override_is_named() {
    let text = "environment = \"crafter\"\n";
    for (assignment, expected) in [
        ("run.sed=7", "--set run.sed=7: unknown key `sed`; did you mean `seed`?"),
        ("seed", "--set seed: there is no `=`"),
        ("=3", "--set =3: there is no key"),
        ("environment.x=3", "--set environment.x=3: `environment` is not a table"),
    ] {
        assert_eq!(parse(text, &[assignment]).unwrap_err(), expected);
    }
}

#[test]
fn files_are_looked_for_beside_the_agent_file() {
    let agent = parse("environment = \"crafter\"", &[]).unwrap();
    assert_eq!(agent.resolve_model("models/a.gguf"), "dir/models/a.gguf");
    assert_eq!(agent.resolve_model("/models/a.gguf"), "/models/a.gguf");
    assert_eq!(agent.resolve_model("qwen2.5-coder-1.5b-instruct"), "qwen2.5-coder-1.5b-instruct");
}

#[test]
fn a_server_that_cannot_constrain_is_asked_for_whole_functions_in_javascript() {
    let actor = |dialect: &str, more: &str, overrides: &[String]| {
        let text = format!(
            "environment = \"crafter\"\nmodel = \"m\"\n[controller]\nkind = \"openai\"\nbase_url = \"http://localhost/v1\"\n{dialect}\n{more}"
        );
        AgentFile::parse(&text, "agent.toml", Path::new(""), overrides).unwrap().run.actor
    };
    let chat = actor("", "", &[]);
    assert_eq!((chat.language, chat.max_tokens), (Language::JavaScript, 1200));
    let constrained = actor("dialect = \"llama_cpp\"", "", &[]);
    assert_eq!((constrained.language, constrained.max_tokens), (Language::Subset, 240));
    let said = actor("", "[run.actor]\nlanguage = \"subset\"", &["run.actor.max_tokens=300".to_owned()]);
    assert_eq!((said.language, said.max_tokens), (Language::Subset, 300));
}

#[test]
fn a_directory_that_may_be_written_and_holds_the_agent_file_is_warned_of() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("notes")).unwrap();
    let file = place.path().join("agent.toml");
    for (root, write, is_warned_of) in [(".", true, true), ("notes", true, false), (".", false, false)] {
        let tools = format!("[tools.n]\nkind = \"files\"\nroot = \"{root}\"\nwrite = {write}\n");
        let text = format!("environment = \"crafter\"\n{tools}");
        std::fs::write(&file, &text).unwrap();
        let agent = AgentFile::parse(&text, "agent.toml", place.path(), &[]).unwrap();
        let warned =
            agent.write_warnings(&file).iter().any(|warning| warning.contains("`n_write` can change"));
        assert_eq!(warned, is_warned_of, "{tools}");
    }
}
