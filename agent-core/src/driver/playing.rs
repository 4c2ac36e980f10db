//! Play: short episodes in practice worlds in which things are done by chance, until something reaches the goal.

use super::practice::Gym;
use super::stage::StageError;
use crate::core::{quoted, seeds};
use crate::event::{Demonstration, PlayPlan, Shown};
use serde_json::{Map, Value};
use sojourn_controller::Cancel;
use sojourn_tools::{Condition, Environment, Move, Play, Stuff, ToolCall};

/// Plays in practice worlds.
pub(super) struct Player<'a> {
    pub gym: Gym,
    pub play: &'a Play,
    /// What is to be reached.
    pub goal: &'a Condition,
    pub plan: &'a PlayPlan,
    pub cancel: &'a Cancel,
}

/// A world, and what was done in it if that reached the goal.
type Lived = (Box<dyn Environment>, Option<Vec<Shown>>);

impl Player<'_> {
    /// Plays until enough was found that reaches the goal, or all seeds were used.
    ///
    /// # Errors
    /// When the environment breaks, or somebody wants to stop.
    pub async fn find(&self, mut world: Box<dyn Environment>) -> Result<Vec<Demonstration>, StageError> {
        let mut found = Vec::new();
        for &seed in &self.plan.seeds {
            if found.len() >= self.plan.wanted {
                break;
            }
            if self.cancel.is_cancelled() {
                return Err(StageError::Interrupted);
            }
            let (back, done) = self.live(seed, Dice::new(seed), world).await?;
            world = back;
            if let Some(done) = done {
                let (back, steps) = self.shorten(seed, done, world).await?;
                world = back;
                found.push(Demonstration { seed, steps });
            }
        }
        Ok(found)
    }

    /// One episode by chance.
    async fn live(
        &self,
        seed: u64,
        mut dice: Dice,
        world: Box<dyn Environment>,
    ) -> Result<Lived, StageError> {
        let mut done: Vec<ToolCall> = Vec::new();
        let tools = world.spec().tools.clone();
        self.act(seed, world, |state| {
            if done.len() as u32 >= self.plan.moves {
                return None;
            }
            // The same again does nothing new.
            let call = (0..4).find_map(|_| {
                let (chance, given) = draw(self.play, state, &mut dice)?;
                let tool = tools.iter().find(|tool| tool.name == chance.tool)?;
                let names = tool.parameters.iter().map(|parameter| parameter.name.clone());
                let args: Map<String, Value> = names.zip(given).collect();
                Some(ToolCall { name: tool.name.clone(), args }).filter(|call| !done.contains(call))
            })?;
            done.push(call.clone());
            Some(call)
        })
        .await
    }

    /// Leaves out what is not needed, as far as that can be seen in the world that it was done in.
    async fn shorten(
        &self,
        seed: u64,
        mut done: Vec<Shown>,
        mut world: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, Vec<Shown>), StageError> {
        let mut at = 0;
        while at < done.len() && done.len() > 1 {
            let mut rest =
                done.iter().enumerate().filter(|(step, _)| *step != at).map(|(_, shown)| shown.call.clone());
            let (back, shorter) = self.act(seed, world, |_| rest.next()).await?;
            world = back;
            match shorter {
                Some(shorter) => done = shorter,
                None => at += 1,
            }
        }
        Ok((world, done))
    }

    /// Makes the calls that `next` says, one after the other, until the goal is reached or the episode over.
    async fn act(
        &self,
        seed: u64,
        mut world: Box<dyn Environment>,
        mut next: impl FnMut(&Value) -> Option<ToolCall>,
    ) -> Result<Lived, StageError> {
        world.reset(seed).await?;
        let mut state = world.observe()?.state;
        let first = state.clone();
        let mut stage = self.gym.stage(world)?;
        let mut done = Vec::new();
        let mut reached = false;
        while let Some(call) = next(&state) {
            let shown = shown(self.play, &state, call.clone());
            let performed = stage.improvise(&call, self.plan.moves).await?;
            state = performed.after.clone();
            reached = self.goal.holds(&first, &state, &Map::new()).unwrap_or(false);
            // What could not be done is no part of what was.
            if performed.verified || reached {
                done.push(shown);
            }
            if reached || performed.ended.is_some() {
                break;
            }
        }
        Ok((stage.into_environment()?, reached.then_some(done)))
    }
}

/// What is kept of a state: what is to be done, and the things.
fn shown(play: &Play, state: &Value, call: ToolCall) -> Shown {
    Shown { question: question(play, state).to_owned(), things: things(play, state).to_vec(), call }
}

fn question<'a>(play: &Play, state: &'a Value) -> &'a str {
    state.pointer(&play.question).and_then(Value::as_str).unwrap_or_default()
}

fn things<'a>(play: &Play, state: &'a Value) -> &'a [Value] {
    state.pointer(&play.things).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A move by chance, and what its parameters are given; none where nothing can be done.
fn draw<'a>(play: &'a Play, state: &Value, dice: &mut Dice) -> Option<(&'a Move, Vec<Value>)> {
    let question = question(play, state);
    let set = |thing: &Value, flag: &str| thing.get(flag) == Some(&Value::Bool(true));
    let there: Vec<&Value> = things(play, state)
        .iter()
        .filter(|thing| thing.get("id").is_some() && !set(thing, "hidden") && !set(thing, "disabled"))
        .collect();
    let of = |kinds: &[String]| -> Vec<&Value> {
        let is = |thing: &&&Value| {
            let kind = thing.get(&play.kind).and_then(Value::as_str).unwrap_or_default();
            kinds.is_empty() || kinds.iter().any(|wanted| wanted == kind)
        };
        there.iter().filter(is).copied().collect()
    };
    let possible = |chance: &&Move| {
        let mut stuff = chance.args.iter();
        stuff.all(|stuff| !matches!(stuff, Stuff::Thing(kinds) if of(kinds).is_empty()))
    };
    let moves: Vec<&Move> = play.moves.iter().filter(possible).collect();
    let chance = *dice.one(&moves)?;
    let mut given: Vec<Value> = Vec::new();
    let mut thing = &Value::Null;
    for stuff in &chance.args {
        given.push(match stuff {
            Stuff::Thing(kinds) => {
                let all = of(kinds);
                // What the question speaks of is more likely to be what it is about.
                let said = |thing: &&&Value| {
                    let label = thing.get(&play.label).and_then(Value::as_str).unwrap_or_default();
                    !label.is_empty() && question.contains(label)
                };
                let spoken: Vec<&Value> = all.iter().filter(said).copied().collect();
                let pool = if !spoken.is_empty() && dice.below(2) == 0 { spoken } else { all };
                thing = dice.one(&pool)?;
                thing["id"].clone()
            }
            Stuff::Option(field) => {
                let texts: Vec<&Value> = thing.get(field)?.as_array()?.iter().collect();
                let said = |text: &&&Value| {
                    text.as_str().is_some_and(|text| !text.is_empty() && question.contains(text))
                };
                let spoken: Vec<&Value> = texts.iter().filter(said).copied().collect();
                (*dice.one(if spoken.is_empty() { &texts } else { &spoken })?).clone()
            }
            Stuff::Said => {
                let marked: Vec<&str> = quoted(question).filter(|text| !text.is_empty()).collect();
                let words: Vec<&str> = question
                    .split_whitespace()
                    .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
                    .filter(|word| !word.is_empty())
                    .collect();
                let pool = if !marked.is_empty() && dice.below(4) > 0 { marked } else { words };
                Value::from(*dice.one(&pool)?)
            }
        });
    }
    Some((chance, given))
}

/// Chance that a seed repeats.
struct Dice {
    seed: u64,
    throws: u64,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self { seed, throws: 0 }
    }

    fn below(&mut self, sides: usize) -> usize {
        self.throws += 1;
        (seeds::draw(self.seed, "play", self.throws) % sides.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let place = self.below(of.len());
        of.get(place)
    }
}
