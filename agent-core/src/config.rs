//! What a run is told: recorded with it, so that a replay starts from the same.

use serde::{Deserialize, Serialize};
use sojourn_sandbox::Limits;
use sojourn_skills::grammar::Language;
use sojourn_skills::{AdmissionRule, ReflexRule};
use sojourn_tools::PolicyFile;

/// The settings of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Everything that is drawn by chance in the core comes from this.
    pub seed: u64,
    /// Seeds of the episodes, in order; when empty, seeds are drawn without an end.
    pub episodes: Vec<u64>,
    /// The tasks that may be asked for; all that the environment documents when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Steps after which an episode is left.
    pub episode_steps: u64,
    /// Whether new skills are written.
    pub learning: bool,
    /// Whether the skill library is used. Without it the controller chooses primitives.
    pub library: bool,
    /// Whether memories are kept and recalled.
    pub memory: bool,
    /// Whether the controller chooses among the curriculum's proposals; without, the first is taken.
    pub deliberate: bool,
    /// Tokens, read anew and generated, that an episode is worth: once so many were used for every episode begun, the
    /// curriculum's first proposal is taken until the next one. What an episode leaves over the next ones may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_tokens: Option<u64>,
    /// What ends the run.
    pub budgets: Budgets,
    /// What the controller's tokens cost, where they cost something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// Added to what the controller is told at the beginning of every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Whether an episode in which nothing is left to do goes on from the first task again, instead of being left.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeat_tasks: bool,
    /// How worlds are played with that can be; without it nothing is looked for by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploration: Option<ExplorationConfig>,
    /// How skills are written, tried and run.
    pub actor: ActorConfig,
    /// How reflexes are written and tried; without it none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reflexes: Option<ReflexConfig>,
    /// How lessons are drawn from episodes; without it none are, and lessons are not credited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consolidation: Option<ConsolidationConfig>,
    /// Tools besides the environment's; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolUse>,
}

/// How long something is looked for by chance before a skill is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExplorationConfig {
    /// Episodes of play for one task; with 0 there is none.
    pub episodes: u32,
    /// Things done in an episode by chance at most.
    pub moves: u32,
    /// A program that reaches the goal in so many episodes is enough.
    pub wanted: usize,
}

impl Default for ExplorationConfig {
    fn default() -> Self {
        Self { episodes: 200, moves: 5, wanted: 4 }
    }
}

/// Tools besides the environment's, and how they may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolUse {
    /// What may be called.
    pub policy: PolicyFile,
    /// How many are offered to the controller at once; of more, those that fit what is seen best.
    pub shown: usize,
    /// How many it may ask before it settles on a task.
    pub in_a_row: u32,
}

impl Default for ToolUse {
    fn default() -> Self {
        Self { policy: PolicyFile::default(), shown: 8, in_a_row: 3 }
    }
}

/// When lessons are drawn from what happened, and how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsolidationConfig {
    /// Lessons drawn at once, at most, and never more than 26; with 0 none are.
    pub lessons: u32,
    /// Summed importance of new memories past which the end of the episode is not waited for.
    pub importance: f32,
    /// Things that happened which the controller is told, at most: the weightiest.
    pub events: usize,
}

impl Default for ConsolidationConfig {
    /// The importance is that of Park et al. 2023, "Generative Agents", section 4.2.
    fn default() -> Self {
        Self { lessons: 3, importance: 150.0, events: 24 }
    }
}

/// How reflexes are written after a death, and tried in practice episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReflexConfig {
    /// Whether reflexes are written at all.
    pub write: bool,
    /// Candidates decoded at once.
    pub candidates: u32,
    /// Rounds of writing for one death.
    pub rounds: u32,
    /// Tokens a candidate may have.
    pub max_tokens: u32,
    /// Practice episodes in which every candidate is tried.
    pub screening: u32,
    /// Other practice episodes in which the best of them has to show the gain that it is admitted for.
    pub confirming: u32,
    /// Environment steps after which a practice episode ends.
    pub steps: u32,
    /// What it has to show.
    pub rule: ReflexRule,
    /// Attempts for one cause of death, and reflexes in all.
    pub attempts: u32,
    /// See `attempts`.
    pub most: usize,
}

impl Default for ReflexConfig {
    fn default() -> Self {
        Self {
            write: true,
            candidates: 8,
            rounds: 2,
            max_tokens: 200,
            screening: 12,
            // Lives differ so much that fewer would not show a tenth; they take seconds.
            confirming: 64,
            steps: 600,
            // As many episodes as confirm it; a tenth longer a life, and twice the error of what was measured.
            rule: ReflexRule { episodes: 64, margin: 0.1, errors: 2.0 },
            attempts: 3,
            most: 8,
        }
    }
}

/// What a run may use up at most. `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Environment steps.
    pub steps: Option<u64>,
    /// Wall time, milliseconds.
    pub time_ms: Option<u64>,
    /// Tokens generated.
    pub tokens: Option<u64>,
    /// Calls of tools, by the controller or by skills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u64>,
    /// Money, in the currency of the run's `prices`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// What a remote model's tokens cost, each per million and in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Tokens that are read anew.
    pub prompt: f64,
    /// Tokens that the server had read before.
    #[serde(default)]
    pub cached: f64,
    /// Tokens that are generated.
    pub completion: f64,
}

/// How skills are written, tried and run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActorConfig {
    /// Candidates decoded at once from one shared prefix.
    pub candidates: u32,
    /// Rounds of writing before a task is left for later; VOYAGER's number is 4. With 0 nothing is written.
    pub rounds: u32,
    /// Sampling temperature for skills.
    pub temperature: f32,
    /// Tokens a candidate may have.
    pub max_tokens: u32,
    /// What candidates are written in.
    #[serde(skip_serializing_if = "is_subset")]
    pub language: Language,
    /// When a candidate is admitted.
    pub admission: AdmissionRule,
    /// Environment steps one call may take in a practice world.
    pub trial_steps: u32,
    /// Environment steps one call may take in an episode.
    pub act_steps: u32,
    /// Limits of a skill's call.
    pub limits: Limits,
    /// Limits of a reflex's tick; [`Limits::reflex`] where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reflex_limits: Option<Limits>,
}

impl ActorConfig {
    /// Limits of a reflex's tick.
    pub fn tick_limits(&self) -> Limits {
        self.reflex_limits.clone().unwrap_or_else(Limits::reflex)
    }
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
            episode_tokens: None,
            tools: None,
            budgets: Budgets::default(),
            prices: None,
            instructions: None,
            repeat_tasks: false,
            actor: ActorConfig::default(),
            reflexes: None,
            exploration: None,
            consolidation: None,
        }
    }
}

impl Default for ActorConfig {
    fn default() -> Self {
        Self {
            candidates: 4,
            rounds: 4,
            temperature: 0.8,
            max_tokens: 240,
            language: Language::Subset,
            // A death in a practice world is often bad luck with what roams there: needed passes decide.
            admission: AdmissionRule {
                worlds: 5,
                needed: 3,
                allow_death: true,
                tidy: true,
                ..AdmissionRule::default()
            },
            trial_steps: 400,
            act_steps: 500,
            // Enough for any sensible skill, and a fraction of a second where one runs wild.
            limits: Limits { fuel: 400_000_000, host_calls: 2000, ..Limits::default() },
            reflex_limits: None,
        }
    }
}
