//! Play that goes on after the first program that works: programs lose episodes, these are played next, and the next program knows more.
//!
//! In an episode that a program lost, the agent first does as the program does, until it goes around in a circle, and only then as its
//! experience says. So it learns what is right where the program leads, and not only on its own ways (Ross, Gordon and Bagnell, "A reduction of
//! imitation learning", AISTATS 2011).

use super::experience::Experience;
use super::features::Features;
use super::tree::Tree;
use super::{By, FEW, FLUENT, FOR_PROGRAMS, Game, LONGEST, SOLVED, TRIES, Tried};
use crate::plan::Findings;
use crate::world::{ExplorationError, PracticeWorld};
use std::collections::BTreeMap;

/// Episodes in which a program is confirmed, for each that must succeed.
const RUNS: usize = 7;
/// Episodes that a program loses before it is given up, if it has not won more.
const EARLY: usize = 2;
/// Episodes that a good program wins for each that it loses.
const FEW_LOST: usize = 4;
/// Episodes that a program may lose of all in which it is confirmed, after which no other is looked for.
const LOST: usize = 1;
/// Rounds of programs without a better one, after which there are no others.
const VAIN: usize = 5;
/// Visits of one state in one episode, after which a program is taken to go around in a circle.
const PATIENCE: usize = 3;

/// How a stage ended.
enum Stage {
    /// States that differ look alike.
    Ambiguous,
    /// A program lost hardly any episode, or nothing is learned of single states here.
    Over,
    /// No better program came.
    Vain,
}

/// What a program does, as far as play can do it too.
pub(super) struct Leader {
    tree: Tree,
    /// Whether what was learned of single states comes first.
    table: bool,
}

impl Leader {
    fn call(&self, experience: &Experience, features: &Features) -> usize {
        let known = if self.table { experience.known(features) } else { None };
        known.unwrap_or_else(|| self.tree.call(features))
    }
}

/// An episode in which the agent does as a program does.
pub(super) struct Following<'a> {
    leader: &'a Leader,
    visits: BTreeMap<String, usize>,
    over: bool,
}

impl<'a> Following<'a> {
    pub(super) fn new(leader: &'a Leader) -> Self {
        Self { leader, visits: BTreeMap::new(), over: false }
    }

    /// The program's call, `None` once it has gone around in a circle, or where its call is not possible.
    pub(super) fn call(
        &mut self,
        experience: &Experience,
        features: &Features,
        options: &[usize],
    ) -> Option<usize> {
        let visits = self.visits.entry(experience.paths.key(features)).or_default();
        *visits += 1;
        self.over |= *visits > PATIENCE;
        let call = self.leader.call(experience, features);
        (!self.over && options.contains(&call)).then_some(call)
    }
}

impl<W: PracticeWorld> Game<'_, W> {
    /// Plays and writes programs until one has lost hardly any episode, or no better one comes, or the episodes are over.
    ///
    /// Where texts name things, it begins with what holds of whatever they name: few states tell a lot about many. Where one call led to
    /// different states from what looked like one, states that look alike are told apart by the call before.
    pub(super) async fn practise(mut self) -> Result<Findings, ExplorationError<W::Error>> {
        let Some(first) = self.explorer.plan.seeds.first() else { return Ok(self.found()) };
        let state = self.world.reset(*first).await.map_err(ExplorationError::World)?;
        self.experience.paths.read(&state);
        if self.experience.paths.names_things() {
            self.experience.begin(true, false);
            // What they are called is found only now.
            self.experience.paths.read(&state);
            if self.stages(true).await? {
                return Ok(self.found());
            }
        }
        self.stages(false).await?;
        Ok(self.found())
    }

    /// Plays without memory, then, if states that differ look alike, with it. Returns whether a program is good enough.
    async fn stages(&mut self, general: bool) -> Result<bool, ExplorationError<W::Error>> {
        let rest = if general { self.left / 3 } else { 0 };
        for remember in [false, true] {
            self.experience.begin(general, remember);
            (self.start, self.starts_alike) = (None, true);
            let stage = self.stage(rest, remember || !general).await?;
            // What holds of whatever is named may be all that there is: other programs need many more worlds.
            let is_fair =
                |tried: &Tried| self.is_good(tried) || (general && remember && tried.won > tried.lost);
            let is_good = self.programs.iter().any(is_fair);
            let looked_alike = matches!(stage, Stage::Ambiguous) || self.experience.is_ambiguous();
            if matches!(stage, Stage::Over) || is_good || !looked_alike {
                return Ok(matches!(stage, Stage::Over) || is_good);
            }
        }
        Ok(false)
    }

    /// Plays until at most `rest` episodes are left. `patient`: it goes on although states that differ look alike.
    async fn stage(&mut self, rest: usize, patient: bool) -> Result<Stage, ExplorationError<W::Error>> {
        let reserve = rest + (self.left - rest) / FOR_PROGRAMS;
        let (mut tries, mut fluent, mut solved) = (0, 0, 0);
        let (mut quiet, mut known, mut vain) = (0, 0, 0);
        let mut leader: Option<Leader> = None;
        let mut seed = self.next_seed();
        while let Some(now) = seed {
            let hopeless = solved == 0 && self.explorer.plan.quiet.is_some_and(|most| quiet >= most);
            // Two thirds are for programs, of which there are none without a way to the goal.
            let wayless = solved == 0
                && self.programs.is_empty()
                && self.left <= self.explorer.plan.seeds.len() * 2 / 3;
            if self.left <= reserve || hopeless || wayless || vain >= VAIN || self.world.is_late() {
                break;
            }
            tries += 1;
            let followed = leader.as_ref().filter(|_| tries % 2 == 1).map(Following::new);
            let mut by = followed.map_or(By::Experience, |following| By::Leader(following.into()));
            let episode = self.episode(now, &mut by).await?;
            if self.experience.is_scattered() {
                self.search().await?;
                return Ok(Stage::Over);
            }
            if !patient && self.experience.is_ambiguous() {
                return Ok(Stage::Ambiguous);
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
                let before = self.fewest_lost();
                match self.programs_round().await? {
                    (true, _) => return Ok(Stage::Over),
                    (false, next) => leader = next.or(leader),
                }
                vain = if self.fewest_lost() < before || before.is_none() { 0 } else { vain + 1 };
                fluent = 0;
            }
            seed = self.next_seed();
        }
        if solved > 0 {
            self.programs_round().await?;
        }
        Ok(Stage::Vain)
    }

    /// Episodes that the best program lost of those in which it had to succeed, if one ran in all of them.
    fn fewest_lost(&self) -> Option<usize> {
        let runs = self.runs();
        let whole = self.programs.iter().filter(|tried| tried.won + tried.lost >= runs);
        whole.map(|tried| tried.lost).min()
    }

    /// Whether a program ran in all episodes and lost few.
    pub(super) fn is_good(&self, tried: &Tried) -> bool {
        tried.won + tried.lost >= self.runs() && tried.lost * FEW_LOST <= tried.won
    }

    fn runs(&self) -> usize {
        RUNS * self.explorer.plan.successes.max(1)
    }

    /// Writes programs from what is known and runs them. Returns whether one lost hardly any episode, and what the best of them does.
    async fn programs_round(&mut self) -> Result<(bool, Option<Leader>), ExplorationError<W::Error>> {
        let writer = self.writer();
        let mut sources: Vec<(String, Option<Leader>)> = Vec::new();
        if self.starts_alike
            && let Some(start) = &self.start
            && let Some(way) = self.experience.way(start, LONGEST)
        {
            let way: Vec<_> = way.into_iter().map(|call| self.experience.call(call).clone()).collect();
            sources.push((writer.way(&way), None));
        }
        let lessons = self.experience.lessons();
        let all: Vec<usize> = self.experience.paths.telling().collect();
        // What holds of whatever a text names comes first: it needs the fewest worlds.
        let general = self.experience.paths.general().filter(|general| general.len() < all.len());
        let asked =
            general.iter().flat_map(|general| [(general, FEW), (general, 1)]).chain([(&all, FEW), (&all, 1)]);
        for (paths, least) in asked {
            let Some(tree) = Tree::of(&lessons, paths, least) else { continue };
            if let Some(source) = writer.tree(&self.experience, &tree) {
                let says_all = lessons.iter().all(|lesson| lesson.best.contains(&tree.call(lesson.features)));
                // Where the tree says of every state what was learned of it, a table says no more.
                if least == 1
                    && !says_all
                    && paths.len() == all.len()
                    && let Some(table) = writer.table(&self.experience, &tree)
                {
                    let same = Tree::of(&lessons, paths, least);
                    sources.push((table, same.map(|tree| Leader { tree, table: true })));
                }
                sources.push((source, Some(Leader { tree, table: false })));
            } else if least == 1
                && paths.len() == all.len()
                && let Some(table) = writer.table(&self.experience, &tree)
            {
                sources.push((table, Some(Leader { tree, table: true })));
            }
        }
        drop(lessons);
        let mut best: Option<(usize, Option<Leader>)> = None;
        for (source, leader) in sources {
            let Some((won, lost)) = self.race(source).await? else { continue };
            if lost <= LOST && won + lost >= self.runs() {
                return Ok((true, None));
            }
            if best.as_ref().is_none_or(|(most, _)| won > *most) {
                best = Some((won, leader));
            }
        }
        Ok((false, best.and_then(|(_, leader)| leader)))
    }

    /// Runs a program in other episodes, until it is worse than the best so far. Returns how often it won and lost, `None` if it was
    /// tried before.
    async fn race(&mut self, source: String) -> Result<Option<(usize, usize)>, ExplorationError<W::Error>> {
        if !self.known.insert(source.clone()) {
            return Ok(None);
        }
        let explorer = self.explorer;
        let Ok(program) = explorer.sandbox.compile_program(&explorer.task.name, &source).await else {
            return Ok(None);
        };
        let (runs, most) = (self.runs(), self.fewest_lost().unwrap_or(usize::MAX));
        let (mut won, mut lost) = (0, 0);
        let has_one = self.programs.iter().any(|tried| tried.won > tried.lost);
        while won + lost < runs && lost < most && !(lost >= EARLY && lost > won) && self.left > 0 {
            if has_one && self.world.is_late() {
                break;
            }
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
        Ok(Some((won, lost)))
    }
}
