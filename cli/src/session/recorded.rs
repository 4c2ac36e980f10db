//! A recorded run: its first record, its settings at the end of its log, and whether this program can continue it.

use super::RunContext;
use crate::environments;
use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_controller::ModelInfo;
use sojourn_core::{ControlRecord, LOG_VERSION, LogRecord, RecordKind, RunConfig, Started};
use sojourn_memory::{EventSeq, Record, RunInfo, Store};
use sojourn_tools::{EnvironmentSpec, PolicyFile, TaskSpec};

impl RunContext {
    /// The first record of a run.
    ///
    /// # Errors
    /// When there is none, or it is of another version of the log, the loop or the environment.
    pub async fn started(&self, info: &RunInfo, first: Option<&Record>) -> Result<Started> {
        let Some(first) = first.filter(|record| record.seq == EventSeq(1)) else {
            return Err(Failure::new(
                Kind::Failure,
                format!("run `{}` was cut off before its first record", info.id),
            )
            .hint("nothing happened in it: start a new run")
            .into());
        };
        // The version comes first: a log of another version may have another shape.
        let version = first.payload.get("log_version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(LOG_VERSION)) {
            let version = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            return Err(Failure::new(
                Kind::Failure,
                format!(
                    "run `{}` has log version {version}; this program reads version {LOG_VERSION}",
                    info.id
                ),
            )
            .hint("use the program that recorded it")
            .into());
        }
        let started: Started = LogRecord::require(&self.store, first).await?.try_into().map_err(|kind| {
            anyhow::anyhow!("the first record of run `{}` is of the kind `{kind}`", info.id)
        })?;
        started.config.check_bounds().map_err(|error| {
            Failure::new(Kind::Failure, format!("run `{}` cannot be carried out: {error}", info.id))
                .hint("`sojourn log` shows it; whoever wrote this log chose settings that no run needs")
        })?;
        let here =
            environments::of_log(self.home.environments(), &started.environment).spec().version.clone();
        if started.environment.version != here {
            return Err(Failure::new(
                Kind::Failure,
                format!(
                    "run `{}` was recorded with {} {}; this program has {here}",
                    info.id, started.environment.name, started.environment.version
                ),
            )
            .hint("use the program that recorded it")
            .into());
        }
        Ok(started)
    }
}

/// The settings that hold at the end of a run's log: those it was started with, or those of its last fork.
pub struct EffectiveConfig {
    /// The settings.
    pub config: RunConfig,
    /// The controller's model.
    pub model: ModelInfo,
    /// Whether the run is a fork.
    pub forked: bool,
    /// The policies that hold, the one that the run was started with first.
    pub policies: Vec<PolicyFile>,
    /// The tasks of the goals that people added while the run was under way.
    pub goals: Vec<TaskSpec>,
}

impl EffectiveConfig {
    /// Whether `policy` is none of those that hold. A run without tools has none, and needs none.
    pub fn misses(&self, policy: &PolicyFile) -> bool {
        let none = self.policies.is_empty() && *policy == PolicyFile::default();
        !none && !self.policies.contains(policy)
    }

    /// The settings after `records` of a run that was started with `started`.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn of(store: &Store, started: &Started, records: &[Record]) -> Result<Self> {
        let policy = |config: &RunConfig| config.tools.as_ref().map(|tools| tools.policy.clone());
        let mut now = Self {
            config: started.config.clone(),
            model: started.model.clone(),
            forked: false,
            policies: policy(&started.config).into_iter().collect(),
            goals: Vec::new(),
        };
        let changing = [RecordKind::Forked, RecordKind::Resumed, RecordKind::GoalAdded];
        for record in records.iter().filter(|record| changing.iter().any(|kind| kind.is(record))) {
            let LogRecord::ControlRecord(control) = LogRecord::require(store, record).await? else {
                continue;
            };
            match *control {
                ControlRecord::Forked { changes, .. } => {
                    now.forked = true;
                    if let Some(config) = changes.config {
                        now.policies.extend(policy(&config));
                        now.config = *config;
                    }
                    if let Some(model) = changes.model {
                        now.model = *model;
                    }
                }
                ControlRecord::Resumed { policy, .. } => now.policies.extend(policy.map(|policy| *policy)),
                ControlRecord::GoalAdded { task, only, .. } => {
                    now.config.allow_tasks(&only);
                    now.goals.push(task);
                }
                _ => {}
            }
        }
        Ok(now)
    }
}

/// Checks that a run can continue in this environment.
pub(super) fn same_world(info: &RunInfo, then: &EnvironmentSpec, now: &EnvironmentSpec) -> Result<()> {
    if (&then.name, &then.version, &then.actions) == (&now.name, &now.version, &now.actions) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Usage,
        format!(
            "run `{}` is in the environment `{}` {}, this is `{}` {}",
            info.id, then.name, then.version, now.name, now.version
        ),
    )
    .hint("resume it in the environment that it was started in; `sojourn replay` needs no environment")
    .into())
}
