//! Which run is resumed, and what it may use from then on.

use crate::agent_file;
use crate::args::Run;
use crate::error::{Failure, Kind};
use crate::{logbook, output};
use anyhow::Result;
use sojourn_core::{Budgets, Effect, FinishReason, LogRecord, RecordKind};
use sojourn_memory::{Record, RecordQuery, RunId, RunInfo, RunStatus, Store};

/// The run that is to be resumed.
pub(super) struct Wanted<'a> {
    pub(super) environment: &'a str,
    /// Its name; `None` for the latest one that can be resumed.
    pub(super) name: Option<&'a str>,
    pub(super) args: &'a Run,
}

impl Wanted<'_> {
    /// Finds the run. It must be in the environment and unfinished; with new budgets, it may have used its budgets up.
    pub(super) async fn find(&self, store: &Store) -> Result<RunInfo> {
        let environment = self.environment;
        let more = more(self.args)?.is_some();
        let info = match self.name {
            Some(name) => logbook::find_run(store, name).await?,
            None => self.latest(store, more).await?,
        };
        if info.environment != environment {
            return Err(Failure::new(
                Kind::Usage,
                format!(
                    "run `{}` is in the environment `{}`, but the agent file names `{environment}`",
                    info.id, info.environment
                ),
            )
            .hint("resume it with the agent file that it was started with")
            .into());
        }
        if info.status == RunStatus::Finished && !more {
            let (why, advice) = self.finished(store, &info).await?;
            return Err(Failure::new(Kind::Usage, format!("{why}: there is nothing to resume"))
                .hint(advice)
                .into());
        }
        Ok(info)
    }

    /// The latest interrupted run of the environment; where the arguments give `more`, also one that used its budgets up.
    async fn latest(&self, store: &Store, more: bool) -> Result<RunInfo> {
        let environment = self.environment;
        let runs = store.runs().await?.into_iter();
        let here = runs.filter(|run| run.environment == environment);
        let mut ended = None;
        for run in here {
            // A run from elsewhere is resumed only where a person names it.
            if store.is_live(&run.id).await.unwrap_or(true) || store.is_imported(&run.id).await? {
                continue;
            }
            if run.status != RunStatus::Finished {
                return Ok(run);
            }
            if ended.is_none()
                && finish_reason(store, &run).await?.is_some_and(|reason| more_of(&reason).is_some())
            {
                if more {
                    return Ok(run);
                }
                ended = Some(run);
            }
        }
        let failure = Failure::new(Kind::NotFound, format!("there is no interrupted run in `{environment}`"));
        match ended {
            Some(run) => {
                let (why, advice) = self.finished(store, &run).await?;
                Err(failure.hint(format!("{why}; {advice}")).into())
            }
            None => Err(failure
                .hint("`sojourn runs` lists all runs; without `--resume` a new one is started")
                .into()),
        }
    }

    /// Why a run is over, and what can be done.
    async fn finished(&self, store: &Store, run: &RunInfo) -> Result<(String, String)> {
        let (id, file) = (&run.id, output::shell_word(&self.args.agent.to_string_lossy()));
        let reason = finish_reason(store, run).await?;
        let why =
            reason.as_ref().map(|reason| format!(" ({})", logbook::reason_line(reason))).unwrap_or_default();
        let option = reason.as_ref().and_then(more_of).unwrap_or("--time 10m");
        let advice = format!(
            "give it more with `sojourn run {file} --resume {id} {option}`, look at it with `sojourn replay {id}`, or start a new run"
        );
        Ok((format!("run `{id}` is finished{why}"), advice))
    }
}

/// The record of a run's end, the latest one where it went on afterwards.
pub(super) async fn last_end(store: &Store, run: &RunId) -> Result<Option<Record>> {
    let query = RecordQuery { kinds: vec![RecordKind::Finish.as_str().to_owned()], ..RecordQuery::all() };
    Ok(store.records(run, &query).await?.pop())
}

/// Why a run ended; `None` where its log does not say.
pub async fn finish_reason(store: &Store, run: &RunInfo) -> Result<Option<FinishReason>> {
    let Some(last) = last_end(store, &run.id).await? else { return Ok(None) };
    match LogRecord::require(store, &last).await? {
        LogRecord::Effect(effect) => match *effect {
            Effect::Finish { reason } => Ok(Some(reason)),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// What a resumed run may use from now on, if the arguments say so: `--steps`, `--time`, and `--set run.budgets.…`.
pub(super) fn more(args: &Run) -> Result<Option<Budgets>> {
    let mut table = toml::Table::new();
    for assignment in args.overrides.iter().filter(|assignment| is_budget(assignment)) {
        agent_file::assign(&mut table, assignment)?;
    }
    let set = table.remove("run").and_then(|mut run| run.as_table_mut()?.remove("budgets"));
    let set = set.map_or_else(|| Ok(Budgets::default()), toml::Value::try_into::<Budgets>);
    let set =
        set.map_err(|error| Failure::new(Kind::Usage, format!("--set run.budgets: {}", error.message())))?;
    let more = Budgets {
        steps: args.steps.or(set.steps),
        time_ms: args.time.map(|time| time.as_millis() as u64).or(set.time_ms),
        ..set
    };
    Ok((more != Budgets::default()).then_some(more))
}

/// Whether an override sets a budget.
pub(super) fn is_budget(assignment: &str) -> bool {
    assignment.trim_start().starts_with("run.budgets.")
}

/// The option that gives a run more of the budget that ended it; `None` where no budget did.
pub(super) fn more_of(reason: &FinishReason) -> Option<&'static str> {
    match reason {
        FinishReason::Steps => Some("--steps 500"),
        FinishReason::Time => Some("--time 10m"),
        FinishReason::Tokens => Some("--set run.budgets.tokens=20000"),
        FinishReason::ToolCalls => Some("--set run.budgets.tool_calls=100"),
        FinishReason::Cost => Some("--set run.budgets.cost=1.0"),
        FinishReason::Episodes
        | FinishReason::NothingNew { .. }
        | FinishReason::Repetition { .. }
        | FinishReason::Stuck { .. }
        | FinishReason::Controller { .. } => None,
    }
}
