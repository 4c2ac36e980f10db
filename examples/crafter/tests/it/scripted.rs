//! A scripted player with the fight reflex gets far, so the primitives suffice for whole episodes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use serde_json::{Value, json};
use sojourn_crafter::CrafterEnvironment;
use sojourn_tools::{Action, Environment, EnvironmentError, Progress, ToolCall};

const SEEDS: u64 = 12;

struct Player {
    crafter: CrafterEnvironment,
    state: Value,
}

/// The decision of `reflexes/fight.js`.
fn fight(state: &Value) -> Option<Action> {
    if state["sleeping"] == true {
        return None;
    }
    let foe = state["creatures"].as_array()?.iter().find(|creature| {
        let distance = creature["dx"].as_i64().unwrap().abs() + creature["dy"].as_i64().unwrap().abs();
        distance == 1 && (creature["kind"] == "zombie" || creature["kind"] == "skeleton")
    })?;
    let (direction, turn) = match (foe["dx"].as_i64()?, foe["dy"].as_i64()?) {
        (-1, _) => ("west", "move_left"),
        (1, _) => ("east", "move_right"),
        (_, -1) => ("north", "move_up"),
        _ => ("south", "move_down"),
    };
    Some(Action(if state["direction"] == direction { "do" } else { turn }.into()))
}

impl Player {
    async fn act(&mut self, action: &Action) -> Result<(), EnvironmentError> {
        self.state = self.crafter.step(action).await?.state;
        Ok(())
    }

    async fn call(&mut self, name: &str, args: Value) -> Result<bool, EnvironmentError> {
        self.crafter.begin(&ToolCall { name: name.into(), args: args.as_object().cloned().unwrap() })?;
        loop {
            if let Some(action) = fight(&self.state) {
                self.act(&action).await?;
                continue;
            }
            match self.crafter.advance()? {
                Progress::Act(action) => self.act(&action).await?,
                Progress::Done(outcome) => return Ok(outcome.ok),
            }
        }
    }

    fn has(&self, item: &str) -> i64 {
        self.state["inventory"][item].as_i64().unwrap()
    }

    fn done(&self, achievement: &str) -> bool {
        self.state["achievements"][achievement].as_i64() > Some(0)
    }

    async fn seek(&mut self, kind: &str) -> Result<(), EnvironmentError> {
        if self.call("go_to", json!({"kind": kind})).await? {
            self.call("interact", json!({})).await?;
        } else {
            self.call("explore", json!({"n": 12})).await?;
        }
        Ok(())
    }

    async fn gather(&mut self, kind: &str, item: &str, count: i64) -> Result<(), EnvironmentError> {
        for _ in 0..60 {
            if self.has(item) >= count {
                break;
            }
            self.seek(kind).await?;
        }
        Ok(())
    }

    async fn achieve(&mut self, achievement: &str, kind: &str, tries: u32) -> Result<(), EnvironmentError> {
        for _ in 0..tries {
            if self.done(achievement) {
                break;
            }
            self.seek(kind).await?;
        }
        Ok(())
    }

    async fn workshop(&mut self) -> Result<(), EnvironmentError> {
        if !self.call("go_to", json!({"kind": "table"})).await? {
            self.gather("tree", "wood", 4).await?;
            self.call("place", json!({"x": "table"})).await?;
        }
        Ok(())
    }

    async fn live(&mut self) -> Result<(), EnvironmentError> {
        self.achieve("collect_sapling", "grass", 30).await?;
        self.call("place", json!({"x": "sapling"})).await?;
        self.gather("tree", "wood", 5).await?;
        self.call("place", json!({"x": "table"})).await?;
        for tool in ["wood_pickaxe", "wood_sword"] {
            self.call("make", json!({"x": tool})).await?;
        }
        self.achieve("collect_drink", "water", 20).await?;
        self.achieve("eat_cow", "cow", 25).await?;
        self.gather("tree", "wood", 4).await?;
        self.gather("stone", "stone", 7).await?;
        self.call("place", json!({"x": "stone"})).await?;
        self.workshop().await?;
        for tool in ["stone_pickaxe", "stone_sword"] {
            self.call("make", json!({"x": tool})).await?;
        }
        self.call("sleep", json!({})).await?;
        self.gather("coal", "coal", 1).await?;
        self.gather("stone", "stone", 5).await?;
        self.call("place", json!({"x": "furnace"})).await?;
        self.gather("iron", "iron", 1).await?;
        self.achieve("defeat_skeleton", "skeleton", 30).await?;
        self.achieve("defeat_zombie", "zombie", 60).await
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_scripted_player_achieves_about_half_of_everything() {
    let (mut achieved, mut longest_state) = (0, 0);
    for seed in 0..SEEDS {
        let mut crafter = CrafterEnvironment::new();
        crafter.reset(seed).await.unwrap();
        let state = crafter.observe().unwrap().state;
        let mut player = Player { crafter, state };
        let end = player.live().await;
        assert!(matches!(end, Ok(()) | Err(EnvironmentError::NotRunning)), "{end:?}");
        achieved +=
            player.state["achievements"].as_object().unwrap().values().filter(|count| **count != 0).count();
        longest_state = longest_state.max(player.state.to_string().len());
    }
    let mean = achieved as f64 / SEEDS as f64;
    assert!(mean > 10.0, "mean distinct achievements: {mean}");
    assert!(longest_state < 1800, "{longest_state} bytes");
}
