//! Playing without a goal, and counting what changes.

use super::fields::{Fields, Reading, StateField, is_prose};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{Amount, Condition, ToolCall, as_javascript};
use std::collections::{BTreeMap, BTreeSet};

/// Different effects that are counted.
const EFFECTS: usize = 1024;
/// Calls that are named beside an effect.
const NAMED: usize = 3;

/// What was found out about a world.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Survey {
    /// Episodes that were played.
    pub episodes: usize,
    /// Calls that were made.
    pub calls: usize,
    /// The fields of the state, by location.
    pub fields: Vec<StateField>,
    /// What calls changed, the rarest first.
    pub changes: Vec<Change>,
    /// Episodes that ended because the world failed.
    pub failed: usize,
    /// The latest reason for that.
    pub failure: Option<String>,
    /// First states of episodes, each once.
    #[serde(skip)]
    pub starts: Vec<Value>,
}

impl Survey {
    /// What single states show, each the start of an episode in which nothing was done.
    pub fn of_starts(states: impl IntoIterator<Item = Value>) -> Self {
        let mut surveyor = Surveyor::default();
        for state in states {
            surveyor.begin(&state);
        }
        surveyor.conclude()
    }

    /// Whether a condition holds before anything was done, in every episode that was seen.
    pub fn always_holds(&self, condition: &Condition) -> bool {
        let holds = |state| condition.holds(state, state, &Map::new()).unwrap_or(false);
        !self.starts.is_empty() && self.starts.iter().all(holds)
    }

    /// The change that brings about exactly this condition, if it was seen.
    pub fn change(&self, condition: &Condition) -> Option<&Change> {
        self.changes.iter().find(|change| change.effect.condition() == *condition)
    }
}

/// A change of the state, and what brought it about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What changed.
    #[serde(flatten)]
    pub effect: Effect,
    /// In how many calls it happened.
    pub times: usize,
    /// In how many episodes.
    pub episodes: usize,
    /// After how many calls of an episode it happened, where that was soonest.
    pub soonest: usize,
    /// In how many calls the field changed in whatever way.
    pub field_changes: usize,
    /// Whether it holds in the first state of an episode. A number is never risen there.
    pub at_start: bool,
    /// The calls after which it happened most often, as JavaScript, with how often.
    pub calls: Vec<(String, usize)>,
    /// Whether it is the reward of the call, or the sum of the episode's rewards: an account of goals, and none itself.
    pub is_account: bool,
    /// Whether it follows some calls much more often than others; `false` also where that cannot be said yet.
    pub is_caused: bool,
}

/// Something that a call may bring about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// A number rises.
    Rises {
        /// Its location.
        path: JsonPointer,
        /// The smallest rise that was seen.
        by: f64,
    },
    /// A field gets a value that it did not have.
    Becomes {
        /// Its location.
        path: JsonPointer,
        /// The value.
        value: Value,
    },
    /// A list gets a member.
    Gains {
        /// Its location.
        path: JsonPointer,
        /// The member.
        member: String,
    },
}

impl Effect {
    /// The location of the field.
    pub fn path(&self) -> &JsonPointer {
        match self {
            Self::Rises { path, .. } | Self::Becomes { path, .. } | Self::Gains { path, .. } => path,
        }
    }

    /// The condition that it was brought about.
    pub fn condition(&self) -> Condition {
        match self.clone() {
            Self::Rises { path, by } => Condition::Increased { path, by: Amount::Literal(by), cap: None },
            Self::Becomes { path, value } => Condition::Equals { path, value },
            Self::Gains { path, member } => Condition::Contains { path, value: member.into() },
        }
    }

    /// What tells this effect from others, however much a number rises.
    pub(crate) fn key(&self) -> (JsonPointer, String) {
        let which = match self {
            Self::Rises { .. } => "rises".to_owned(),
            Self::Becomes { value, .. } => format!("is {value}"),
            Self::Gains { member, .. } => format!("has {member}"),
        };
        (self.path().clone(), which)
    }
}

/// Counts of one effect.
#[derive(Debug)]
struct Count {
    effect: Effect,
    times: usize,
    episodes: BTreeSet<usize>,
    soonest: usize,
    /// How often the number was not the reward of the call, and not the sum of the rewards.
    not_reward: usize,
    not_return: usize,
    by_call: BTreeMap<String, usize>,
}

/// Counts the changes that calls bring about.
#[derive(Debug, Default)]
pub(crate) struct Surveyor {
    episodes: usize,
    calls: usize,
    /// Calls of the episode under way.
    step: usize,
    /// The sum of its rewards.
    total: f64,
    fields: Fields,
    counts: BTreeMap<(JsonPointer, String), Count>,
    changed: BTreeMap<JsonPointer, usize>,
    made: BTreeMap<String, usize>,
    starts: Vec<Value>,
}

impl Surveyor {
    /// Notes the first state of an episode.
    pub(crate) fn begin(&mut self, state: &Value) {
        self.episodes += 1;
        (self.step, self.total) = (0, 0.0);
        self.fields.note(&Reading::of(state));
        if !self.starts.contains(state) {
            self.starts.push(state.clone());
        }
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    /// Notes what came of a call.
    pub(crate) fn see(&mut self, before: &Value, call: &ToolCall, after: &Value, reward: f64) {
        let (was, is) = (Reading::of(before), Reading::of(after));
        self.calls += 1;
        self.step += 1;
        self.total += reward;
        self.fields.note(&is);
        let name = as_javascript(call);
        *self.made.entry(name.clone()).or_default() += 1;
        let mut effects = Vec::new();
        let mut changed: BTreeSet<&JsonPointer> = BTreeSet::new();
        for (path, number) in &is.numbers {
            let before = was.numbers.get(path).copied();
            if before != Some(*number) {
                changed.insert(path);
            }
            // A number that appears counts from 0, as conditions count.
            let rise = number - before.unwrap_or(0.0);
            if rise > 0.0 && rise.is_finite() {
                effects.push(Effect::Rises { path: path.clone(), by: rise });
            }
        }
        for (path, value) in &is.values {
            if was.values.get(path) == Some(value) {
                continue;
            }
            changed.insert(path);
            if !value.is_null() && !value.as_str().is_some_and(|text| text.is_empty() || is_prose(text)) {
                effects.push(Effect::Becomes { path: path.clone(), value: (*value).clone() });
            }
        }
        for (path, list) in &is.lists {
            let before = was.lists.get(path);
            if before != Some(list) {
                changed.insert(path);
            }
            for member in list.iter().filter(|member| !before.is_some_and(|list| list.contains(**member))) {
                if !is_prose(member) {
                    effects.push(Effect::Gains { path: path.clone(), member: (*member).to_owned() });
                }
            }
        }
        for path in changed {
            *self.changed.entry(path.clone()).or_default() += 1;
        }
        for effect in effects {
            let number = is.numbers.get(effect.path()).copied();
            let differs = |from: f64| number.is_none_or(|number| (number - from).abs() > 1e-6);
            let (not_reward, not_return) = (differs(reward), differs(self.total));
            if let Some(count) = self.count(&effect, &name) {
                count.not_reward += usize::from(not_reward);
                count.not_return += usize::from(not_return);
            }
        }
    }

    fn count(&mut self, effect: &Effect, call: &str) -> Option<&mut Count> {
        let key = effect.key();
        if !self.counts.contains_key(&key) && self.counts.len() >= EFFECTS {
            return None;
        }
        let step = self.step;
        let count = self.counts.entry(key).or_insert_with(|| Count {
            effect: effect.clone(),
            times: 0,
            episodes: BTreeSet::new(),
            soonest: usize::MAX,
            not_reward: 0,
            not_return: 0,
            by_call: BTreeMap::new(),
        });
        if let (Effect::Rises { by: least, .. }, Effect::Rises { by, .. }) = (&mut count.effect, effect) {
            *least = least.min(*by);
        }
        count.times += 1;
        count.soonest = count.soonest.min(step);
        count.episodes.insert(self.episodes);
        *count.by_call.entry(call.to_owned()).or_default() += 1;
        Some(count)
    }

    pub(crate) fn conclude(self) -> Survey {
        let Self { episodes, calls, fields, counts, changed, made, starts, .. } = self;
        let change = |count: Count| {
            let is_account = count.not_reward == 0 || count.not_return == 0;
            let Count { effect, times, episodes, soonest, by_call, .. } = count;
            let rate = times as f64 / calls.max(1) as f64;
            let is_caused = by_call.iter().any(|(call, often)| {
                let tried = made.get(call).copied().unwrap_or(1).max(1);
                *often > 1 && *often as f64 / tried as f64 >= 2.0 * rate
            });
            let mut by_call: Vec<(String, usize)> = by_call.into_iter().collect();
            by_call.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            by_call.truncate(NAMED);
            let condition = effect.condition();
            let at_start = !matches!(effect, Effect::Rises { .. })
                && starts.iter().any(|state| condition.holds(state, state, &Map::new()).unwrap_or(false));
            let field_changes = changed.get(effect.path()).copied().unwrap_or(times);
            Change {
                effect,
                times,
                episodes: episodes.len(),
                soonest,
                field_changes,
                at_start,
                calls: by_call,
                is_account,
                is_caused,
            }
        };
        let mut changes: Vec<Change> = counts.into_values().map(change).collect();
        changes.sort_by_key(|change| change.times);
        Survey { episodes, calls, fields: fields.into_fields(), changes, failed: 0, failure: None, starts }
    }
}
