use crate::game::{Achievement, Direction, Game, Harm, Item, Material, Move, Player};
use crate::observe;
use crate::path;
use crate::routine::{Call, Effect, Next};
use crate::sight::{Scene, Sight};
use crate::{snapshot, spec};
use async_trait::async_trait;
use sojourn_tools::{
    Action, Ending, EndingKind, Environment, EnvironmentError, EnvironmentSpec, Observation, Progress,
    Snapshot, StepOutcome, ToolCall,
};
use std::sync::Arc;

/// Steps in an episode, as in the original.
pub const EPISODE_LENGTH: u32 = 10_000;

/// Crafter as an environment: the raw game, what the agent has seen of it, and the primitives.
///
/// One guard stands between an action and the game: a step onto lava in view becomes `noop`, whoever asks
/// for it.
#[derive(Debug, Clone)]
pub struct CrafterEnvironment {
    spec: Arc<EnvironmentSpec>,
    length: u32,
    life: Option<Life>,
}

/// An episode under way or over.
#[derive(Debug, Clone)]
pub(crate) struct Life {
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

    /// An environment with episodes of at most so many steps; 0 for no limit.
    pub fn with_length(length: u32) -> Self {
        Self { spec: Arc::new(spec::spec()), length, life: None }
    }

    /// The raw game under way, if any.
    pub fn game(&self) -> Option<&Game> {
        self.life.as_ref().map(|life| &life.game)
    }

    /// Sets how many of an item the player has, cut to 0..=9, to prepare a practice or a test.
    ///
    /// # Errors
    /// Before the first reset.
    pub fn give(&mut self, item: Item, count: i32) -> Result<(), EnvironmentError> {
        let life = self.life.as_mut().ok_or(EnvironmentError::NotRunning)?;
        life.game.give(item, count);
        Ok(())
    }

    fn running(&mut self) -> Result<&mut Life, EnvironmentError> {
        self.life.as_mut().filter(|life| life.ended.is_none()).ok_or(EnvironmentError::NotRunning)
    }
}

impl Life {
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
            call.witness(action, effect);
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
        self.life = Some(Life::begin(seed, self.length));
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        let life = self.life.as_ref().ok_or(EnvironmentError::NotRunning)?;
        Ok(observe::observation(life.scene()))
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.running()?.call = Some(Call::parse(call));
        Ok(())
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        let life = self.running()?;
        let mut call = life.call.take().ok_or(EnvironmentError::NoCall)?;
        let mut heading = life.sight.heading;
        let next = call.next(life.scene(), &mut heading);
        life.sight.heading = heading;
        Ok(match next {
            Next::Act(action) => {
                life.call = Some(call);
                Progress::Act(Action(action.name().to_owned()))
            }
            Next::Done(outcome) => Progress::Done(outcome),
        })
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        let life = self.running()?;
        let action = Move::named(&action.0)
            .ok_or_else(|| EnvironmentError::UnknownAction { name: action.0.clone() })?;
        Ok(life.step(action))
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.life.as_ref().and_then(snapshot::store)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.life = Some(snapshot::load(snapshot)?);
        Ok(())
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self { spec: Arc::clone(&self.spec), length: self.length, life: None }))
    }
}
