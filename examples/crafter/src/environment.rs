use crate::game::{Achievement, Direction, Game, Harm, Item, Material, Move, Player};
use crate::observe;
use crate::path;
use crate::picture;
use crate::routine::{Call, Effect, Next};
use crate::sight::{Scene, Sight};
use crate::{snapshot, spec};
use async_trait::async_trait;
use sojourn_tools::{
    Action, Ending, EndingKind, Environment, EnvironmentError, EnvironmentSpec, Frame, Observation, Progress,
    Snapshot, StepOutcome, ToolCall,
};
use std::sync::Arc;

/// Number of steps in an episode, as in the original.
pub const EPISODE_LENGTH: u32 = 10_000;

/// Crafter as an environment: the game, the agent's knowledge of it, and the primitives.
///
/// One guard protects the agent: a step onto visible lava becomes `noop`, whoever requests it.
#[derive(Debug, Clone)]
pub struct CrafterEnvironment {
    spec: Arc<EnvironmentSpec>,
    length: u32,
    episode: Option<Episode>,
}

/// State of an episode, running or ended.
#[derive(Debug, Clone)]
pub(crate) struct Episode {
    pub(crate) game: Game,
    pub(crate) sight: Sight,
    pub(crate) call: Option<Call>,
    pub(crate) ended: Option<Ending>,
}

impl Default for CrafterEnvironment {
    fn default() -> Self {
        Self::with_length(EPISODE_LENGTH)
    }
}

impl CrafterEnvironment {
    /// An environment with episodes of [`EPISODE_LENGTH`] steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// An environment with episodes of at most `length` steps; 0 means no limit.
    pub fn with_length(length: u32) -> Self {
        Self { spec: Arc::new(spec::spec()), length, episode: None }
    }

    /// The present game; `None` before the first reset.
    pub fn game(&self) -> Option<&Game> {
        self.episode.as_ref().map(|episode| &episode.game)
    }

    /// Sets the number of an item that the player has, clamped to 0..=9, to prepare a trial or a test.
    ///
    /// # Errors
    /// There has been no reset.
    pub fn give(&mut self, item: Item, count: i32) -> Result<(), EnvironmentError> {
        let episode = self.episode.as_mut().ok_or(EnvironmentError::NotRunning)?;
        episode.game.give(item, count);
        Ok(())
    }

    fn running(&mut self) -> Result<&mut Episode, EnvironmentError> {
        self.episode.as_mut().filter(|episode| episode.ended.is_none()).ok_or(EnvironmentError::NotRunning)
    }
}

impl Episode {
    fn begin(seed: u64, length: u32) -> Self {
        let game = Game::new(seed, length);
        let mut sight = Sight::new();
        sight.look(&game);
        Self { game, sight, call: None, ended: None }
    }

    fn scene(&self) -> Scene<'_> {
        Scene { game: &self.game, sight: &self.sight }
    }

    fn guarded(&self, action: Move) -> Move {
        let here = self.game.position();
        let onto_lava = Direction::ALL.into_iter().any(|way| {
            path::turn(way) == action && self.sight.material(here.step(way)) == Some(Material::Lava)
        });
        if onto_lava { Move::Noop } else { action }
    }

    fn step(&mut self, action: Move) -> StepOutcome {
        let before = (self.game.player().clone(), self.game.position());
        let turn = self.game.step(self.guarded(action));
        self.sight.look(&self.game);
        let effect = self.effect_since(&before.0, self.game.position() != before.1);
        if let Some(call) = &mut self.call {
            call.record_action(action, effect);
        }
        if turn.over {
            self.ended = Some(self.ending());
            self.call = None;
        }
        StepOutcome {
            state: observe::state(self.scene()),
            reward: turn.reward,
            unlocked: turn.unlocked.iter().map(|achievement| achievement.name().to_owned()).collect(),
            ended: self.ended.clone(),
        }
    }

    fn effect_since(&self, before: &Player, moved: bool) -> Effect {
        let now = self.game.player();
        let gain = |item: Item| (item, now.has(item) - before.has(item));
        Effect {
            gains: Item::ALL.iter().map(|&item| gain(item)).filter(|(_, more)| *more > 0).collect(),
            achieved: Achievement::ALL.iter().copied().filter(|&a| now.count(a) > before.count(a)).collect(),
            hurt: now.has(Item::Health) < before.has(Item::Health),
            moved,
        }
    }

    fn ending(&self) -> Ending {
        let player = self.game.player();
        if player.has(Item::Health) > 0 {
            return Ending { kind: EndingKind::TimeUp, cause: "time is up".to_owned() };
        }
        let cause = match player.harm() {
            Some(Harm::Zombie { asleep: true }) => "killed by a zombie while asleep",
            Some(Harm::Zombie { asleep: false }) => "killed by a zombie",
            Some(Harm::Arrow) => "killed by an arrow",
            Some(Harm::Lava) => "stepped onto lava",
            Some(Harm::Hunger) => "died of hunger",
            Some(Harm::Thirst) => "died of thirst",
            Some(Harm::Fatigue) | None => "died of exhaustion",
        };
        Ending { kind: EndingKind::Died, cause: cause.to_owned() }
    }
}

#[async_trait]
impl Environment for CrafterEnvironment {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.episode = Some(Episode::begin(seed, self.length));
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        let episode = self.episode.as_ref().ok_or(EnvironmentError::NotRunning)?;
        Ok(observe::observation(episode.scene()))
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.running()?.call = Some(Call::parse(call));
        Ok(())
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        let episode = self.running()?;
        let mut call = episode.call.take().ok_or(EnvironmentError::NoCall)?;
        let mut heading = episode.sight.heading;
        let next = call.next(episode.scene(), &mut heading);
        episode.sight.heading = heading;
        Ok(match next {
            Next::Act(action) => {
                episode.call = Some(call);
                Progress::Act(Action(action.name().to_owned()))
            }
            Next::Done(outcome) => Progress::Done(outcome),
        })
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        let episode = self.running()?;
        let action = Move::named(&action.0)
            .ok_or_else(|| EnvironmentError::UnknownAction { name: action.0.clone() })?;
        Ok(episode.step(action))
    }

    async fn frame(&mut self) -> Option<Frame> {
        picture::frame(self.episode.as_ref()?.scene())
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.episode.as_ref().and_then(snapshot::store)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.episode = Some(snapshot::load(snapshot)?);
        Ok(())
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self { spec: Arc::clone(&self.spec), length: self.length, episode: None }))
    }
}
