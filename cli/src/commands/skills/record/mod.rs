//! `sojourn skills record`: a skill from what a person does once in a browser, or from an episode of a run.
//!
//! A recording claims nothing. It is generalised to a program, and the program earns its place by the same trials as any other draft.

mod parameters;
mod past;
mod site;
mod success;
mod watch;

use super::change;
use super::test::SkillTester;
use crate::agent_file::AgentFile;
use crate::args::SkillRecord;
use crate::environments::{EnvironmentChoice, EnvironmentDescription};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::worlds::Worlds;
use crate::{input, output, session};
use anyhow::Result;
use parameters::{Generalised, Said, check_name, generalise};
use serde_json::{Value, json};
use site::NewSite;
use sojourn_browser::{RecordedAction, WebSettings};
use sojourn_core::{Redactor, RunConfig, now_ms};
use sojourn_skills::{Compiled, Draft, Kind as SkillKind, LibraryEvent, Origin, Skill, TrialReport};
use sojourn_tools::{Environment, EnvironmentSpec, Parameter, outside::text::cut, signature};
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use watch::{Watched, watch};

/// Programs that are tried, at most.
const TRIED: usize = 3;
/// Limit on a line of `--input`, in characters.
const LINE: usize = 10_000;

/// What was done, and on which site.
struct Source {
    settings: WebSettings,
    spec: EnvironmentSpec,
    actions: Vec<RecordedAction>,
    origin: Origin,
    /// A browser that shows the last page, for a new site.
    last: Option<Watched>,
}

/// A program of a recording, and what came of its trial.
struct Outcome {
    skill: Skill,
    report: Option<TrialReport>,
    admitted: bool,
}

/// Records, generalises and tries a skill.
pub async fn record(home: &Home, args: &SkillRecord) -> Result<ExitCode> {
    let mut named = pairs(&args.param)?;
    let lines = args.input.as_deref().map(lines).transpose()?;
    let mut declared = declared(args, lines.as_deref().unwrap_or_default())?;
    let names: Vec<String> = declared.iter().map(|(name, _)| name.clone()).collect();
    let file = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.toml", args.name)));
    let settings = match (&args.agent, &args.url) {
        (Some(agent), _) => described(home, agent, &args.name)?,
        (None, Some(url)) => {
            if file.exists() {
                return Err(Failure::new(Kind::Usage, format!("`{}` is there already", file.display()))
                    .hint("`--output FILE` names another file for the new agent; `--agent` records for a site that has one")
                    .into());
            }
            site::settings(&args.name, url, &args.allow, &names)?
        }
        (None, None) => {
            return Err(Failure::new(Kind::Usage, "there is nothing to record: give `--url`").into());
        }
    };
    let spec = explorable(&settings)?;
    check_name("the name", &args.name, &spec)?;
    for (name, _) in &named {
        check_name("the parameter", name, &spec)?;
    }
    let own = args.agent.as_ref().and_then(|_| settings.tasks.get(&args.name)).cloned();
    if let Some(task) = &own {
        named.extend(of_task(&task.parameters, &named));
        declared.extend(of_site(&settings, &declared));
    }
    let mut source = source(home, args, settings, spec, lines).await?;
    let mut known = source.settings.secrets.keys().map(String::as_str);
    let only = known.next().filter(|_| known.next().is_none());
    let said = Said { skill: &args.name, named: &named, declared: &declared, only_secret: only };
    let mut made = generalise(&said, &source.actions, &source.spec)?;
    if let Some(task) = &own {
        // What the task means without arguments is what was recorded.
        made.recording.default_to_recorded(|name| task.parameters.iter().all(|one| one.name != name));
        if let Some(missing) = made.secrets.keys().find(|name| !source.settings.secrets.contains_key(*name)) {
            return Err(Failure::new(
                Kind::Usage,
                format!("the agent file does not let a skill type the secret {missing}"),
            )
            .hint(format!(
                "add `[environment.secrets.{missing}]`, and set the environment variable {missing}"
            ))
            .into());
        }
    }
    for (name, value) in &made.values {
        sojourn_tools::secrets::learn(name, value);
    }
    let path = if let Some(agent) = &args.agent {
        agent.clone()
    } else {
        let text = new_site(args, &mut source, &made).await?;
        keeps_no_secret(&made, "the agent file", &text)?;
        site::write(&file, &text)?;
        file
    };
    let programs = made.recording.programs(&source.spec, &args.name, session::sandbox().await?, TRIED).await;
    if programs.is_empty() {
        return Err(Failure::new(Kind::Failure, "no program does what was recorded")
            .hint("what was acted on has neither words nor a place of its own; record it again in smaller steps")
            .into());
    }
    let outcome = earn(home, args, &source, &made, &programs, &path).await?;
    tell(args, &source, &made, &outcome, &path)?;
    let refused = outcome.report.is_some() && !outcome.admitted;
    Ok(if refused { ExitCode::from(Kind::Failure as u8) } else { ExitCode::SUCCESS })
}

/// The site of an agent file that has a task of this name.
fn described(home: &Home, agent: &Path, task: &str) -> Result<WebSettings> {
    let file = AgentFile::read(home.environments(), agent, &[])?;
    let EnvironmentChoice::Described(EnvironmentDescription::Web(settings)) = file.environment else {
        return Err(Failure::new(Kind::Usage, format!("`{}` describes no web site", agent.display()))
            .hint("its `[environment]` has `kind = \"web\"`; `--url` writes such a file")
            .into());
    };
    if !settings.tasks.contains_key(task) {
        return Err(Failure::unknown("task", task, settings.tasks.keys().map(String::as_str))
            .hint(format!("add `[environment.tasks.{task}]` with `goal` and `success`"))
            .into());
    }
    if !settings.practice {
        return Err(Failure::new(Kind::Usage, format!("`{}` allows no trials on the site", agent.display()))
            .hint("a skill enters the library by trials: set `practice = true` under `[environment]`")
            .into());
    }
    Ok(settings)
}

/// The specification of a site, with what its elements are: a recording says itself which of them it acts on.
pub fn explorable(settings: &WebSettings) -> Result<EnvironmentSpec> {
    let opened = settings.clone().open().map_err(|reason| Failure::new(Kind::Usage, reason))?;
    let mut spec = opened.spec().clone();
    spec.exploration.get_or_insert_with(sojourn_browser::exploration);
    Ok(spec)
}

/// Has a person act, or carries the lines of `--input` out, or reads a run.
async fn source(
    home: &Home,
    args: &SkillRecord,
    settings: WebSettings,
    spec: EnvironmentSpec,
    lines: Option<Vec<String>>,
) -> Result<Source> {
    if let Some(run) = &args.run {
        let past = past::episode(home, run, args.episode).await?;
        if past.environment != settings.name {
            output::note(format!(
                "run {} was on `{}`, and the agent file describes `{}`",
                past.run, past.environment, settings.name
            ));
        }
        let origin = Origin::Recorded { run: Some(past.run) };
        return Ok(Source { settings, spec, actions: past.actions, origin, last: None });
    }
    let watched = watch(&settings, &args.name, args.url.is_some(), lines, args.json).await?;
    if watched.actions.is_empty() {
        return Err(Failure::new(Kind::Failure, "nothing was done that could be recorded").into());
    }
    let (actions, origin) = (watched.actions.clone(), Origin::Recorded { run: None });
    Ok(Source { settings, spec, actions, origin, last: Some(watched) })
}

/// The text of the agent file of a new site.
async fn new_site(args: &SkillRecord, source: &mut Source, made: &Generalised) -> Result<String> {
    let mut values: Vec<String> = made
        .recording
        .arguments
        .values()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    values.extend(made.values.iter().map(|(_, value)| value.clone()));
    let sent = source.last.as_ref().map(|last| last.sent.clone()).unwrap_or_default();
    let success = match (&args.until, &mut source.last) {
        (Some(until), _) => until.clone(),
        (None, Some(last)) => last
            .first_that_holds(success::proposals(&source.actions, &last.last, &values))
            .await
            .ok_or_else(|| {
                Failure::new(Kind::Failure, "the last page shows nothing that tells that the task is done")
                    .hint("go on until it does, or say it: `--until 'document.title === \"Thank you\"'`")
            })?,
        (None, None) => return Err(Failure::new(Kind::Usage, "the success condition is missing").into()),
    };
    let goal = args.goal.clone().unwrap_or_else(|| {
        let words = args.name.replace('_', " ");
        let mut letters = words.chars();
        let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
        format!("{first}{}.", letters.as_str())
    });
    if let Some(task) = source.settings.tasks.get_mut(&args.name) {
        (task.goal, task.success) = (goal.clone(), success.clone());
    }
    let start = source.settings.start.clone();
    let site = NewSite {
        task: &args.name,
        start: &start,
        allow: &args.allow,
        sent: &sent,
        goal: &goal,
        success: &success,
    };
    site.text(made)
}

/// Tries the programs one after the other, and keeps the first that earns its place; where trials are not allowed, or none passes, the
/// first becomes a draft.
async fn earn(
    home: &Home,
    args: &SkillRecord,
    source: &Source,
    made: &Generalised,
    programs: &[String],
    path: &Path,
) -> Result<Outcome> {
    let mut library = home.library().await?;
    let rule = RunConfig::default().actor.admission;
    let is_allowed = allowed(args, rule.worlds)?;
    let mut skills = Vec::new();
    for program in programs {
        let skill = drafted(&library, args, source, made, program).await?;
        keeps_no_secret(made, "the skill", &serde_json::to_string(&skill.manifest)?)?;
        keeps_no_secret(made, "the skill", &skill.source)?;
        skills.push(skill);
    }
    let mut outcome: Option<Outcome> = None;
    if is_allowed {
        let worlds = Worlds::of(home, Some(path)).await?;
        let own = library.state().of_environment(&source.settings.name);
        let mut tester = SkillTester::open(worlds, &own, &source.settings.name, false).await?;
        for (at, skill) in skills.iter().enumerate() {
            let say = |line: &str| {
                if !args.json {
                    super::test::progress(line);
                }
            };
            say(&format!("trying {} ({} of at most {})", args.name, at + 1, skills.len()));
            let report = tester
                .trial(skill, args.seed, |world| say(&format!("  {}", super::admit::in_world(world))))
                .await?;
            let admitted = rule.judge(&report).admitted;
            if admitted || outcome.is_none() {
                outcome = Some(Outcome { skill: skill.clone(), report: Some(report), admitted });
            }
            if admitted {
                break;
            }
        }
    }
    let first = || skills.into_iter().next();
    let untried = || first().map(|skill| Outcome { skill, report: None, admitted: false });
    let Some(outcome) = outcome.or_else(untried) else {
        return Err(Failure::new(Kind::Failure, "there is no program").into());
    };
    let id = outcome.skill.manifest.id.clone();
    if library.state().entry(&id).is_none() {
        change::record(&mut library, &LibraryEvent::Drafted { skill: Box::new(outcome.skill.clone()) })
            .await?;
    }
    if let (Some(report), true) = (&outcome.report, outcome.admitted) {
        let is_draft =
            library.state().entry(&id).is_some_and(|entry| entry.status == sojourn_skills::Status::Draft);
        if is_draft {
            change::record(&mut library, &LibraryEvent::TrialStarted { id: id.clone() }).await?;
        }
        change::record(&mut library, &LibraryEvent::Admitted { id, report: report.clone(), rule }).await?;
    }
    Ok(outcome)
}

async fn drafted(
    library: &sojourn_skills::Library,
    args: &SkillRecord,
    source: &Source,
    made: &Generalised,
    program: &str,
) -> Result<Skill> {
    let task = source.settings.tasks.get(&args.name);
    let goal = source.spec.tasks.iter().find(|task| task.name == args.name).map(|task| task.goal.clone());
    let draft = Draft {
        name: args.name.clone(),
        description: task.map(|task| cut(&task.goal, 200)).unwrap_or_default(),
        parameters: made.recording.parameters.clone(),
        precondition: None,
        postcondition: goal,
        origin: source.origin.clone(),
        kind: SkillKind::Skill,
        environment: source.settings.name.clone(),
        created_ms: u64::try_from(now_ms()).unwrap_or(0),
        source: program.to_owned(),
    };
    let compiled = Compiled::from_source(&session::sandbox().await?, &args.name, program)
        .await
        .map_err(|error| Failure::new(Kind::Failure, format!("the program does not compile: {error}")))?;
    let tools = source.spec.tools.iter().map(|tool| tool.name.as_str());
    let skill = library.state().prepare(draft, compiled, tools);
    let skill = skill
        .recorded_as(made.recording.recorded_steps(&source.spec), Vec::new())
        .made_from_outside(source.spec.untrusted);
    Ok(library.state().with_own_address(skill))
}

/// Asks whether the skill may be tried.
fn allowed(args: &SkillRecord, worlds: usize) -> Result<bool> {
    if args.yes {
        return Ok(true);
    }
    if args.json || !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    output::ask(&format!(
        "the trial repeats the recording {worlds} times on the site, where it is real. Try it now? [y/N] "
    ));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// Refuses to write a text that holds a secret, in whatever form.
fn keeps_no_secret(made: &Generalised, what: &str, text: &str) -> Result<()> {
    let redactor = Redactor::new(made.values.iter().cloned());
    let holds = |(_, value): &(String, String)| {
        !value.is_empty() && value.len() >= 4 && text.contains(value.as_str())
    };
    if redactor.text(text) == text && !made.values.iter().any(holds) {
        return Ok(());
    }
    Err(Failure::new(Kind::Failure, format!("{what} would hold a secret that was typed; nothing was kept"))
        .hint("the page shows the secret in other places; record without these steps, or change the secret")
        .into())
}

/// Prints what became of the recording.
fn tell(
    args: &SkillRecord,
    source: &Source,
    made: &Generalised,
    outcome: &Outcome,
    path: &Path,
) -> Result<()> {
    let manifest = &outcome.skill.manifest;
    let success = source.settings.tasks.get(&args.name).map(|task| task.success.clone()).unwrap_or_default();
    let secrets: Vec<&String> = made.secrets.keys().collect();
    let file = path.display().to_string();
    if args.json {
        let steps: Vec<String> = manifest.recorded.iter().map(ToString::to_string).collect();
        return Ok(output::json(&json!({
            "name": args.name, "version": manifest.version, "environment": source.settings.name,
            "parameters": manifest.parameters, "steps": steps, "secrets": secrets, "success": success,
            "agent": file, "source": outcome.skill.source, "admitted": outcome.admitted, "trial": outcome.report,
        }))?);
    }
    output::line(format!("\n{}", outcome.skill.source.trim_end()))?;
    output::line(format!("\n{}", signature(&manifest.name, &manifest.parameters)))?;
    super::field("done when", &success)?;
    for name in secrets {
        super::field(
            "secret",
            &format!("{name}: its value is kept nowhere; set the variable when the skill runs"),
        )?;
    }
    for sent in source.last.iter().filter(|_| args.agent.is_none()).flat_map(|last| &last.sent) {
        super::field("sends to", sent)?;
    }
    super::field("agent", &file)?;
    let word = output::shell_word(&file);
    output::line(if outcome.admitted {
        let examples = sojourn_tools::with_examples(&manifest.parameters, serde_json::Map::new());
        format!(
            "admitted; `sojourn skills run {} --agent {word} --args {}` runs it",
            args.name,
            output::shell_word(&Value::Object(examples).to_string())
        )
    } else if outcome.report.is_some() {
        format!("not admitted; it is kept as a draft: `sojourn skills show {}`", args.name)
    } else {
        format!(
            "it is a draft: `sojourn skills test {} --admit --agent {word}` tries it on the site",
            args.name
        )
    })?;
    Ok(())
}

/// `name=value` pairs.
fn pairs(given: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::new(Kind::Usage, format!("`--param {text}` has no value"))
            .hint("write it as `--param user=ada`")
            .into()),
    };
    given.iter().map(pair).collect()
}

/// The parameters of a task as pairs of name and value, without those that the person named.
fn of_task(parameters: &[Parameter], named: &[(String, String)]) -> Vec<(String, String)> {
    let pair = |parameter: &Parameter| {
        let default = parameter.default.as_ref()?;
        let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        let is_new = named.iter().all(|(name, value)| *name != parameter.name && *value != text);
        is_new.then(|| (parameter.name.clone(), text))
    };
    parameters.iter().filter_map(pair).collect()
}

/// The secrets of a site whose variables are set, by name and value, without those that are known.
fn of_site(settings: &WebSettings, known: &[(String, String)]) -> Vec<(String, String)> {
    let names = settings.secrets.keys().filter(|name| known.iter().all(|(other, _)| other != *name));
    let pair =
        |name: &String| Some((name.clone(), std::env::var(name).ok().filter(|value| !value.is_empty())?));
    names.filter_map(pair).collect()
}

/// The variables that hold secrets, by name and value: those that the person names, and those that `--input` types.
fn declared(args: &SkillRecord, lines: &[String]) -> Result<Vec<(String, String)>> {
    let typed =
        lines.iter().flat_map(|line| line.split("${").skip(1).filter_map(|rest| rest.split('}').next()));
    let mut all: Vec<(String, String)> = Vec::new();
    for name in args.secret.iter().map(String::as_str).chain(typed) {
        if all.iter().any(|(known, _)| known == name) {
            continue;
        }
        match std::env::var(name) {
            Ok(value) if !value.is_empty() => all.push((name.to_owned(), value)),
            _ => {
                return Err(Failure::new(Kind::Usage, format!("the environment variable {name} is not set"))
                    .hint("set it to the secret for this command; its value is kept nowhere")
                    .into());
            }
        }
    }
    Ok(all)
}

/// The lines of `--input`, without empty ones and comments.
fn lines(path: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for line in input::open(path)?.lines() {
        let line = line?;
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            all.push(line.trim().chars().take(LINE).collect());
        }
    }
    Ok(all)
}
