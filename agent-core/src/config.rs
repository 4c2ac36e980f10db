//! The settings of a run. They are part of its first record, so that a replay has the same ones.

mod bounds;

pub use bounds::SettingOutOfRange;

use serde::{Deserialize, Serialize};
use sojourn_sandbox::Limits;
use sojourn_skills::grammar::Language;
use sojourn_skills::{AdmissionRule, ReflexRule};
use sojourn_tools::PolicyFile;
use std::collections::BTreeSet;

/// The version of the rules by which this program's core decides.
pub const CORE_RULES: u32 = 9;

/// The settings of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The seed of all random draws of the core.
    pub seed: u64,
    /// Seeds of the episodes, in order; when empty, seeds are drawn without end.
    pub episodes: Vec<u64>,
    /// The tasks that the curriculum may propose; when empty, all tasks of the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Environment steps after which an episode is left.
    pub episode_steps: u64,
    /// Whether new skills are written.
    pub learning: bool,
    /// Whether the skill library is used. Without it the controller chooses tools of the environment.
    pub library: bool,
    /// Whether memories are kept and recalled.
    pub memory: bool,
    /// Whether the controller chooses among the curriculum's proposals; otherwise the first one is taken.
    pub deliberate: bool,
    /// Whether the next task to learn is one whose prerequisites have skills, the simplest first. Without, it is drawn from all tasks,
    /// to measure what the curriculum is worth.
    ///
    /// Default: true.
    #[serde(skip_serializing_if = "is_true")]
    pub curriculum: bool,
    /// Tokens for each episode, prompt tokens that are not cached and generated ones. When the episodes so far have
    /// used up theirs, the curriculum's first proposal is taken until the next episode. Unused tokens carry over.
    ///
    /// Default: without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_tokens: Option<u64>,
    /// The version of the rules by which the core decides, for logs that were recorded by earlier rules. In a log without
    /// the key it is 0. From 1 on, the controller reads the uses of a skill in all runs, and with `repeat_tasks` a verified task
    /// is done, also where its achievement was unlocked before in the episode. From 2 on, prompts quote notices about tools, and
    /// in worlds that this program does not compute the controller acts step by step where no skill fits. From 3
    /// on, tasks with equally many prerequisites are learned in the order of the environment, not of their names, and tools
    /// on offer stand after the options until one has answered in the episode. From 4 on, the first round of writing asks for
    /// one candidate, a task is left for later after two rounds in which none passed in any world, and programs that recipes
    /// give are tried. From 5 on, a run with a list of `episodes` that neither deliberates nor learns leaves an episode in which no
    /// skill is left to run, and never asks the controller, and a skill whose program another environment has too gets an address
    /// of its own. From 6 on, programs may compare with `null` where the state has one. From 7 on, play tells apart what a text of the
    /// state names, and has more episodes after it found ways to a goal and no program. From 8 on, skills get only those tools of the agent
    /// file that change nothing, and imported ones none; a plan collects what is made of other items before those, a note says why the
    /// last call failed, programs printed from recipes use as much as the number asked for needs, and a task's first program is sampled
    /// at a temperature of at most 0.2; play learns to choose among the calls that a world says are possible. From 9 on,
    /// play goes on after the first program that works, and its programs run in episodes of their own; programs printed from recipes
    /// may turn to the sides where a call cannot be made, and look again at what is nearby before each try; and a task that was given
    /// up is tried in other practice worlds.
    #[schemars(skip)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rules: u32,
    /// Which pictures of the world are kept, where the world has any: `"off"`, `"episode"`, the first and the last of each
    /// episode, or `"step"`, also one after each step. Equal ones are kept once, and `budgets.frame_bytes` bounds them. In a
    /// run with declared secrets there are none of worlds that other programs compute: a picture may show a secret.
    #[serde(skip_serializing_if = "FrameRate::is_off")]
    pub frames: FrameRate,
    /// What the controller is shown of a world: `"text"`, the words of its observation; `"frame"`, its picture, where it has one;
    /// `"state"`, the names of the state's fields when it writes programs. A controller that cannot see gets the text that a
    /// source of kind `see` reads in the picture, and without such a source a line that there is one.
    ///
    /// Default: `["state", "text"]`. Example: `observe = ["text", "frame"]`.
    #[serde(skip_serializing_if = "is_default_observe")]
    pub observe: BTreeSet<Sense>,
    /// Whether the text in the world's picture is part of its state, as `seen`, read by the first source of kind `see`. Skills and
    /// the search for programs can then depend on it, in practice worlds too. The world counts as not trusted, and is not computed
    /// again by a replay.
    ///
    /// Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub perceive: bool,
    /// A larger model that writes the skills and reflexes on which the controller gave up; trials decide about them like about
    /// any others, and what is admitted runs without it. The table `[teacher]` says who runs the model.
    ///
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherConfig>,
    /// Limits that end the run.
    pub budgets: Budgets,
    /// Prices of the controller's tokens per million, for `budgets.cost`; `cached` is 0 unless stated.
    ///
    /// Default: `controller.price`, else the tokens are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// Text that is added to the system message of every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Whether an episode without open tasks starts again with the first task, instead of being left.
    ///
    /// Default: false.
    #[serde(alias = "restless", skip_serializing_if = "std::ops::Not::not")]
    pub repeat_tasks: bool,
    /// Whether an episode goes on where no task is left: tasks that failed are tried again, and in between time passes by the calls that
    /// need nothing. Needs are met by habits, which `reflexes.search` finds.
    ///
    /// Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub live_on: bool,
    /// Episodes in a row without news after which a run that learns, without a list of `episodes`, does not go on as before:
    /// no new skill, achievement, failure or death. Where every task has a skill, the run ends; otherwise the tasks that
    /// were left for later are tried again at once. In a world whose tasks have episodes of their own, the limit is
    /// this number for each such task.
    /// 0 turns this off.
    ///
    /// Default: an agent file has 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uneventful_episodes: Option<u32>,
    /// How practice worlds are explored before a skill is written, in environments that allow it: `episodes` for one
    /// task (200; 0 turns exploration off), random `actions` in one episode at most (5; one action may be several
    /// calls), and the `successes` of a program that end exploration (4).
    ///
    /// Default: an agent file has these values; a run without the table does not explore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<ExplorationConfig>,
    /// How the agent discovers tasks and recipes while it runs, in a world that documents none. `stages` is the largest number of
    /// stages (4), `calls` the number of calls in practice worlds in each of them (10000), `episode_calls` the largest number in one
    /// practice episode (300), and `tasks` the largest number of discovered tasks (40). `follow_recipes` can follow their recipes.
    /// A stage begins when no skill can be learned now. The values in brackets are for absent keys.
    ///
    /// Default: not while the agent runs; in a world that documents no tasks `[discover]` looks around before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<DiscoveryConfig>,
    /// How skills are written, tried and run.
    pub actor: ActorConfig,
    /// How reflexes are written and tried.
    ///
    /// Default: an agent file has the values of the table below; a run without the table writes no reflexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reflexes: Option<ReflexConfig>,
    /// How lessons are drawn from the events of an episode: `lessons` at once (3, at most 26; 0 turns them off), from
    /// the `events` most important memories (24), and before the episode ends when the `importance` of new memories
    /// sums up to 150. The values in brackets are for absent keys.
    ///
    /// Default: no such lessons, and no credit for memories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consolidation: Option<ConsolidationConfig>,
    /// When a run that gets nowhere is helped, and paused at last: `after_ms` without progress the controller is told, after twice
    /// that time the task is left for another one, after three times the run is paused with a report. Progress is a task that was
    /// done, an achievement, or an admitted skill or reflex. A model that does not answer counts too.
    ///
    /// Default: never. Example: `stuck = { after_ms = 1_800_000 }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<StuckConfig>,
    /// Tools that do not belong to the environment, and how they may be used.
    ///
    /// Default: none; an agent file with `tools` has the values of the table below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolUse>,
}

/// When a run that makes no progress is helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StuckConfig {
    /// Milliseconds of the run without progress before each of the three steps.
    pub after_ms: u64,
}

/// The extent of exploration before a skill is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExplorationConfig {
    /// Episodes for one task; 0 turns exploration off. Play runs its programs in up to twice as many others.
    pub episodes: u32,
    /// Random actions in one episode at most; one action may be several calls.
    pub actions: u32,
    /// Exploration ends when a program has reached the goal in this many episodes.
    pub successes: usize,
}

impl Default for ExplorationConfig {
    fn default() -> Self {
        Self { episodes: 200, actions: 5, successes: 4 }
    }
}

/// The extent of discovery while the agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoveryConfig {
    /// Stages at most; 0 turns this off.
    pub stages: u32,
    /// Calls in one stage.
    pub calls: u64,
    /// Calls in one practice episode at most.
    pub episode_calls: u32,
    /// Tasks at most.
    pub tasks: usize,
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self { stages: 4, calls: 10_000, episode_calls: 300, tasks: 40 }
    }
}

/// Tools that do not belong to the environment, and how they may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolUse {
    /// The policy that decides about every call. In an agent file `policy` sets it.
    pub policy: PolicyFile,
    /// The largest number of tools that a request offers; of more, those that fit the observation best.
    pub shown: usize,
    /// The largest number of calls before the controller must choose a task.
    pub in_a_row: u32,
    /// The source of kind `see` that reads pictures of the world for a controller that cannot see.
    ///
    /// Default: the first one in `[tools]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eyes: Option<String>,
}

impl Default for ToolUse {
    fn default() -> Self {
        Self { policy: PolicyFile::default(), shown: 8, in_a_row: 3, eyes: None }
    }
}

/// When lessons are drawn, and how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConsolidationConfig {
    /// The largest number of lessons drawn at once, at most 26; 0 turns lessons off.
    pub lessons: u32,
    /// The sum of importance of new memories from which on lessons are drawn before the episode ends.
    pub importance: f32,
    /// The largest number of memories that the request contains: the most important ones.
    pub events: usize,
}

impl Default for ConsolidationConfig {
    /// The importance is that of Park et al. 2023, "Generative Agents", section 4.2.
    fn default() -> Self {
        Self { lessons: 3, importance: 150.0, events: 24 }
    }
}

/// How reflexes are written after a death, and tried in practice episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReflexConfig {
    /// Whether reflexes are written at all.
    pub write: bool,
    /// Whether habits are searched for after a death, without a model, once there is no new skill to learn: programs that meet needs or
    /// take shelter between the calls of a skill. All of them live 2 practice episodes, the better ones 4 and 8 more, and the best
    /// one confirms its gain like any reflex.
    ///
    /// Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub search: bool,
    /// Candidates decoded at once.
    pub candidates: u32,
    /// Rounds of writing for one death.
    pub rounds: u32,
    /// Tokens a candidate may have.
    ///
    /// Default: 200; 800 for a server of the kind `"openai"` that cannot sample by a grammar.
    pub max_tokens: u32,
    /// Practice episodes in which every candidate is tried.
    pub screening: u32,
    /// Other practice episodes in which the best candidate must show its gain again.
    pub confirming: u32,
    /// Environment steps after which a practice episode ends.
    pub steps: u32,
    /// The gain that admits a reflex: the number of paired `episodes`, the relative increase `margin`, and the increase
    /// in standard `errors`.
    ///
    /// Default: 64, 0.1 and 2; in a table, absent keys are 6, 0.05 and 1.
    pub rule: ReflexRule,
    /// The largest number of attempts for one cause of death.
    pub attempts: u32,
    /// The largest number of reflexes.
    pub most: usize,
}

impl Default for ReflexConfig {
    fn default() -> Self {
        Self {
            write: true,
            search: false,
            candidates: 8,
            rounds: 2,
            max_tokens: 200,
            screening: 12,
            // Episodes differ so much that fewer would not show a gain of a tenth; they take seconds.
            confirming: 64,
            steps: 600,
            // As many episodes as confirm it; episodes a tenth longer, and a gain of twice the error of measurement.
            rule: ReflexRule { episodes: 64, margin: 0.1, errors: 2.0 },
            attempts: 3,
            most: 8,
        }
    }
}

/// Limits that end a run, counted over every resume. An absent key is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Environment steps.
    pub steps: Option<u64>,
    /// Wall time, in milliseconds. The time between two processes of a run does not count.
    pub time_ms: Option<u64>,
    /// Tokens that the controller generates.
    pub tokens: Option<u64>,
    /// Calls of tools, by the controller or by skills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u64>,
    /// Money, in the currency of the run's `prices`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Bytes of the different pictures that `frames` keeps; then no more are taken, and the run goes on.
    ///
    /// Default: 268435456, which is 256 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_bytes: Option<u64>,
    /// Bytes of the run's log, in all of its processes; then the run pauses, and a resume with a larger number goes on.
    ///
    /// Default: 8589934592, which is 8 GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
}

/// What a controller can be shown of a world.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Sense {
    /// The names of the state's fields, for programs.
    State,
    /// The words of an observation.
    Text,
    /// The picture.
    Frame,
}

fn default_observe() -> BTreeSet<Sense> {
    BTreeSet::from([Sense::State, Sense::Text])
}

fn is_default_observe(observe: &BTreeSet<Sense>) -> bool {
    *observe == default_observe()
}

/// Which pictures of the world a run keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FrameRate {
    /// None.
    #[default]
    Off,
    /// The first and the last of each episode.
    Episode,
    /// The first of each episode, and one after each step.
    Step,
}

impl FrameRate {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// The model that writes what the controller gave up on, and how it is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeacherConfig {
    /// The model: a name from `sojourn models list`, a `.gguf` file, or the name that the server at `teacher.base_url` knows it by.
    pub model: String,
    /// Rounds in which it writes one task or reflex.
    #[serde(default = "TeacherConfig::default_rounds")]
    pub rounds: u32,
    /// Candidates of a round.
    #[serde(default = "TeacherConfig::default_candidates")]
    pub candidates: u32,
    /// Tokens of one candidate.
    #[serde(default = "TeacherConfig::default_max_tokens")]
    pub max_tokens: u32,
    /// The language in which it writes.
    ///
    /// Default: `"javascript"` for servers that cannot sample by a grammar, else `"subset"`.
    #[serde(default)]
    pub language: Language,
    /// Prices of its tokens per million, for `budgets.cost`.
    ///
    /// Default: `teacher.price`, else the tokens are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
}

impl TeacherConfig {
    fn default_rounds() -> u32 {
        2
    }

    fn default_candidates() -> u32 {
        1
    }

    fn default_max_tokens() -> u32 {
        400
    }
}

/// Prices of a remote model's tokens, each per million tokens and in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Prompt tokens that the server had not cached.
    pub prompt: f64,
    /// Prompt tokens that the server had cached.
    #[serde(default)]
    pub cached: f64,
    /// Generated tokens.
    pub completion: f64,
}

/// How skills are written, tried and run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ActorConfig {
    /// Whether programs printed from the environment's recipe of a task are tried before the controller writes any.
    ///
    /// Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow_recipes: bool,
    /// Candidates decoded at once from one shared prefix. The first round asks for one, because it often suffices.
    pub candidates: u32,
    /// Rounds of writing before a task is left for later, 2 where no candidate passed in any world; VOYAGER's number is 4.
    /// 0 turns writing off.
    pub rounds: u32,
    /// Sampling temperature for skills; at most 0.2 for a program that is asked for alone while nothing failed yet.
    pub temperature: f32,
    /// Tokens a candidate may have.
    ///
    /// Default: 240; 1200 for a server of the kind `"openai"` that cannot sample by a grammar.
    pub max_tokens: u32,
    /// The language of candidates: `"subset"`, with granted functions, known properties and counted loops only, or
    /// `"javascript"`, any JavaScript, for capable models.
    ///
    /// Default: `"subset"`; `"javascript"` for a server of the kind `"openai"` that cannot sample by a grammar.
    #[serde(skip_serializing_if = "is_subset")]
    pub language: Language,
    /// The rule by which a candidate is admitted.
    ///
    /// Default: `worlds = 5`, `needed = 3`, `allow_death = true`, `forbid_side_effects = true`.
    pub admission: AdmissionRule,
    /// Environment steps one call may take in a practice world.
    pub trial_steps: u32,
    /// Environment steps one call may take in an episode.
    pub act_steps: u32,
    /// Limits of a skill's call. `[limits]` is the simpler way to set them.
    ///
    /// Default: the values of the table below, but `fuel = 400_000_000` and `host_calls = 2000`.
    pub limits: Limits,
    /// Limits of a reflex's tick. `[limits.reflex]` is the simpler way to set them.
    ///
    /// Default: the values for a reflex; in a table, absent keys have those of a skill's call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reflex_limits: Option<Limits>,
}

impl RunConfig {
    /// Whether the controller is asked as a matter of course. Without the library, deliberation or anything to write, it is
    /// only asked in an episode in which there is nothing to do.
    pub fn asks_the_controller(&self) -> bool {
        let writes = self.actor.rounds > 0 || self.memory || self.reflexes.as_ref().is_some_and(|r| r.write);
        !self.library || self.deliberate || (self.learning && writes)
    }

    /// Lets the run propose these tasks besides those that it may already. Where it may propose all, it proposes no others from now on.
    pub fn allow_tasks(&mut self, names: &[String]) {
        for name in names {
            if !self.tasks.contains(name) {
                self.tasks.push(name.clone());
            }
        }
    }
}

impl ActorConfig {
    /// Limits of a reflex's tick.
    pub fn tick_limits(&self) -> Limits {
        self.reflex_limits.clone().unwrap_or_else(Limits::reflex)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_subset(language: &Language) -> bool {
    *language == Language::Subset
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            episodes: Vec::new(),
            tasks: Vec::new(),
            episode_steps: 2000,
            learning: true,
            library: true,
            memory: true,
            deliberate: true,
            curriculum: true,
            episode_tokens: None,
            frames: FrameRate::Off,
            observe: default_observe(),
            perceive: false,
            teacher: None,
            tools: None,
            budgets: Budgets::default(),
            prices: None,
            instructions: None,
            repeat_tasks: false,
            live_on: false,
            uneventful_episodes: None,
            rules: CORE_RULES,
            actor: ActorConfig::default(),
            reflexes: None,
            explore: None,
            discovery: None,
            consolidation: None,
            stuck: None,
        }
    }
}

impl Default for ActorConfig {
    fn default() -> Self {
        Self {
            follow_recipes: false,
            candidates: 4,
            rounds: 4,
            temperature: 0.8,
            max_tokens: 240,
            language: Language::Subset,
            // A death in a practice world is often bad luck, so the number of passes decides.
            admission: AdmissionRule {
                worlds: 5,
                needed: 3,
                allow_death: true,
                forbid_side_effects: true,
                ..AdmissionRule::default()
            },
            trial_steps: 400,
            act_steps: 500,
            // Enough for any sensible skill, and a fraction of a second for one that loops without end.
            limits: Limits { fuel: 400_000_000, host_calls: 2000, ..Limits::default() },
            reflex_limits: None,
        }
    }
}
