//! The agent file: what an agent lives in, thinks with and is told.
//!
//! Every error names the file, and where it is in the text also the line and the column.

mod controller;

pub use controller::{ControllerKind, ControllerSettings};

use crate::approver;
use crate::environments::{self, EnvironmentChoice, gym};
use crate::error::{Failure, Kind};
use crate::vectors::Vectors;
use anyhow::Result;
use serde::Deserialize;
use sojourn_core::{Prices, Redactor, ReflexSource, RunConfig};
use sojourn_sandbox::{LimitSettings, Limits, LimitsError};
use sojourn_tools::{CallLimits, Policy, PolicyFile, SourceSettings, Toolbox};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// How long a source may take to say what it offers before the run begins without it.
const READY: Duration = Duration::from_secs(20);
/// How long it may take where somebody has to sign in first.
const SIGNED_IN: Duration = Duration::from_mins(6);

/// An agent as its file describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// The environment's name.
    pub environment: EnvironmentChoice,
    /// The controller's model: a name from the catalogue, a file, or what the server calls it.
    pub model: Option<String>,
    /// The model that embeds memories: a name from the catalogue, a file, or "none".
    pub embedding: Option<String>,
    /// JavaScript files of the reflexes, the first one first; relative to the agent file.
    #[serde(default)]
    pub reflexes: Vec<PathBuf>,
    /// Environment variables whose values must not get into the log, into prompts or into errors. The controller's
    /// `api_key_env` and what tools call secret are always among them.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Where tools besides the environment's come from, by name.
    #[serde(default)]
    pub tools: BTreeMap<String, SourceSettings>,
    /// What may be called of them: a table, or the name of a file that holds one.
    #[serde(default)]
    pub policy: Option<PolicyPlace>,
    /// How the model is run.
    #[serde(default)]
    pub controller: ControllerSettings,
    /// Where memories are found.
    #[serde(default)]
    pub memory: MemorySettings,
    /// What a call of a skill and a tick of a reflex may use.
    #[serde(default)]
    pub limits: LimitSettings,
    /// How the agent lives and learns.
    #[serde(default)]
    pub run: RunConfig,
    /// The directory that paths are relative to.
    #[serde(skip)]
    pub directory: PathBuf,
    /// Whether it is the example that is built in, whose reflexes are the environment's own.
    #[serde(skip)]
    pub built_in: bool,
}

/// A policy, or where it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PolicyPlace {
    /// In a file of its own, relative to the agent file.
    File(PathBuf),
    /// Here.
    Here(PolicyFile),
}

/// Where memories are found.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// "embedded", or the address of a Qdrant server.
    pub vectors: Vectors,
}

impl AgentFile {
    /// Reads an agent file and applies `KEY=VALUE` overrides to it.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self> {
        if let Some(example) = path.to_str().and_then(example)
            && !path.exists()
        {
            return Ok(Self {
                built_in: true,
                ..Self::parse(&example, "the built-in example", Path::new(""), overrides)?
            });
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            missing(path, &error).hint("an agent file to start from is examples/crafter/agent.toml")
        })?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, &path.display().to_string(), &directory, overrides)
    }

    /// Reads the text of an agent file named `name`, whose paths are relative to `directory`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, name: &str, directory: &Path, overrides: &[String]) -> Result<Self> {
        let mut agent: Self = match toml::from_str(text) {
            Ok(agent) if overrides.is_empty() => agent,
            // What the file lacks an override may give.
            Err(error) if overrides.is_empty() || !error.message().starts_with("missing field") => {
                return Err(located(&error, text, name).into());
            }
            _ => {
                let mut table: Table = toml::from_str(text).map_err(|error| located(&error, text, name))?;
                for assignment in overrides {
                    assign(&mut table, assignment)?;
                    // Tried one by one, so that the error names the override it comes from.
                    if let Err(error) = table.clone().try_into::<Self>()
                        && !error.message().starts_with("missing field")
                    {
                        return Err(Failure::new(
                            Kind::Usage,
                            format!("--set {assignment}: {}", plain(error.message())),
                        )
                        .into());
                    }
                }
                table.try_into().map_err(|error| located(&error, text, name))?
            }
        };
        directory.clone_into(&mut agent.directory);
        agent.run.reflexes.get_or_insert_default();
        agent.run.exploration.get_or_insert_default();
        agent.account();
        agent.limit(name)?;
        agent.equip(name)?;
        agent.check(name)?;
        Ok(agent)
    }

    /// The reflexes' sources; each is named after its file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn reflex_sources(&self) -> Result<Vec<ReflexSource>> {
        if self.built_in {
            return Ok(self.environment.name().map(environments::reflexes).unwrap_or_default());
        }
        let read = |path: &PathBuf| {
            let path = self.directory.join(path);
            let source = std::fs::read_to_string(&path).map_err(|error| {
                missing(&path, &error)
                    .hint("`reflexes` of the agent file names it; paths are relative to that file")
            })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(ReflexSource { name, source })
        };
        self.reflexes.iter().map(read).collect()
    }

    /// What keeps the declared secrets out of the log. A variable that is not set hides nothing.
    pub fn redactor(&self) -> Redactor {
        let names = self.secrets.iter().chain(&self.controller.api_key_env).map(String::as_str);
        let names = names.chain(self.environment.secret());
        let names = names.chain(self.tools.values().flat_map(SourceSettings::secrets));
        Redactor::new(names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))))
    }

    /// A model's name, or its path from where the program runs.
    pub fn resolve_model(&self, name: &str) -> String {
        let path = Path::new(name);
        let is_path = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if is_path && path.is_relative() && !name.contains("://") {
            return self.directory.join(path).to_string_lossy().into_owned();
        }
        name.to_owned()
    }

    /// Puts the price where the budget of a run finds it, unless the run has its own.
    fn account(&mut self) {
        let Some(price) = self.controller.price else { return };
        let cached = price.cached.unwrap_or(price.prompt);
        let prices = Prices { prompt: price.prompt, cached, completion: price.completion };
        self.run.prices.get_or_insert(prices);
    }

    /// Puts the limits where a run, and its replay, finds them.
    fn limit(&mut self, name: &str) -> Result<(), Failure> {
        let bad = |error: LimitsError| Failure::new(Kind::Usage, format!("{name}: limits: {error}"));
        let actor = &mut self.run.actor;
        actor.limits = self.limits.skill(&actor.limits).map_err(bad)?;
        actor.limits.check().map_err(bad)?;
        let reflex = self.limits.reflex().map_err(bad)?;
        if reflex != Limits::reflex() {
            actor.reflex_limits = Some(reflex);
        }
        Ok(())
    }

    /// Puts the policy where a run, and its replay, finds it.
    fn equip(&mut self, name: &str) -> Result<()> {
        let policy = match &self.policy {
            None if self.tools.is_empty() => return Ok(()),
            None => PolicyFile::default(),
            Some(PolicyPlace::Here(policy)) => policy.clone(),
            Some(PolicyPlace::File(path)) => {
                let path = self.directory.join(path);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    missing(&path, &error)
                        .hint("`policy` of the agent file names it; paths are relative to that file")
                })?;
                toml::from_str(&text).map_err(|error| located(&error, &text, &path.display().to_string()))?
            }
        };
        if let Err(error) = Policy::new(policy.clone()) {
            return Err(Failure::new(Kind::Usage, format!("{name}: policy: {error}")).into());
        }
        self.run.tools.get_or_insert_default().policy = policy;
        Ok(())
    }

    /// Opens where tools come from, and waits a little for what they offer; `None` where the file names none.
    ///
    /// # Errors
    /// When one cannot be used as it is described. One that cannot be reached is no error: it is tried again.
    pub async fn toolbox(&self) -> Result<Option<Toolbox>> {
        if self.tools.is_empty() {
            return Ok(None);
        }
        // Not in the home of a run: whoever is given that should not be signed in with it.
        let tokens =
            directories::ProjectDirs::from("", "", "sojourn").map(|dirs| dirs.data_dir().join("oauth"));
        let (mut sources, mut waits) = (Vec::with_capacity(self.tools.len()), Vec::new());
        for (name, settings) in &self.tools {
            let opened = settings.open(name, &self.directory, approver::person(), tokens.clone());
            let source = opened.map_err(|error| {
                Failure::new(Kind::Usage, error.to_string())
                    .hint("the README's chapter on tools shows what each kind of source needs")
            })?;
            let within =
                if settings.wants_person() && approver::person().is_some() { SIGNED_IN } else { READY };
            waits.push(within);
            sources.push(source);
        }
        let ready = sources.iter().zip(waits).map(|(source, within)| source.ready(within));
        futures_util::future::join_all(ready).await;
        Ok(Some(Toolbox::new(sources, CallLimits::default())))
    }

    fn check(&self, name: &str) -> Result<()> {
        let bad = |message: &str, hint: &str| {
            Err(Failure::new(Kind::Usage, format!("{name}: {message}")).hint(hint).into())
        };
        let settings = &self.controller;
        match settings.kind {
            ControllerKind::OpenAi if settings.base_url.is_none() => bad(
                "`controller.kind` is \"openai\", but there is no `controller.base_url`",
                "add the server's address: base_url = \"http://localhost:8080/v1\"",
            ),
            ControllerKind::OpenAi if self.model.is_none() => bad(
                "`controller.kind` is \"openai\", but there is no `model`",
                "add the name that the server knows the model by",
            ),
            ControllerKind::Llama if settings.base_url.is_some() => bad(
                "`controller.base_url` has no meaning for the kind \"llama\"",
                "add kind = \"openai\" or kind = \"served\", or remove base_url",
            ),
            ControllerKind::Served if settings.base_url.is_none() => bad(
                "`controller.kind` is \"served\", but there is no `controller.base_url`",
                "add what `sojourn models serve` says when it starts: base_url = \"http://127.0.0.1:8809\"",
            ),
            _ => Ok(()),
        }
    }
}

/// The built-in example of an environment.
fn example(environment: &str) -> Option<String> {
    match environment {
        "crafter" => Some(include_str!("../../examples/crafter/agent.toml").to_owned()),
        "miniwob" => Some(include_str!("../../examples/miniwob/agent.toml").to_owned()),
        // Nothing but the defaults fits all of Gymnasium.
        name => gym::id(name).map(|_| format!("environment = {name:?}\n")),
    }
}

fn missing(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(Kind::NotFound, format!("no file `{}`", path.display())),
        _ => Failure::new(Kind::Failure, format!("cannot read `{}`: {error}", path.display())),
    }
}

/// `agent.toml:3:7: what is wrong`.
fn located(error: &toml::de::Error, text: &str, name: &str) -> Failure {
    let place = match error.span() {
        // A span at the very beginning is the document's: something is missing from it.
        Some(span) if !error.message().starts_with("missing field") => {
            let (line, column) = position(text, span.start);
            format!("{name}:{line}:{column}")
        }
        _ => name.to_owned(),
    };
    Failure::new(Kind::Usage, format!("{place}: {}", plain(error.message())))
        .hint("`sojourn run --help` and examples/crafter/agent.toml show what an agent file may say")
}

/// Line and column, from 1, of the byte `offset`.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The deserialiser's message in this program's words: ``unknown key `modle`; did you mean `model`?``
fn plain(message: &str) -> String {
    let message = message.trim();
    if let Some(rest) = message.strip_prefix("reflex: ") {
        return format!("reflex: {}", plain(rest));
    }
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (what, Some((wrong, known))) =
        (if message.starts_with("unknown field") { "key" } else { "value" }, names.split_first())
    else {
        return message.to_owned();
    };
    if message.starts_with("missing field") {
        return format!("there is no key `{wrong}`");
    }
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message.replace('\n', "; ");
    }
    match sojourn_tools::nearest(wrong, known.iter().copied()) {
        Some(nearest) => format!("unknown {what} `{wrong}`; did you mean `{nearest}`?"),
        None => format!("unknown {what} `{wrong}`; known are {}", list(known)),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Sets `a.b.c=value` in a table. A value that is not TOML is taken for a string.
pub fn assign(table: &mut Table, assignment: &str) -> Result<(), Failure> {
    let bad = |reason: &str| {
        Failure::new(Kind::Usage, format!("--set {assignment}: {reason}"))
            .hint("write it like `--set run.actor.candidates=8`")
    };
    let (key, value) = assignment.split_once('=').ok_or_else(|| bad("there is no `=`"))?;
    let mut names: Vec<&str> = key.trim().split('.').collect();
    let last = names.pop().filter(|name| !name.is_empty()).ok_or_else(|| bad("there is no key"))?;
    let mut place = table;
    for name in names {
        let entry = place.entry(name).or_insert_with(|| Value::Table(Table::new()));
        place = entry.as_table_mut().ok_or_else(|| bad(&format!("`{name}` is not a table")))?;
    }
    let parsed =
        toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    place.insert(last.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_controller::openai::Price;

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
    fn what_a_server_may_be_asked_and_what_it_costs_is_read() {
        let text = "environment = \"crafter\"\nmodel = \"m\"\n[controller]\nkind = \"openai\"\n\
                    base_url = \"http://localhost/v1\"\nstream = false\ntimeout_ms = 9000\ntries = 2\n\
                    requests_per_minute = 30\nmax_concurrent = 4\nprice = { prompt = 0.5, completion = 2 }\n";
        let agent = parse(text, &[]).unwrap();
        let settings = &agent.controller;
        assert_eq!(
            (settings.stream, settings.timeout_ms, settings.tries),
            (Some(false), Some(9000), Some(2))
        );
        assert_eq!((settings.requests_per_minute, settings.max_concurrent), (Some(30), Some(4)));
        assert_eq!(settings.price, Some(Price { prompt: 0.5, cached: None, completion: 2.0 }));
        // The budget counts in the same money, at the full price where none is told for what was read before.
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
            ("[[policy.rule]]\ntool = \"a[\"\nthen = \"allow\"\n", "policy: rule 1: `a[` is not a pattern"),
        ] {
            let error = parse(&format!("environment = \"crafter\"\n{text}"), &[]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn limits_reach_the_settings_of_the_run() {
        let text =
            "environment = \"crafter\"\n[limits]\nfuel = 5\nwall = \"3s\"\n[limits.reflex]\nfuel = 7\n";
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
            (
                "[limits.reflex]\nfule = 5\n",
                "agent.toml:2:2: reflex: unknown key `fule`; did you mean `fuel`?",
            ),
            ("[limits]\ndepth = 0\n", "agent.toml:2:1: `depth` cannot be 0: the first call counts as one"),
            (
                "[run.actor.limits]\ndepth = 0\n",
                "agent.toml: limits: `depth` cannot be 0: the first call counts as one",
            ),
        ] {
            assert_eq!(parse(&format!("environment = \"crafter\"\n{limits}"), &[]).unwrap_err(), expected);
        }
        let many =
            parse("environment = \"crafter\"\n[limits]\nmemory_bytes = 1_000_000_000\n", &[]).unwrap_err();
        assert!(many.contains("`memory_bytes` cannot be 1000000000: it is at most 67108864"), "{many}");
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
}
