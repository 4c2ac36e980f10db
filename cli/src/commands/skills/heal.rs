//! `sojourn skills heal`: a recorded skill whose page has changed is repaired by a search near its recording.

use super::change;
use super::record::explorable;
use super::test::{SkillTester, case_line, progress};
use crate::agent_file::AgentFile;
use crate::args::SkillHeal;
use crate::environments::{EnvironmentChoice, EnvironmentDescription};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::waiting::Waiting;
use crate::worlds::Worlds;
use crate::{output, session};
use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};
use sojourn_controller::Cancel;
use sojourn_core::{HealingPlan, RunConfig, Silent, heal_recording, now_ms};
use sojourn_skills::{
    Case, CaseResult, Compiled, Draft, Entry, Kind as SkillKind, Library, LibraryEvent, Skill, TrialReport,
};
use sojourn_synthesis::Healed;
use sojourn_tools::{EnvironmentSpec, with_defaults, with_examples};
use std::process::ExitCode;
use std::sync::Arc;

/// Programs that are tried, at most.
const TRIED: usize = 3;

/// What came of it.
#[derive(Debug, Serialize)]
struct HealReport {
    name: String,
    /// The version that was tested.
    version: u32,
    /// Its cases that still pass, and that fail.
    passed: usize,
    failed: usize,
    /// The new version; `None` where nothing was to be repaired, or no repair was found.
    healed: Option<u32>,
    /// How it differs, one sentence each.
    changes: Vec<String>,
    /// Episodes of the search.
    episodes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialReport>,
}

/// Tests a recorded skill in its own cases and repairs it where they fail.
pub async fn heal(home: &Home, args: &SkillHeal) -> Result<ExitCode> {
    let mut library = change::open(home).await?;
    let agent = AgentFile::read(home.environments(), &args.agent, &[])?;
    let EnvironmentChoice::Described(EnvironmentDescription::Web(settings)) = &agent.environment else {
        return Err(
            Failure::new(Kind::Usage, format!("`{}` describes no web site", args.agent.display())).into()
        );
    };
    if !settings.practice {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{}` allows no trials on the site", args.agent.display()),
        )
        .hint("a repair is searched for and tried on the site: set `practice = true` under `[environment]`")
        .into());
    }
    let spec = explorable(settings)?;
    let worlds = Worlds::of(home, Some(&args.agent)).await?;
    let entry = super::in_use(library.state(), &args.name, worlds.own_name())?.clone();
    if entry.skill.manifest.recorded.is_empty() || entry.environment() != settings.name {
        let why =
            if entry.skill.manifest.recorded.is_empty() { "was not recorded" } else { "is of another site" };
        return Err(Failure::new(Kind::Usage, format!("`{}` {why}", args.name))
            .hint("`sojourn run` repairs skills that it has learned; `sojourn skills record` records one")
            .into());
    }
    let own = library.state().of_environment(entry.environment());
    let mut tester = SkillTester::open(worlds.clone(), &own, entry.environment(), false).await?;
    let say = |line: &str| {
        if !args.json {
            progress(line);
        }
    };
    say(&format!("{}, version {}", args.name, entry.skill.manifest.version));
    let cases = entry.cases();
    let report = |case: &Case, result: &CaseResult| say(&case_line(case, result));
    let results = tester.cases(&entry.skill, &cases, report).await?;
    let failed = |result: &&CaseResult| result.reached && !result.passed;
    let mut told = HealReport {
        name: args.name.clone(),
        version: entry.skill.manifest.version,
        passed: results.iter().filter(|result| result.passed).count(),
        failed: results.iter().filter(failed).count(),
        healed: None,
        changes: Vec::new(),
        episodes: 0,
        trial: None,
    };
    if told.failed == 0 && told.passed > 0 {
        say("it passes its cases: there is nothing to repair");
        return end(args, &told, true);
    }
    let Some(found) = search(args, &spec, &entry, &cases, &worlds).await? else {
        say(&format!(
            "no way near the recording was found in {}; record it again",
            output::counted(args.episodes, "episode")
        ));
        return end(args, &told, false);
    };
    (told.changes, told.episodes) = (found.changes.clone(), found.episodes);
    for change in &found.changes {
        say(&format!("  {change}"));
    }
    let programs = found.recording.programs(&spec, &args.name, session::sandbox().await?, TRIED).await;
    for program in &programs {
        let skill = repaired(&library, &entry, &found, &spec, program).await?;
        if library.state().entry(&skill.manifest.id).is_some() {
            continue;
        }
        say(&format!("trying version {}", skill.manifest.version));
        let shown = |world: &_| say(&format!("  {}", super::admit::in_world(world)));
        let mut report = tester.trial(&skill, args.seed, shown).await?;
        if !RunConfig::default().actor.admission.judge(&report).admitted {
            told.trial.get_or_insert(report);
            continue;
        }
        report.regressions =
            tester.cases(&skill, &cases, |case, result| say(&case_line(case, result))).await?;
        told.trial = Some(report.clone());
        if admit(&mut library, skill.clone(), report).await? {
            told.healed = Some(skill.manifest.version);
            say(&format!(
                "version {} is in use; `sojourn skills rollback {}` returns to the one before",
                skill.manifest.version, args.name
            ));
            return end(args, &told, true);
        }
    }
    say("what was found did not pass its trials; the skill stays as it is");
    end(args, &told, false)
}

/// Looks for a way with the arguments of a case.
async fn search(
    args: &SkillHeal,
    spec: &EnvironmentSpec,
    entry: &Entry,
    cases: &[Case],
    worlds: &Worlds,
) -> Result<Option<Healed>> {
    let manifest = &entry.skill.manifest;
    let Some(task) = spec.tasks.iter().find(|task| task.name == manifest.name) else {
        return Err(Failure::new(Kind::Usage, format!("the agent file has no task `{}`", manifest.name))
            .hint(format!("`[environment.tasks.{}]` says when it is done", manifest.name))
            .into());
    };
    let given = cases.last().and_then(|case| case.setup.calls.first()).cloned().unwrap_or_default();
    let arguments: Map<String, Value> =
        with_examples(&manifest.parameters, with_defaults(&manifest.parameters, given));
    let plan = HealingPlan {
        environment: spec,
        task,
        recorded: &manifest.recorded,
        parameters: &manifest.parameters,
        arguments: &arguments,
        seed: args.seed,
        episodes: args.episodes,
    };
    let _waiting = output::is_watched().then(|| Waiting::on("looking for a way near the recording"));
    let world = worlds.open(entry.environment()).await?;
    let cancel = Cancel::new();
    session::stop_on_ctrl_c(cancel.clone());
    Ok(heal_recording(world, &session::sandbox().await?, plan, Arc::new(Silent), cancel).await?)
}

/// The next version, which repairs `entry`.
async fn repaired(
    library: &Library,
    entry: &Entry,
    found: &Healed,
    spec: &EnvironmentSpec,
    program: &str,
) -> Result<Skill> {
    let manifest = &entry.skill.manifest;
    let draft = Draft {
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        parameters: manifest.parameters.clone(),
        precondition: manifest.precondition.clone(),
        postcondition: manifest.postcondition.clone(),
        origin: manifest.origin.clone(),
        kind: SkillKind::Skill,
        environment: manifest.environment.clone(),
        created_ms: u64::try_from(now_ms()).unwrap_or(0),
        source: program.to_owned(),
    };
    let compiled = Compiled::from_source(&session::sandbox().await?, &manifest.name, program)
        .await
        .map_err(|error| Failure::new(Kind::Failure, format!("the program does not compile: {error}")))?;
    let skill = library.state().prepare(draft, compiled, spec.tools.iter().map(|tool| tool.name.as_str()));
    let skill = skill
        .repairing(&manifest.id)
        .recorded_as(found.recording.recorded_steps(spec), found.changes.clone())
        .made_from_outside(manifest.untrusted || spec.untrusted);
    Ok(library.state().with_own_address(skill))
}

/// Records the new version and its admission; false where it is not admitted in the end.
async fn admit(library: &mut Library, skill: Skill, report: TrialReport) -> Result<bool> {
    let id = skill.manifest.id.clone();
    let rule = RunConfig::default().actor.admission;
    change::record(library, &LibraryEvent::Drafted { skill: Box::new(skill) }).await?;
    change::record(library, &LibraryEvent::TrialStarted { id: id.clone() }).await?;
    let admitted = change::record(library, &LibraryEvent::Admitted { id, report, rule }).await;
    match admitted {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.downcast_ref(), Some(sojourn_skills::LibraryError::Illegal(_))) => {
            output::note(format!("not admitted: {error}"));
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn end(args: &SkillHeal, told: &HealReport, good: bool) -> Result<ExitCode> {
    if args.json {
        output::json(told)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}
