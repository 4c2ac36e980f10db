//! Playing in a world that declares nothing but its tools: trying what was never tried, until a policy reaches the goal.
//!
//! Each episode walks to the nearest place where little was tried ([`experience`]), or to the goal once a way is known. What is
//! known becomes programs: the calls one after the other, where episodes start alike; a decision tree over the fields of the
//! state; a table of the states that were met. Where states never repeat, policies over their numbers are searched for
//! ([`linear`]). Programs run in episodes that it did not play, and those that fail there are played next.

mod calls;
mod experience;
mod features;
mod linear;
mod mentions;
mod offered;
mod practice;
mod program;
#[cfg(test)]
mod tests;
mod tree;

use crate::discovery::{Survey, Surveyor};
use crate::exploration::Random;
use crate::plan::{DemonstratedCall, Demonstration, ExplorationPlan, Findings};
use crate::ui::UiState;
use crate::world::{ExplorationError, PracticeWorld};
pub use calls::calls_to_try;
pub(crate) use calls::candidates;
use experience::{Experience, Outcome};
pub(crate) use features::{Features, Path, Paths, Scalar};
use linear::{Linear, Search};
use practice::Following;
use program::Programmer;
use serde_json::{Map, Value};
use sojourn_sandbox::Sandbox;
use sojourn_tools::{EnvironmentSpec, TaskSpec, ToolCall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tree::Tree;

/// Episodes with one seed until the next one is played.
const TRIES: usize = 16;
/// Seeds in a row whose goal was reached at the first try, after which programs are written.
const FLUENT: usize = 3;
/// Episodes of a survey with one seed.
const SURVEYED: usize = 4;
/// Solved seeds after which programs are written all the same.
const SOLVED: usize = 6;
/// Episodes that a program loses before it is given up.
const LOST: usize = 2;
/// Episodes in which a program is confirmed, for each that must succeed: many programs are tried, and one of them may be lucky.
const CONFIRMED: usize = 4;
/// Calls of a program without questions, at most.
const LONGEST: usize = 60;
/// States that a question about what a text names must tell from others, so that chance decides little.
const FEW: usize = 4;
/// Times that a call is made in one state of an episode, after which chance may choose.
const AGAIN: u32 = 2;
/// Programs that are returned, at most.
const RETURNED: usize = 6;
/// The last episodes are for programs: as many as this part of the plan.
const FOR_PROGRAMS: usize = 8;

/// Plays in an environment for one task.
pub struct StateExplorer<'a> {
    /// The environment.
    pub environment: &'a EnvironmentSpec,
    /// The task whose goal is to be reached.
    pub task: &'a TaskSpec,
    /// The limits. `actions` does not count here: an episode goes on until it ends or `steps` calls were made.
    pub plan: &'a ExplorationPlan,
    /// Compiles programs.
    pub sandbox: Sandbox,
}

impl StateExplorer<'_> {
    /// Plays until a program has reached the goal again and again, or all episodes of the plan are over.
    ///
    /// # Errors
    /// When a world fails.
    pub async fn play<W: PracticeWorld>(
        &self,
        mut worlds: Vec<W>,
    ) -> Result<Findings, ExplorationError<W::Error>> {
        match self.game(&mut worlds) {
            Some(game) => game.play().await,
            None => Ok(Findings::default()),
        }
    }

    /// Plays the episodes of the plan towards what was never tried, without regard to the task's goal, and tells what calls
    /// changed. When `enough` says so of the calls so far, no further episode begins.
    ///
    /// # Errors
    /// When a world fails.
    pub async fn survey<W: PracticeWorld>(
        &self,
        mut worlds: Vec<W>,
        enough: impl Fn(usize) -> bool + Send,
    ) -> Result<Survey, ExplorationError<W::Error>> {
        let Some(mut game) = self.game(&mut worlds) else { return Ok(Survey::default()) };
        game.surveyor = Some(Surveyor::default());
        let mut tries = 0;
        let mut seed = game.seeds.next();
        while let Some(now) = seed
            && game.left > 0
            && !game.surveyor.as_ref().is_some_and(|surveyor| enough(surveyor.calls()))
        {
            game.episode(now, &mut By::Experience).await?;
            tries += 1;
            if tries % SURVEYED == 0 {
                seed = game.seeds.next();
            }
        }
        Ok(game.surveyor.unwrap_or_default().conclude())
    }

    fn game<'a, W: PracticeWorld>(&'a self, worlds: &'a mut [W]) -> Option<Game<'a, W>> {
        let (world, &first) = (worlds.first_mut()?, self.plan.seeds.first()?);
        let mut experience = Experience::default();
        experience.paths.mentions = self.plan.play_rules >= 1;
        Some(Game {
            explorer: self,
            world,
            random: Random::new(first),
            experience,
            left: self.plan.seeds.len(),
            seeds: self.plan.seeds.iter().copied(),
            failed: VecDeque::new(),
            start: None,
            starts_alike: true,
            known: BTreeSet::new(),
            programs: Vec::new(),
            demonstrations: Vec::new(),
            surveyor: None,
        })
    }

    fn reaches(&self, before: &Value, after: &Value) -> bool {
        self.task.goal.holds(before, after, &Map::new()).unwrap_or(false)
    }
}

/// A call as a text: its name and its arguments.
fn said(call: &ToolCall) -> String {
    let args =
        call.args.values().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    std::iter::once(call.name.clone()).chain(args).collect::<Vec<_>>().join(" ")
}

/// A program that was tried.
struct Tried {
    source: String,
    won: usize,
    lost: usize,
}

/// An episode that was played.
struct Episode {
    reached: bool,
    /// The sum of its rewards.
    total: f64,
    calls: Vec<ToolCall>,
}

/// Who chooses the calls of an episode.
enum By<'a> {
    /// What was experienced.
    Experience,
    /// A policy over numbers.
    Policy(&'a Linear),
    /// A program as long as it does not go around in a circle, then what was experienced.
    Leader(Box<Following<'a>>),
}

struct Game<'a, W> {
    explorer: &'a StateExplorer<'a>,
    world: &'a mut W,
    random: Random,
    experience: Experience,
    /// Episodes left.
    left: usize,
    seeds: std::iter::Copied<std::slice::Iter<'a, u64>>,
    /// Seeds in which a program failed.
    failed: VecDeque<u64>,
    /// The first state of the latest episode.
    start: Option<Features>,
    /// Whether all episodes so far began in the same state.
    starts_alike: bool,
    /// Sources that were tried.
    known: BTreeSet<String>,
    programs: Vec<Tried>,
    demonstrations: Vec<Demonstration>,
    /// Notes what changes; while it does, no episode ends at the goal.
    surveyor: Option<Surveyor>,
}

impl<W: PracticeWorld> Game<'_, W> {
    async fn play(mut self) -> Result<Findings, ExplorationError<W::Error>> {
        // A list of possible calls describes a state better than its fields do. If it leads nowhere, few episodes are lost.
        if self.is_offered() && self.learn_offers().await? {
            return Ok(self.found());
        }
        if self.explorer.plan.play_rules >= 3 {
            if self.is_offered() {
                self.left = self.left.min(self.explorer.plan.seeds.len() / 3);
            }
            return self.practise().await;
        }
        let reserve = self.left / FOR_PROGRAMS;
        let (mut tries, mut fluent, mut solved) = (0, 0, 0);
        let (mut quiet, mut known) = (0, 0);
        let mut seed = self.seeds.next();
        while let Some(now) = seed {
            let hopeless = solved == 0 && self.explorer.plan.quiet.is_some_and(|most| quiet >= most);
            if self.left <= reserve || hopeless {
                break;
            }
            tries += 1;
            let episode = self.episode(now, &mut By::Experience).await?;
            if self.experience.is_scattered() {
                self.search().await?;
                return Ok(self.found());
            }
            let tried = self.experience.tried();
            quiet = if tried == known { quiet + 1 } else { 0 };
            known = tried;
            if !episode.reached {
                if tries >= TRIES {
                    (tries, fluent) = (0, 0);
                    seed = self.next_seed();
                }
                continue;
            }
            self.demonstrate(now, episode.calls);
            solved += 1;
            fluent = if tries == 1 { fluent + 1 } else { 0 };
            tries = 0;
            if fluent >= FLUENT || solved % SOLVED == 0 {
                if self.propose().await? {
                    return Ok(self.found());
                }
                fluent = 0;
            }
            seed = self.next_seed();
        }
        if solved > 0 {
            self.propose().await?;
        }
        Ok(self.found())
    }

    fn next_seed(&mut self) -> Option<u64> {
        self.failed.pop_front().or_else(|| self.seeds.next())
    }

    fn demonstrate(&mut self, seed: u64, calls: Vec<ToolCall>) {
        let steps = calls.into_iter().map(|call| DemonstratedCall { state: UiState::default(), call });
        self.demonstrations.push(Demonstration { seed, steps: steps.collect() });
    }

    fn found(mut self) -> Findings {
        self.programs.retain(|program| program.won > program.lost);
        self.programs.sort_by_key(|program| program.lost as i64 - program.won as i64);
        // Trials are fewer than the episodes in which the programs ran, and would take a worse one by chance.
        if self.explorer.plan.play_rules >= 3 && self.programs.first().is_some_and(|best| self.is_good(best))
        {
            self.programs.truncate(1);
        }
        let programs = self.programs.into_iter().take(RETURNED).map(|program| program.source).collect();
        // The shortest ones show best what is needed, and long ones would fill a prompt.
        self.demonstrations.retain(|demonstration| demonstration.steps.len() <= LONGEST);
        self.demonstrations.sort_by_key(|demonstration| demonstration.steps.len());
        self.demonstrations.truncate(RETURNED);
        Findings { demonstrations: self.demonstrations, programs }
    }

    /// Plays one episode.
    async fn episode(&mut self, seed: u64, by: &mut By<'_>) -> Result<Episode, ExplorationError<W::Error>> {
        self.left = self.left.saturating_sub(1);
        let explorer = self.explorer;
        let before = self.world.reset(seed).await.map_err(ExplorationError::World)?;
        if let Some(surveyor) = &mut self.surveyor {
            surveyor.begin(&before);
        }
        let mut state = before.clone();
        let mut features = self.experience.paths.read(&before);
        self.experience.paths.remember(&mut features, "");
        if let Some(first) = &self.start {
            let key = |features| self.experience.paths.key(features);
            self.starts_alike &= key(first) == key(&features);
        }
        self.start = Some(features.clone());
        let mut options = self.options(&features).await?;
        let mut episode = Episode { reached: false, total: 0.0, calls: Vec::new() };
        let (mut made_here, mut made) = (BTreeMap::new(), Vec::new());
        for step in 1..=explorer.plan.steps {
            let chosen = match by {
                By::Experience => self.next_call(&features, &options, &mut made_here),
                By::Policy(policy) => Some(policy.call(&features)),
                By::Leader(following) => following
                    .call(&self.experience, &features, &options)
                    .or_else(|| self.next_call(&features, &options, &mut made_here)),
            };
            let Some(chosen) = chosen else { break };
            let call = self.experience.call(chosen).clone();
            let result =
                self.world.call(&call, explorer.plan.steps).await.map_err(ExplorationError::World)?;
            if let Some(surveyor) = &mut self.surveyor {
                surveyor.see(&state, &call, &result.state, result.reward);
            }
            let mut after = self.experience.paths.read(&result.state);
            self.experience.paths.remember(&mut after, &said(&call));
            episode.calls.push(call);
            episode.total += result.reward;
            self.experience.paths.observe(&features, &after, result.reward, episode.total);
            episode.reached = self.surveyor.is_none() && explorer.reaches(&before, &result.state);
            let outcome = match (episode.reached, result.ended) {
                (true, _) => Outcome::Goal,
                (false, true) => Outcome::End,
                (false, false) => Outcome::On,
            };
            let next = if outcome == Outcome::On { self.options(&after).await? } else { Vec::new() };
            if !matches!(by, By::Policy(_)) {
                let how = (chosen, result.succeeded);
                self.experience.add((&features, &options), how, (&after, &next), outcome);
                made.push((features.clone(), chosen));
            }
            if outcome != Outcome::On {
                break;
            }
            (features, options, state) = (after, next, result.state);
            if self.experience.is_due(step) {
                self.experience.review();
            }
        }
        self.experience.conclude(&made, episode.reached);
        self.experience.review();
        Ok(episode)
    }

    /// The call to make by what was experienced. Where states that differ look alike, it may lead around in a circle for ever, so what
    /// was made there again and again in this episode is left to chance. `made`: how often which call was made in which state.
    fn next_call(
        &mut self,
        features: &Features,
        options: &[usize],
        made: &mut BTreeMap<(String, usize), u32>,
    ) -> Option<usize> {
        let chosen = self.experience.choose(features, options, &mut self.random)?;
        if self.explorer.plan.play_rules < 3 {
            return Some(chosen);
        }
        let times = made.entry((self.experience.paths.key(features), chosen)).or_default();
        *times += 1;
        if *times > AGAIN && self.random.below(2) == 0 {
            return self.random.one(options).copied();
        }
        Some(chosen)
    }

    /// Numbers of the calls that may be made in a state.
    async fn options(&mut self, features: &Features) -> Result<Vec<usize>, ExplorationError<W::Error>> {
        let offered = self.world.available().await.map_err(ExplorationError::World)?;
        let shown = self.experience.paths.texts(features);
        let calls = calls::candidates(self.explorer.environment, &offered, &shown, &mut self.random);
        Ok(calls.iter().map(|call| self.experience.number(call)).collect())
    }

    /// Writes programs from what is known and tries them. Returns whether one is confirmed.
    async fn propose(&mut self) -> Result<bool, ExplorationError<W::Error>> {
        let writer = self.writer();
        let mut sources = Vec::new();
        if self.starts_alike
            && let Some(start) = &self.start
            && let Some(way) = self.experience.way(start, LONGEST)
        {
            let way: Vec<ToolCall> = way.into_iter().map(|call| self.experience.call(call).clone()).collect();
            sources.push(writer.way(&way));
        }
        let lessons = self.experience.lessons();
        // What holds of whatever a text names comes first: it needs the fewest worlds.
        if let Some(asked) = self.experience.paths.general() {
            for least in [FEW, 1] {
                let tree = Tree::of(&lessons, &asked, least);
                sources.extend(tree.and_then(|tree| writer.tree(&self.experience, &tree)));
            }
        }
        let asked: Vec<usize> = self.experience.paths.telling().collect();
        if let Some(tree) = Tree::of(&lessons, &asked, 1) {
            sources.extend(writer.tree(&self.experience, &tree));
            // Where the tree says of every state what was learned of it, a table says no more.
            if !self
                .experience
                .lessons()
                .iter()
                .all(|lesson| lesson.best.contains(&tree.call(lesson.features)))
            {
                sources.extend(writer.table(&self.experience, &tree));
            }
        }
        for source in sources {
            if self.confirm(source).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn writer(&self) -> Programmer<'_> {
        let StateExplorer { environment, task, plan, .. } = self.explorer;
        Programmer {
            environment,
            task,
            rounds: plan.steps,
            chance: plan.play_rules >= 1,
            remembers: self.experience.paths.remembers,
        }
    }

    /// Runs a program in some times as many other episodes as must succeed. Returns whether it reached the goal in all but one.
    async fn confirm(&mut self, source: String) -> Result<bool, ExplorationError<W::Error>> {
        if !self.known.insert(source.clone()) {
            return Ok(false);
        }
        let explorer = self.explorer;
        let Ok(program) = explorer.sandbox.compile_program(&explorer.task.name, &source).await else {
            return Ok(false);
        };
        let runs = if explorer.plan.play_rules >= 1 { CONFIRMED } else { 2 } * explorer.plan.successes;
        let (mut won, mut lost) = (0, 0);
        while won + lost < runs && lost < LOST && self.left > 0 {
            let Some(seed) = self.seeds.next() else { break };
            self.left -= 1;
            let run = self.world.run(seed, &program, &[], explorer.plan.steps).await;
            let run = run.map_err(ExplorationError::World)?;
            if explorer.reaches(&run.before, &run.after) {
                won += 1;
            } else {
                lost += 1;
                self.failed.push_back(seed);
            }
        }
        self.programs.push(Tried { source, won, lost });
        Ok(won + lost == runs && lost < LOST)
    }

    /// Searches for a policy over numbers.
    async fn search(&mut self) -> Result<(), ExplorationError<W::Error>> {
        let calls = self.experience.calls().len();
        let states = self.experience.states();
        let Some(mut search) = Search::new(&states, &self.experience.paths, calls, &mut self.random) else {
            return Ok(());
        };
        while self.left > 0 {
            let Some(policy) = search.next(&mut self.random) else { break };
            let Some(seed) = self.seeds.next() else { break };
            let episode = self.episode(seed, &mut By::Policy(&policy)).await?;
            search.scored(&policy, episode.total);
            if episode.reached {
                self.demonstrate(seed, episode.calls);
                let source = self.writer().linear(&self.experience, &policy);
                if self.confirm(source).await? {
                    break;
                }
            }
        }
        Ok(())
    }
}
