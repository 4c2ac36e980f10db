//! Every kind of record, declared once: its name in the log, its payload, and its documentation.
//!
//! To add a kind, add an entry here. The compiler then asks for its line in [`summary`](super::summary) and its handler in
//! the driver; filters, decoding and documentation follow from the entry. An intent is named by an imperative, its
//! result by a participle.

use super::declare::log_records;
use super::{Payload, tagged};
use crate::config::{Budgets, RunConfig};
use crate::model::{
    ActReport, Beliefs, CandidateTrial, Demonstration, DiscoveryPlan, Edit, ExplorationPlan, FinishReason,
    Milestone, NewLesson, Purpose, Recalled, ReflexCandidateTrial, ReflexTrialPlan, SkillRetest, Started,
    StepRecord, ToolDecision, TrialPlan,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_controller::{ModelInfo, Reply, Request};
use sojourn_memory::{ForkPoint, MemoryId, RunId};
use sojourn_skills::{LibraryEvent, SkillId};
use sojourn_tools::{Media, Observation, PolicyFile, Recipe, TaskSpec, ToolCall, ToolOutcome, ToolSpec};
use std::collections::BTreeMap;

log_records! {
    /// An intent of the core. The last effect of a batch is answered by an [`Event`], the others are not answered.
    pub enum Effect {
        /// Start an episode. Answered by `episode_started`.
        "start_episode" => StartEpisode {
            /// The seed that the environment is reset with.
            seed: u64,
        },
        /// Look up memories, tools that fit, or both. Answered by `recalled`.
        "recall" => Recall {
            /// The text to search for.
            query: String,
            /// The largest number of memories; with 0 only tools are looked up.
            limit: usize,
            /// Whether to recall lessons only, without episodes and knowledge.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            lessons: bool,
            /// The largest number of tool names; `None` where no tools are wanted.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            tools: Option<usize>,
        },
        /// Take a picture of the world, for a choice that follows. Answered by `looked`.
        "look" => Look {},
        /// Call a tool that does not belong to the environment. Answered by `tool_answered`.
        "call_tool" => CallTool {
            /// The call.
            call: ToolCall,
            /// Whether content from outside may have caused the call.
            untrusted: bool,
        },
        /// Send a request to the controller. Answered by `controller_answered` or `controller_failed`.
        "ask_controller" => AskController {
            /// The reason for the request.
            purpose: Purpose,
            /// The request, whose answer is constrained.
            request: Request,
        },
        /// Observe the first states of other episodes of a task. Answered by `starts_observed`.
        "observe_starts" => ObserveStarts {
            /// The task.
            task: String,
            /// Seeds of the practice worlds, one for each episode.
            seeds: Vec<u64>,
        },
        /// Try actions at random in practice worlds until one reaches the task's goal. Answered by `explored`.
        "explore" => Explore {
            /// The task, the seeds and the limits.
            plan: ExplorationPlan,
        },
        /// Discover tasks and recipes in practice worlds. Answered by `discovered`.
        "discover" => Discover {
            /// The seeds, the limits, and the beliefs so far.
            plan: DiscoveryPlan,
        },
        /// Try candidates for a skill in practice worlds. Answered by `candidates_tried`.
        "try_candidates" => TryCandidates {
            /// The candidates, the worlds and the calls.
            plan: TrialPlan,
        },
        /// Run admitted skills in their recorded cases again, because a skill that they call has changed. Answered by
        /// `skills_retested`.
        "retest_skills" => RetestSkills {
            /// The versions to run.
            skills: Vec<SkillId>,
        },
        /// Try candidates for a reflex in practice episodes. Answered by `reflexes_tried`.
        "try_reflexes" => TryReflexes {
            /// The candidates, the episodes and the limits.
            plan: ReflexTrialPlan,
        },
        /// Run a skill, or one tool of the environment, in the episode. Answered by `acted`.
        "act" => Act {
            /// The skill or tool, and its arguments.
            call: ToolCall,
            /// The largest number of environment steps.
            max_steps: u32,
        },
        /// Change the skill library.
        "change_library" => ChangeLibrary {
            /// The change, which the core has applied to its own copy already.
            change: LibraryEvent,
        },
        /// Store a memory, with this record as its source.
        "remember" => Remember {
            /// The memory.
            memory: NewLesson,
        },
        /// Add, merge and close lessons after an episode.
        "consolidate" => Consolidate {
            /// The changes, in order.
            edits: Vec<Edit>,
        },
        /// Count recalled memories as helpful or harmful, by the outcome of the task that they were recalled for.
        "credit_memories" => CreditMemories {
            /// The memories' ids.
            memories: Vec<MemoryId>,
            /// Whether the task was done.
            helped: bool,
        },
        /// Report a milestone to the person who watches.
        "report_milestone" => ReportMilestone {
            /// The milestone.
            milestone: Milestone,
        },
        /// End the run. Only a resume can follow.
        "finish" => Finish {
            /// The reason.
            reason: FinishReason,
        },
    }

    /// A result that enters the core. Everything that is not deterministic enters as one of these.
    #[allow(clippy::large_enum_variant, reason = "one exists at a time")]
    pub enum Event {
        /// An episode has started.
        "episode_started" => EpisodeStarted {
            /// The seed that the environment was reset with.
            seed: u64,
            /// The first observation.
            observation: Observation,
        },
        /// Memories were looked up.
        "recalled" => Recalled {
            /// The best memory first.
            memories: Vec<Recalled>,
            /// Names of the tools that fit, the best first; empty where none were asked for.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            tools: Vec<String>,
        },
        /// The world was looked at. A replay takes no picture: it has this one.
        "looked" => Looked {
            /// The picture, whose bytes are a blob of this record; `None` where the world gave none.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            picture: Option<Media>,
            /// Whether the controller can be shown pictures.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            shown: bool,
            /// Whether the policy trusts pictures of the world like the user's own words.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            trusted: bool,
        },
        /// A tool that does not belong to the environment answered, or the policy forbade the call.
        "tool_answered" => ToolAnswered {
            /// The outcome.
            outcome: ToolOutcome,
            /// Whether the policy trusts the tool's content like the user's own words.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            trusted: bool,
        },
        /// The controller answered.
        "controller_answered" => ControllerAnswered {
            /// The answer: one candidate or several.
            reply: Reply,
        },
        /// The controller could not answer.
        "controller_failed" => ControllerFailed {
            /// The error, for people.
            error: String,
        },
        /// The first states of other episodes were observed.
        "starts_observed" => StartsObserved {
            /// Observations as text, in the order of the seeds; empty where there are no practice worlds.
            seen: Vec<String>,
        },
        /// Exploration is over.
        "explored" => Explored {
            /// Episodes that reached the goal, each without the calls that it did not need.
            demonstrations: Vec<Demonstration>,
            /// JavaScript programs that reached the goal in other worlds, the most successful first.
            programs: Vec<String>,
        },
        /// A stage of discovery is over.
        "discovered" => Discovered {
            /// The beliefs about the world by now, with their evidence.
            beliefs: Beliefs,
            /// The tasks that are made of it.
            tasks: Vec<TaskSpec>,
            /// A recipe for each of them.
            recipes: Vec<Recipe>,
        },
        /// Candidates for a skill were tried.
        "candidates_tried" => CandidatesTried {
            /// One trial for each candidate, in the same order.
            trials: Vec<CandidateTrial>,
        },
        /// Skills were run in their cases again.
        "skills_retested" => SkillsRetested {
            /// One result for each skill that could be run, in the order of the intent.
            retests: Vec<SkillRetest>,
        },
        /// Candidates for a reflex were tried.
        "reflexes_tried" => ReflexesTried {
            /// One trial for each candidate, in the same order.
            trials: Vec<ReflexCandidateTrial>,
        },
        /// The run's time was used up before the effect was answered. The effect was given up, and the run ends.
        "out_of_time" => OutOfTime {},
        /// A skill or a tool was run in the episode.
        "acted" => Acted {
            /// The outcome.
            report: ActReport,
        },
    }

    /// What happens while a skill runs in the episode, in order.
    pub enum SkillEvent {
        /// A skill calls a tool or another skill.
        "called" => Called {
            /// The number of skills above the caller: 0 for the skill that the core runs.
            depth: u32,
            /// The call.
            call: ToolCall,
        },
        /// The environment took a step.
        "stepped" => Stepped(StepRecord),
        /// A call returned.
        "returned" => Returned {
            /// The depth of its `called` record.
            depth: u32,
            /// The outcome.
            outcome: ToolOutcome,
        },
    }

    /// A change of the run's circumstances that the core did not ask for. Replay applies it where it was recorded.
    pub enum ControlRecord {
        /// Another process resumed the run. The time between the two does not count as the run's.
        "resumed" => Resumed {
            /// What the run may use from now on, where that was changed.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            budgets: Option<Budgets>,
            /// The policy of the agent file, where it differs from those in the log. From now on the strictest of them
            /// decides.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            policy: Option<Box<PolicyFile>>,
            /// Whether the run was recorded elsewhere, or its world is not trusted any more: it is tainted from now on.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            untrusted: bool,
            /// Whether another home wrote all records before: none of the reflexes in them acts from now on.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            foreign: bool,
            /// Whether somebody else may have chosen what is in the log, also after earlier resumes: from now on its skills get no
            /// tools of the agent file, and all that it says of the world is quoted.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            confined: bool,
            /// Who resumed it, where that was not a person at a terminal or a supervisor.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            by: Option<String>,
        },
        /// The run was paused: the step under way was finished, and a resume continues here.
        "paused" => Paused {
            /// Who asked for it, where that was not a person at its terminal or a signal.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            by: Option<String>,
        },
        /// A person gave the run a goal while it was under way. It holds from the next episode on.
        "goal_added" => GoalAdded {
            /// The goal in words.
            goal: String,
            /// What it means: a task of the world, or one under a condition of its own.
            task: TaskSpec,
            /// Tasks that the run may propose from now on, besides those that it may already.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            only: Vec<String>,
            /// Who asked for it.
            by: String,
        },
        /// The records before this one were copied from another run; from here on this run goes its own way.
        "forked" => Forked {
            /// The last record that both runs share.
            forked_from: ForkPoint,
            /// What differs from now on.
            changes: ForkChanges,
        },
        /// Tools appeared, vanished or changed.
        "tools_changed" => ToolsChanged {
            /// Tools that are new or differ from before.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            appeared: Vec<ToolSpec>,
            /// Tools whose argument schema cannot constrain the controller, with the reason. Their arguments are checked
            /// after the answer.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            unconstrained: BTreeMap<String, String>,
            /// Names of the tools that are gone.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            vanished: Vec<String>,
            /// Other messages of the tools' sources, for the controller.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            notices: Vec<String>,
        },
        /// The computer's clock was set, or the computer or the process was suspended. The difference does not count as the
        /// run's time.
        "clock_changed" => ClockChanged {
            /// What the clock shows now, less what it would show if it had run on, in milliseconds.
            by_ms: i64,
        },
        /// A picture of the world was taken, after the record before this one. A replay takes none.
        "frame_taken" => FrameTaken {
            /// The picture. Its bytes are a blob of this record.
            frame: Media,
        },
        /// A program under trial is about to call a tool that does not belong to the environment. Its answer is not recorded; a
        /// replay takes the results of such trials from the log.
        "trial_call" => TrialCall {
            /// The call.
            call: ToolCall,
            /// Why it is allowed: "rule 2", "the default for calls that only read".
            by: String,
        },
    }

    single {
        /// The first record: settings, environment, model, library and reflexes that the run starts from.
        "started" => Started,
        /// The policy's decision about one call of a tool, made before the call.
        "tool_decision" => ToolDecision,
    }
}

/// What a fork changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForkChanges {
    /// The id of the new run.
    pub run: RunId,
    /// The settings from now on; `None` where they stay the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<RunConfig>>,
    /// What the run may use from now on, where that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budgets: Option<Budgets>,
    /// The controller's model from now on; `None` where it stays the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<ModelInfo>>,
    /// Who made the fork, where that was not a person at a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl ForkChanges {
    /// A fork that changes nothing but the id.
    pub fn new(run: RunId) -> Self {
        Self { run, config: None, budgets: None, model: None, by: None }
    }
}

/// A control record with the times around it, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedControl {
    /// The record.
    pub record: ControlRecord,
    /// The time of the record before it.
    pub before_ms: i64,
    /// Its own time.
    pub at_ms: i64,
}

impl ControlRecord {
    /// Another process resumed the run, and nothing else changed.
    pub fn resumed() -> Self {
        Self::Resumed {
            budgets: None,
            policy: None,
            untrusted: false,
            foreign: false,
            confined: false,
            by: None,
        }
    }
}

impl RecordKind {
    /// Whether records of this kind are [`ControlRecord`]s.
    pub fn is_control(self) -> bool {
        ControlRecord::KINDS.contains(&self)
    }
}
