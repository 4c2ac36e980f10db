//! What goes into the core and what comes out of it: plain data, logged as it stands.

pub use crate::practice::*;
pub use crate::purpose::Purpose;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_controller::{Reply, Request};
use sojourn_memory::EventSeq;
use sojourn_sandbox::CallError;
use sojourn_skills::{LibraryEvent, ReflexFigures, SkillId};
use sojourn_tools::{Ending, Need, Observation, ToolCall, ToolOutcome};

/// Something that happened. All that is non-deterministic enters the core as one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one is under way at a time")]
pub enum Event {
    /// An episode is under way.
    EpisodeStarted {
        /// The environment's seed.
        seed: u64,
        /// What is seen first.
        observation: Observation,
    },
    /// Memories were looked up.
    Recalled {
        /// Best first.
        memories: Vec<Recalled>,
        /// Names of the tools that fit best, best first, where that was asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tools: Vec<String>,
    },
    /// A tool that is not the environment's answered, or was not called because the policy says so.
    ToolAnswered {
        /// What it came to.
        outcome: ToolOutcome,
        /// Whether what it says counts as the user's own words.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        trusted: bool,
    },
    /// The controller answered.
    Thought {
        /// Its answer.
        reply: Reply,
    },
    /// The controller could not answer.
    ThoughtFailed {
        /// Why.
        error: String,
    },
    /// It was seen how other episodes of a task begin.
    Surveyed {
        /// In words, in the order that was asked for; nothing where there are no practice worlds.
        seen: Vec<String>,
    },
    /// Things were done by chance in practice worlds.
    Played {
        /// What reached the goal by chance.
        shown: Vec<Demonstration>,
        /// Programs that do the same, those first that did so best in other worlds.
        #[serde(default)]
        programs: Vec<String>,
    },
    /// Candidates were tried in practice worlds.
    Tried {
        /// In the order of the candidates.
        trials: Vec<CandidateTrial>,
    },
    /// Skills were run in their cases again.
    Retested {
        /// In the order that was asked for; one that could not be run is left out.
        retests: Vec<SkillRetest>,
    },
    /// Candidates for a reflex were tried in practice episodes.
    ReflexesTried {
        /// In the order of the candidates.
        trials: Vec<ReflexCandidateTrial>,
    },
    /// A skill was run in the episode.
    Acted {
        /// How it went.
        report: ActReport,
    },
}

/// Something the driver has to do. The last effect of a batch is answered by an [`Event`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Start an episode. Answered by [`Event::EpisodeStarted`].
    Reset {
        /// The environment's seed.
        seed: u64,
    },
    /// Look memories up. Answered by [`Event::Recalled`].
    Recall {
        /// What to look for.
        query: String,
        /// How many at most.
        limit: usize,
        /// Lessons only, not what happened or was read.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lessons: bool,
        /// So many names of tools that fit are wanted too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tools: Option<usize>,
    },
    /// Ask a tool that is not the environment's. Answered by [`Event::ToolAnswered`].
    UseTool {
        /// The call.
        call: ToolCall,
        /// Whether something that a tool showed before may stand behind it.
        untrusted: bool,
    },
    /// Ask the controller. Answered by [`Event::Thought`] or [`Event::ThoughtFailed`].
    Think {
        /// What for.
        purpose: Purpose,
        /// The constrained request.
        request: Request,
    },
    /// See how other episodes of a task begin. Answered by [`Event::Surveyed`].
    Survey {
        /// The task.
        task: String,
        /// The practice worlds' seeds.
        seeds: Vec<u64>,
    },
    /// Do things by chance in practice worlds. Answered by [`Event::Played`].
    Play {
        /// Where, and for how long.
        plan: PlayPlan,
    },
    /// Try candidates in practice worlds. Answered by [`Event::Tried`].
    Try {
        /// What is tried, where and how.
        plan: TrialPlan,
    },
    /// Run admitted skills in their cases again, because what they call has changed. Answered by [`Event::Retested`].
    Retest {
        /// Which.
        skills: Vec<SkillId>,
    },
    /// Try candidates for a reflex in practice episodes. Answered by [`Event::ReflexesTried`].
    TryReflexes {
        /// What is tried, where and how.
        plan: ReflexPlan,
    },
    /// Run a skill in the episode. Answered by [`Event::Acted`].
    Act {
        /// The skill and its arguments.
        call: ToolCall,
        /// Environment steps it may take at most.
        max_steps: u32,
    },
    /// The library changes. Not answered.
    Library {
        /// The change; the core has applied it to its own copy.
        change: LibraryEvent,
    },
    /// Keep a memory. Not answered.
    Remember {
        /// What to keep.
        memory: NewLesson,
    },
    /// Change what is remembered by what an episode taught. Not answered.
    Consolidate {
        /// Step by step.
        edits: Vec<Edit>,
    },
    /// Note what came of a task that these memories were recalled for. Not answered.
    Credit {
        /// Their ids.
        memories: Vec<String>,
        /// Whether it was done.
        helped: bool,
    },
    /// Something worth telling the person who watches. Not answered.
    Tell {
        /// What happened.
        milestone: Milestone,
    },
    /// The run is over. Not answered; nothing follows.
    Finish {
        /// Why.
        reason: FinishReason,
    },
}

/// One call that a skill made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallTrace {
    /// As JavaScript: `go_to("tree")`.
    pub call: String,
    /// Whether it did what it is for.
    pub ok: bool,
    /// What happened.
    pub message: String,
    /// What was missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Need>,
}

/// How a skill's run in the episode went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActReport {
    /// What is seen afterwards.
    pub observation: Observation,
    /// What stopped it, if it did not return by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// Environment steps taken, reflexes' included.
    pub steps: u32,
    /// Steps of those that reflexes took.
    pub reflex_steps: u32,
    /// Achievements unlocked, with the episode's step.
    pub unlocked: Vec<Unlocked>,
    /// Skills that ran, the called one last: which, and whether their post-condition held.
    pub skills: Vec<SkillUse>,
    /// The last calls it made.
    pub trace: Vec<CallTrace>,
    /// How many calls it made in all, where the run counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// How many of them were to tools that are not the environment's.
    #[serde(default, skip_serializing_if = "is_none")]
    pub consulted: u32,
    /// The last moments before a death, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moments: Vec<Moment>,
    /// Set if the episode ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

/// A state, and the action that was taken in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// What was seen.
    pub state: Value,
    /// What was done.
    pub action: String,
}

/// An achievement and when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocked {
    /// The task.
    pub task: String,
    /// The episode's step.
    pub step: u64,
}

/// One run of a skill, called by the core or by another skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillUse {
    /// The skill's name.
    pub name: String,
    /// Whether its post-condition held.
    pub verified: bool,
    /// Environment steps it took.
    pub steps: u32,
}

/// A memory as it came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalled {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// "reflection", "episode", …
    pub kind: String,
    /// The score, and what it is made of.
    pub why: String,
}

/// A memory to keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewLesson {
    /// What it says.
    pub text: String,
    /// A lesson in words, or what happened.
    pub kind: LessonKind,
    /// From 1 to 10.
    pub importance: f32,
}

/// One step of a consolidation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub enum Edit {
    /// A new lesson.
    Add {
        /// What it says.
        text: String,
        /// From 1 to 10.
        importance: f32,
        /// The records of this run that it rests on.
        sources: Vec<EventSeq>,
    },
    /// A lesson that was there says what a new one says: it stays, and what the new one rests on becomes its own.
    Merge {
        /// Its id.
        older: String,
        /// The place of the new one among those that are added here.
        added: usize,
    },
    /// A lesson that was there is contradicted by a new one: it is not true any more, if it did more harm than good.
    Close {
        /// Its id.
        older: String,
        /// The place of the new one among those that are added here.
        added: usize,
    },
}

/// Kinds of memories that the loop makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LessonKind {
    /// What happened.
    Episode,
    /// A lesson in words.
    Reflection,
}

/// What a person who watches wants to know at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "milestone", rename_all = "snake_case")]
pub enum Milestone {
    /// The curriculum and the controller settled on a task.
    TaskChosen {
        /// The task.
        task: String,
        /// Whether a skill has to be written for it.
        learning: bool,
    },
    /// A skill was admitted.
    SkillAdmitted {
        /// The skill.
        skill: String,
        /// Worlds in which it verified, of those it was tried in.
        verified: (usize, usize),
        /// Mean steps when it verified.
        steps: f64,
        /// Rounds of writing it took.
        rounds: u32,
    },
    /// A reflex that the controller wrote was admitted.
    ReflexAdmitted {
        /// The reflex.
        reflex: String,
        /// What it was written against.
        cause: String,
        /// Practice episodes with it and without it.
        figures: ReflexFigures,
    },
    /// No reflex that was written for a cause of death prolongs life.
    ReflexGivenUp {
        /// The cause.
        cause: String,
    },
    /// Writing a skill was given up for now.
    SkillGivenUp {
        /// The task.
        task: String,
    },
    /// An admitted skill did so badly that it must be earned again.
    SkillDemoted {
        /// The skill.
        skill: String,
    },
    /// An admitted skill does what another one does: it is another name of it now.
    SkillMerged {
        /// The skill.
        skill: String,
        /// The other.
        into: String,
    },
    /// What a skill calls has changed, and it still passes its cases.
    SkillRetested {
        /// The skill.
        skill: String,
        /// Cases that it passed.
        passed: usize,
    },
    /// A task was tried in the episode.
    TaskDone {
        /// The task.
        task: String,
        /// Whether its goal was reached.
        verified: bool,
        /// Steps it took.
        steps: u32,
    },
    /// The agent did the same again and again: it is told so, and the task is left until the next episode.
    Nudged {
        /// What it did.
        what: String,
        /// How often in a row.
        times: u32,
    },
    /// An episode ended.
    EpisodeEnded {
        /// How.
        cause: String,
        /// Its achievements.
        achievements: usize,
        /// Its steps.
        steps: u64,
    },
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum FinishReason {
    /// All the steps that were allowed were taken.
    Steps,
    /// The time that was allowed is over.
    Time,
    /// All the tokens that were allowed were generated.
    Tokens,
    /// All the episodes that were asked for are over.
    Episodes,
    /// All the tool calls that were allowed were made.
    ToolCalls,
    /// All the money that was allowed is spent.
    Cost,
    /// The agent did the same again and again, and telling it so did not help. The run can be resumed.
    Repetition {
        /// What it did.
        what: String,
    },
    /// The controller failed again and again.
    Controller {
        /// The last error.
        error: String,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
}
