pub mod launch;
mod resuming;
mod submit;

use crate::agent_file::AgentFile;
use crate::approver::Kept;
use crate::args::Run;
use crate::environments::{EnvironmentChoice, EnvironmentDescription};
use crate::error::{self, Failure, Kind};
use crate::goals::{self, Prepared, Scout};
use crate::home::Home;
use crate::progress::Progress;
use crate::run_stats::{First, RunStats};
use crate::session::{
    LibraryHandle, Models, Plan, RunContext, Session, Watch, drop_soon, new_run, stop_on_ctrl_c,
};
use crate::supervisor::{self, Task, Work};
use crate::unattended::asked::Asked;
use crate::unattended::told::Telling;
use crate::unattended::{AgentKey, Heart};
use crate::{approver, duration, logbook, output, table};
use anyhow::Result;
pub use resuming::finish_reason;
use resuming::{Wanted, is_budget, last_end, more, more_of};
use serde::Serialize;
use serde_json::Value;
use sojourn_controller::Cancel;
use sojourn_core::{Core, DriveError, FinishReason, Observer, Outcome, Requests, Tools, Totals, now_ms};
use sojourn_memory::{EventSeq, RunId, RunStatus};
use sojourn_service::live::Report;
use sojourn_service::notify::EventKind;
use sojourn_tools::Unanswered;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Launches an agent or resumes a run, and prints the result.
///
/// The agent file, the environment and the run to resume are checked before a worker starts.
pub async fn run(home: Home, args: Run) -> Result<ExitCode> {
    if args.unattended || args.scheduled.is_some() {
        approver::ask_nobody();
    }
    if let Some(run) = &args.scheduled {
        supervisor::follow_supervisor();
        // A Ctrl-C at the daemon's terminal is the daemon's. A process that leads its session already has none.
        let _ = rustix::process::setsid();
        let run: RunId = run.parse()?;
        if home.store().await?.run(run.as_str()).await.is_err() {
            check(&home, &args).await?;
        }
        return Box::pin(carry_out(home, &args, Some(run))).await;
    }
    if let Some(worker) = &args.worker {
        supervisor::follow_supervisor();
        let run = worker.parse()?;
        return Box::pin(carry_out(home, &args, Some(run))).await;
    }
    if args.queue {
        submit::submit(&home, &args).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let environment = check(&home, &args).await?;
    let run = match &args.resume {
        Some(asked) => {
            let wanted = Wanted { environment: &environment, name: asked.as_deref(), args: &args };
            let run = wanted.find(&home.store().await?).await?.id;
            for setting in args.overrides.iter().filter(|one| one.trim_start().starts_with("run.")) {
                if !is_budget(setting) {
                    output::note(format!(
                        "`--set {setting}` changes nothing in a run that is resumed: its log has its settings; `{} fork {run} --at N --set \
                         {setting}` makes a run with others",
                        same_program()
                    ));
                }
            }
            Some(run)
        }
        None => None,
    };
    if args.unsupervised {
        return Box::pin(carry_out(home, &args, run)).await;
    }
    let chosen = args.id.as_deref().map(str::parse).transpose()?;
    let run = run.or(chosen).unwrap_or_else(new_run);
    supervise(home, run, &args).await
}

/// Checks the agent file and that its environment can be reached; returns the environment's name.
async fn check(home: &Home, args: &Run) -> Result<String> {
    let mut agent = AgentFile::read(home.environments(), &args.agent, &args.overrides)?;
    agent.with_goals(&args.goals);
    agent.reflex_sources()?;
    agent.environment.check_reachable().await?;
    let world = agent.open_environment(home.environments()).await?;
    // Goals and discovered tasks get their names later.
    if agent.goals.is_empty() && (world.spec().documents_tasks() || !world.spec().play) {
        agent.check_tasks(world.spec())?;
    }
    agent.check_actions(world.as_ref())?;
    Ok(world.spec().name.clone())
}

/// Starts or resumes a run under a supervisor.
pub async fn supervise(home: Home, run: RunId, args: &Run) -> Result<ExitCode> {
    let (line, once) = (command_line(args), budgets_of(args));
    let task = Task::Run(home, run);
    supervisor::supervise(Work { args: line, once, variables: Vec::new(), task }).await
}

/// The worker's arguments for every start: without budgets, which a resumed run would take for more than it has.
fn command_line(args: &Run) -> Vec<String> {
    let mut line = vec!["run".to_owned(), args.agent.to_string_lossy().into_owned()];
    if let Some(seed) = args.seed {
        line.extend(["--seed".to_owned(), seed.to_string()]);
    }
    for assignment in args.overrides.iter().filter(|assignment| !is_budget(assignment)) {
        line.extend(["--set".to_owned(), assignment.clone()]);
    }
    // In one word, because a value may begin with a dash.
    line.extend(args.otlp.iter().map(|otlp| format!("--otlp={otlp}")));
    line.extend(args.goals.iter().map(|goal| format!("--goal={goal}")));
    line.extend(args.pull.then(|| "--pull".to_owned()));
    line.extend(args.json.then(|| "--json".to_owned()));
    line.extend(args.unattended.then(|| "--unattended".to_owned()));
    if args.resume.is_some() {
        line.push("--resume".to_owned());
    }
    line
}

/// The worker's arguments until the run has its first record, which has the budgets.
fn budgets_of(args: &Run) -> Vec<String> {
    let mut line = Vec::new();
    if let Some(steps) = args.steps {
        line.extend(["--steps".to_owned(), steps.to_string()]);
    }
    if let Some(time) = args.time {
        line.extend(["--time".to_owned(), format!("{}ms", time.as_millis())]);
    }
    // A worker that a supervisor starts again is resumed by nobody else.
    if let Some(by) = &args.by {
        line.extend(["--by".to_owned(), by.clone()]);
    }
    for assignment in args.overrides.iter().filter(|assignment| is_budget(assignment)) {
        line.extend(["--set".to_owned(), assignment.clone()]);
    }
    line
}

/// Carries out a run in this process: resumes `run` if it has a log, else starts it.
async fn carry_out(home: Home, args: &Run, run: Option<RunId>) -> Result<ExitCode> {
    let begun_ms = now_ms();
    let mut agent = AgentFile::read(home.environments(), &args.agent, &args.overrides)?;
    apply(&mut agent, args);
    agent.with_goals(&args.goals);
    let environment = agent.open_environment(home.environments()).await?;
    agent.check_actions(environment.as_ref())?;
    let practised = environment.spec().practice;
    let reflexes = agent.reflex_sources()?;
    let store = home.store().await?;
    let resumed = match &run {
        // A worker that died before the first record starts the run again, under the same id.
        Some(run) => match store.run(run.as_str()).await {
            Ok(info) if info.last_seq == EventSeq(0) && info.parent.is_none() => None,
            Ok(info) => Some(info),
            Err(_) if args.resume.is_none() => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let run = run.unwrap_or_else(new_run);
    let redactor = agent.redactor();
    let key = AgentKey::new(&args.agent, &args.overrides);
    let mut about = Report {
        agent: redactor.text(&key.agent),
        environment: environment.spec().name.clone(),
        model: agent.model.as_deref().map(|model| redactor.text(model)).unwrap_or_default(),
        since_ms: begun_ms,
        task: "loading its model".to_owned(),
        ..Report::default()
    };
    let heart = Heart::begin(&store, &run, None, about.clone());
    // Where the agent plays first, there may be nothing to ask for long, or ever.
    let models = if environment.spec().play {
        Models::load_when_asked(&agent, args.pull).await
    } else {
        Models::load(&agent, args.pull).await
    };
    heart.stop().await;
    let mut models = models?;
    let context = RunContext::open(home, store).await?;

    let progress = Progress::new(0, "");
    let cancel = Cancel::new();
    stop_on_ctrl_c(cancel.clone());
    let telling = Telling::begin(&context.home, &context.store, &agent, &key, &run, &redactor).await;
    let policy = agent.run.tools.as_ref().map(|tools| tools.policy.clone()).unwrap_or_default();
    let mut kept = None;
    if let Some(toolbox) = agent.toolbox(Some(&context.home)).await? {
        let approver = if policy.unanswered == Unanswered::Deny || approver::somebody_is_there() {
            approver::approver(cancel.clone())
        } else {
            let (store, teller) = (context.store.clone(), telling.as_ref().map(|it| it.teller().clone()));
            let earlier = match &resumed {
                Some(info) => context.policies(info).await?,
                None => Vec::new(),
            };
            let approver = Kept::new(store, run.clone(), &policy, redactor.clone(), cancel.clone())
                .bounded_by(&earlier)
                .telling(teller)
                .releasing_after(args.scheduled.is_some().then_some(args.release_after));
            let approver = Arc::new(approver);
            kept = Some(Arc::clone(&approver));
            approver
        };
        models.tools = Some(Tools { toolbox: Arc::new(toolbox), approver });
    }
    let tools = models.tools.clone();
    for warning in agent.secret_warnings(&redactor).into_iter().chain(agent.write_warnings(&args.agent)) {
        output::note(format!("warning: {warning}"));
    }
    let observer: Arc<dyn Observer> = match &telling {
        Some(telling) => telling.observer(progress.clone()),
        None => progress.clone(),
    };
    let requests = Asked {
        store: context.store.clone(),
        run: run.clone(),
        controller: Arc::clone(&models.controller),
        redactor: redactor.clone(),
        cancel: cancel.clone(),
        seed: agent.run.seed,
        progress: progress.clone(),
        since_ms: begun_ms,
        nothing: Mutex::default(),
    };
    let requests: Option<Arc<dyn Requests>> = Some(Arc::new(requests));
    let watch = Watch { observer, cancel, redactor: redactor.clone(), by: args.by.clone(), requests };
    let store = context.store.clone();
    // A process that was killed after the end of its run left that much to its successor.
    let is_restart = args.worker.is_some() || args.scheduled.is_some();
    let over = resumed.as_ref().filter(|info| {
        is_restart && info.status == RunStatus::Finished && more(args).is_ok_and(|more| more.is_none())
    });
    let session = if let Some(info) = over {
        Box::pin(context.replay(info, true, watch)).await?.0
    } else if let Some(info) = &resumed {
        Box::pin(context.resume(info, environment, more(args)?, &policy, &models, watch)).await?
    } else {
        let library = context.home.library().await?;
        let scout = Scout {
            agent: &agent,
            sandbox: context.sandbox.clone(),
            observer: progress.clone(),
            cancel: watch.cancel.clone(),
            seed: agent.run.seed,
        };
        let controller = models.controller.as_ref();
        let Prepared { environment, notes, only } =
            goals::prepare(&scout, environment, library.state(), &store, controller).await?;
        for note in notes {
            progress.say(&redactor.text(&note));
        }
        if agent.run.tasks.is_empty() {
            agent.run.tasks = only;
        }
        agent.check_tasks(environment.spec())?;
        let library = LibraryHandle::OnDisk(Box::new(library));
        let plan = Plan { config: agent.run.clone(), reflexes, library, title: None, run: Some(run) };
        Box::pin(context.begin(environment, plan, &models, watch)).await?
    };
    let Session { run, started, driver, started_ms } = session;
    let achievements = started.environment.tasks.iter().filter(|task| task.achievement).count();
    progress.runs(match &resumed {
        Some(info) => logbook::RunClock::of_any(&store, info).await.ran(),
        None => Duration::ZERO,
    });
    progress.of(achievements);
    progress.say(&format!("run {run}: {} with {}", started.environment.name, models.controller.model().name));
    if resumed.is_some() {
        progress.say("replaying the recorded part first");
    }
    if started.config.learning && !practised && resumed.is_none() {
        progress.say("no skills are learned here: trials need `practice = true` in [environment]");
    }
    let is_site = matches!(&agent.environment, EnvironmentChoice::Described(EnvironmentDescription::Web(_)));
    let explores = started.environment.exploration.is_some();
    if started.config.learning && practised && resumed.is_none() && is_site && !explores {
        progress.say(
            "the site is not explored: with `explore = true` in [environment] an agent also learns by trying",
        );
    }
    if let Some(tools) = &tools {
        let tools = output::counted(tools.toolbox.specs().len(), "tool");
        progress.say(&format!("{tools} besides the environment's"));
    }
    about.model.clone_from(&models.controller.model().name);
    about.since_ms = now_ms();
    let heart = Heart::begin(&store, &run, Some(progress.clone()), about);
    let result = driver.run(started_ms).await;
    heart.stop().await;
    progress.finish();
    if let Some(telling) = telling {
        match &result {
            // The daemon tries again, or tells of what it gives up.
            Ok((Outcome::Finished(FinishReason::Controller { .. }), _)) | Err(_)
                if args.scheduled.is_some() => {}
            Ok((outcome, _)) => {
                let last = last_end(&store, &run).await.ok().flatten();
                telling.teller().tell_end(outcome, last.as_ref());
            }
            Err(error) => telling.teller().tell(EventKind::Failed, &error.to_string(), Value::Null),
        }
        telling.finish().await;
    }
    if let Some(tools) = &tools {
        tools.toolbox.close().await;
    }
    let (outcome, core) = result.map_err(|error| {
        anyhow::anyhow!(redactor.text(&error.to_string())).context(
            Failure::new(kind_of_failure(&error), format!("run `{run}` failed")).hint(format!(
                "the log is kept: `{sojourn} log {run}`; resume it with `{sojourn} run {} --resume {run}`",
                output::shell_word(&args.agent.to_string_lossy()),
                sojourn = same_program()
            )),
        )
    })?;
    let stats = progress.stats().clone();
    let ran = logbook::ran(&store, &store.run(run.as_str()).await?).await?;
    let result = RunResult::new(&run, &outcome, &core, &stats, ran, achievements);
    if args.json {
        output::json(&result)?;
    } else {
        result.print()?;
    }
    let code = match &kept {
        Some(kept) if kept.has_released() && matches!(outcome, Outcome::Interrupted) => {
            output::note("paused: a call waits for an approval; `sojourn approvals list` shows it");
            ExitCode::from(Kind::Waiting as u8)
        }
        _ => conclude(&outcome, &run, args),
    };
    if matches!(outcome, Outcome::Interrupted) {
        drop_soon(models).await;
    }
    Ok(code)
}

/// Whoever started the process tells by it whether the run failed, or only the store did.
fn kind_of_failure(error: &DriveError) -> Kind {
    match error::kind_of(error) {
        Kind::Unavailable => Kind::Unavailable,
        _ => Kind::Failure,
    }
}

/// Prints how to continue, and returns the exit code.
fn conclude(outcome: &Outcome, run: &RunId, args: &Run) -> ExitCode {
    let file = output::shell_word(&args.agent.to_string_lossy());
    let resume = format!("`{} run {file} --resume {run}`", same_program());
    match outcome {
        Outcome::Interrupted => {
            output::note(format!("interrupted; resume with {resume}"));
            ExitCode::from(Kind::Interrupted as u8)
        }
        Outcome::Finished(FinishReason::Repetition { what }) => {
            output::note(format!("paused: the agent repeated {what}; resume with {resume}"));
            ExitCode::from(Kind::Failure as u8)
        }
        Outcome::Finished(reason @ FinishReason::Stuck { .. }) => {
            output::note(format!("paused: {}; resume with {resume}", logbook::reason_line(reason)));
            ExitCode::from(Kind::Failure as u8)
        }
        Outcome::Finished(reason @ FinishReason::NothingNew { .. }) => {
            output::note(format!(
                "ended: {}; add a task to the world, or live on with `--set run.uneventful_episodes=0`",
                logbook::reason_line(reason)
            ));
            ExitCode::SUCCESS
        }
        Outcome::Finished(reason) if more_of(reason).is_some() => {
            let option = more_of(reason).unwrap_or_default();
            let resume = resume.trim_end_matches('`');
            output::note(format!(
                "{}; give the run more with {resume} {option}`",
                logbook::reason_line(reason)
            ));
            ExitCode::SUCCESS
        }
        Outcome::Finished(FinishReason::Controller { .. }) => {
            output::note(format!(
                "the model could not be asked: check `[controller]` of {}; `{} log {run} --errors` shows what came back",
                args.agent.display(),
                same_program()
            ));
            ExitCode::from(Kind::Failure as u8)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Applies the options that override keys of the agent file.
fn apply(agent: &mut AgentFile, args: &Run) {
    let budgets = &mut agent.run.budgets;
    budgets.steps = args.steps.or(budgets.steps);
    budgets.time_ms = args.time.map(|time| time.as_millis() as u64).or(budgets.time_ms);
    agent.run.seed = args.seed.unwrap_or(agent.run.seed);
}

/// The result of a run.
#[derive(Debug, Serialize)]
struct RunResult {
    run: String,
    outcome: String,
    achievements: BTreeMap<String, First>,
    achievements_possible: usize,
    skills: Vec<SkillLine>,
    episodes: usize,
    totals: Totals,
    /// The time that the run ran, in seconds, as its budget counts it: over every resume, without the pauses between them.
    seconds: f64,
}

/// A skill that the run learned, as its latest version.
#[derive(Debug, Serialize)]
struct SkillLine {
    name: String,
    version: u32,
    status: String,
    successes: u32,
    uses: u32,
}

impl RunResult {
    fn new(
        run: &RunId,
        outcome: &Outcome,
        core: &Core,
        stats: &RunStats,
        took: Duration,
        possible: usize,
    ) -> Self {
        // By its milestones: a fork has learned what the records before it say too.
        let names: BTreeSet<&str> = stats.skills.iter().map(String::as_str).collect();
        let versions = |name| core.library().history(name).map(|history| history.versions.as_slice());
        let latest = names.into_iter().filter_map(|name| Some((name, versions(name)?)));
        let skills = latest.filter_map(|(name, versions)| {
            let entry = core.library().active(name).or_else(|| versions.last())?;
            let usage = entry.total_usage();
            Some(SkillLine {
                name: entry.skill.manifest.name.clone(),
                version: entry.skill.manifest.version,
                status: entry.status.to_string(),
                successes: usage.successes,
                uses: usage.successes + usage.failures,
            })
        });
        Self {
            run: run.to_string(),
            outcome: match outcome {
                Outcome::Finished(reason) => logbook::reason_line(reason),
                Outcome::Interrupted => "interrupted".to_owned(),
                Outcome::Replayed { .. } => "replayed".to_owned(),
            },
            achievements: stats.first.clone(),
            achievements_possible: possible,
            skills: skills.collect(),
            episodes: stats.episodes.len(),
            totals: core.totals(),
            seconds: took.as_secs_f64(),
        }
    }

    fn print(&self) -> std::io::Result<()> {
        output::line(format!(
            "\n{} of {} achievements",
            self.achievements.len(),
            self.achievements_possible
        ))?;
        if !self.achievements.is_empty() {
            let mut table = table::new(["achievement", "first at step", "in episode"]);
            table::numbers(&mut table, [1, 2]);
            let mut order: Vec<_> = self.achievements.iter().collect();
            order.sort_by_key(|(_, first)| first.step);
            for (name, first) in order {
                table.add_row([name.clone(), first.step.to_string(), first.episode.to_string()]);
            }
            table::print(&table)?;
        }
        output::line(format!("\n{} learned", output::counted(self.skills.len(), "skill")))?;
        if !self.skills.is_empty() {
            let mut table = table::new(["skill", "version", "status", "succeeded"]);
            table::numbers(&mut table, [1]);
            for skill in &self.skills {
                let succeeded = format!("{} of {} uses", skill.successes, skill.uses);
                table.add_row([
                    skill.name.clone(),
                    skill.version.to_string(),
                    skill.status.clone(),
                    succeeded,
                ]);
            }
            table::print(&table)?;
        }
        output::line(format!(
            "\n{}: {} in {}, {} + {} tokens (prompt + generated), {}",
            self.outcome,
            output::counted(self.totals.steps, "step"),
            output::counted(self.episodes, "episode"),
            self.totals.prompt_tokens,
            self.totals.tokens,
            duration::show(Duration::from_secs_f64(self.seconds))
        ))?;
        if self.totals.teacher_requests > 0 {
            output::line(format!(
                "the teacher: {}, {} of these tokens; {} admitted of what it wrote",
                output::counted(self.totals.teacher_requests, "request"),
                self.totals.teacher_tokens,
                output::counted(self.totals.taught, "program"),
            ))?;
        }
        let skills = self.skills.first().map_or("list".to_owned(), |skill| format!("show {}", skill.name));
        let (sojourn, run) = (same_program(), &self.run);
        output::line(format!(
            "\n  {sojourn} log {run}\n  {sojourn} skills {skills}\n  {sojourn} replay {run} --verify"
        ))
    }
}

/// This program as the user called it, with the user's `--home`, so that the printed commands can be copied. A supervisor
/// starts its worker under the same name.
fn same_program() -> String {
    let mut words: Vec<String> = std::env::args().take(1).collect();
    let mut rest = std::env::args().skip(1);
    while let Some(word) = rest.next() {
        if word == "--home" {
            words.push(word);
            words.extend(rest.next());
        } else if word.starts_with("--home=") {
            words.push(word);
        }
    }
    words.iter().map(|word| output::shell_word(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{budgets_of, command_line};
    use crate::args::{Args, Command};
    use clap::Parser as _;

    #[test]
    fn a_goal_may_begin_with_a_dash() {
        let words = ["sojourn", "run", "crafter", "--goal=--be quiet"];
        let parsed = |words: &[String]| {
            let Command::Run(run) = Args::try_parse_from(words).unwrap().command else {
                panic!("another command");
            };
            run
        };
        let run = parsed(&words.map(str::to_owned));
        let again = parsed(&[vec!["sojourn".to_owned()], command_line(&run)].concat());
        assert_eq!(again.goals, ["--be quiet"]);
    }

    #[test]
    fn a_worker_that_is_started_again_gets_no_budget_twice() {
        for resume in [&[][..], &["--resume"]] {
            let words = [
                "sojourn",
                "run",
                "crafter",
                "--steps",
                "5",
                "--set",
                "run.budgets.tokens=9",
                "--set",
                "run.seed=2",
            ];
            let Command::Run(run) = Args::try_parse_from(words.iter().chain(resume)).unwrap().command else {
                panic!("another command");
            };
            let always = command_line(&run).join(" ");
            assert!(
                always.starts_with("run crafter --set run.seed=2") && !always.contains("budgets"),
                "{always}"
            );
            assert_eq!(budgets_of(&run).join(" "), "--steps 5 --set run.budgets.tokens=9");
        }
    }
}
