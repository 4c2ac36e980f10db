//! The primitives in real worlds, called as a skill would call them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use serde_json::{Value, json};
use sojourn_crafter::CrafterEnvironment;
use sojourn_crafter::game::Item;
use sojourn_tools::{Action, Environment, EnvironmentError, Need, Progress, ToolCall, ToolOutcome};

struct Play(CrafterEnvironment);

impl Play {
    async fn of(seed: u64) -> Self {
        let mut crafter = CrafterEnvironment::new();
        crafter.reset(seed).await.unwrap();
        Self(crafter)
    }

    async fn call(&mut self, name: &str, args: Value) -> Result<ToolOutcome, EnvironmentError> {
        let args = args.as_object().cloned().unwrap_or_default();
        self.0.begin(&ToolCall { name: name.into(), args })?;
        for _ in 0..1000 {
            match self.0.advance()? {
                Progress::Act(action) => {
                    self.0.step(&action).await?;
                }
                Progress::Done(outcome) => return Ok(outcome),
            }
        }
        panic!("`{name}` does not come to an end");
    }

    async fn ok(&mut self, name: &str, args: Value) -> bool {
        self.call(name, args).await.is_ok_and(|outcome| outcome.ok)
    }

    fn state(&self) -> Value {
        self.0.observe().unwrap().state
    }

    fn has(&self, item: &str) -> u64 {
        self.state()["inventory"][item].as_u64().unwrap()
    }

    async fn gather(&mut self, kind: &str, item: &str, count: u64) {
        let target = self.has(item) + count;
        for _ in 0..40 {
            if self.has(item) >= target {
                return;
            }
            if self.ok("go_to", json!({"kind": kind})).await {
                self.ok("interact", json!({})).await;
            } else {
                self.ok("explore", json!({"n": 12})).await;
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_primitives_lead_to_a_stone_pickaxe() {
    let mut made = 0;
    for seed in 0..10 {
        let mut play = Play::of(seed).await;
        play.gather("tree", "wood", 4).await;
        play.ok("place", json!({"x": "table"})).await;
        play.ok("make", json!({"x": "wood_pickaxe"})).await;
        play.gather("stone", "stone", 1).await;
        if !play.ok("go_to", json!({"kind": "table"})).await {
            continue;
        }
        play.ok("make", json!({"x": "stone_pickaxe"})).await;
        made += play.has("stone_pickaxe");
    }
    assert!(made >= 7, "made a stone pickaxe in {made} of 10 worlds");
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_lists_what_is_missing() {
    let mut play = Play::of(1).await;
    let item = |item: &str, count, have| Need::Item { item: item.into(), count, have };
    for (name, args, expected) in [
        ("place", json!({"x": "table"}), vec![item("wood", 2, 0)]),
        ("place", json!({"x": "furnace"}), vec![item("stone", 4, 0)]),
        (
            "make",
            json!({"x": "iron_sword"}),
            vec![
                Need::Nearby { kind: "table".into() },
                Need::Nearby { kind: "furnace".into() },
                item("wood", 1, 0),
                item("coal", 1, 0),
                item("iron", 1, 0),
            ],
        ),
        ("go_to", json!({"kind": "diamond"}), vec![Need::Seen { kind: "diamond".into() }]),
        ("sleep", json!({}), vec![Need::Later { until: "energy is below 9".into() }]),
    ] {
        let before = play.state();
        let outcome = play.call(name, args).await.unwrap();
        assert!(!outcome.ok);
        assert_eq!(outcome.missing, expected, "{name}: {}", outcome.message);
        assert_eq!(play.state(), before, "{name} must take no step to find that out");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn invalid_arguments_list_the_legal_values() {
    let mut play = Play::of(1).await;
    for (name, args, expected) in [
        ("go_to", json!({"kind": "trea"}), "did you mean `tree`?"),
        ("go_to", json!({}), "`kind` is missing: one of tree, stone"),
        ("place", json!({"x": 3}), "one of stone, table, furnace, sapling"),
        ("make", json!({"x": "wooden_pickaxe"}), "did you mean `wood_pickaxe`?"),
        ("explore", json!({"n": "far"}), "a number from 1 to 60"),
        ("move", json!({"direction": "up there"}), "one of west, east, north, south"),
        ("fly", json!({}), "unknown primitive `fly`"),
    ] {
        let outcome = play.call(name, args).await.unwrap();
        assert!(!outcome.ok && outcome.message.contains(expected), "{name}: {}", outcome.message);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn sleep_ends_when_the_player_is_rested_or_hurt() {
    let mut rested = 0;
    for seed in 0..6 {
        let mut play = Play::of(seed).await;
        play.0.give(Item::Energy, 7).unwrap();
        let Ok(outcome) = play.call("sleep", json!({})).await else { continue };
        let woke = play.state()["achievements"]["wake_up"] == 1;
        assert_eq!(outcome.ok, woke, "{}", outcome.message);
        rested += u32::from(woke);
    }
    assert!(rested >= 3, "rested in {rested} of 6 worlds");
}

#[tokio::test(flavor = "current_thread")]
async fn a_reflex_between_two_actions_does_not_affect_a_call() {
    let mut play = Play::of(2).await;
    let args = json!({"kind": "tree"}).as_object().cloned().unwrap();
    play.0.begin(&ToolCall { name: "go_to".into(), args }).unwrap();
    let mut interruptions = ["move_left", "noop", "move_down", "do"].into_iter().cycle();
    for turn in 0..200 {
        match play.0.advance().unwrap() {
            Progress::Act(action) if turn % 3 > 0 => {
                play.0.step(&action).await.unwrap();
            }
            Progress::Act(_) => {
                play.0.step(&Action(interruptions.next().unwrap().into())).await.unwrap();
            }
            Progress::Done(outcome) => {
                assert!(outcome.ok, "{}", outcome.message);
                assert_eq!(play.state()["facing"], "tree");
                return;
            }
        }
    }
    panic!("never arrived");
}

#[tokio::test(flavor = "current_thread")]
async fn a_stocked_player_places_everything() {
    for seed in 0..5 {
        let mut play = Play::of(seed).await;
        for item in [Item::Wood, Item::Stone, Item::Sapling, Item::Coal, Item::Iron] {
            play.0.give(item, 9).unwrap();
        }
        for thing in ["table", "furnace", "stone", "sapling"] {
            let outcome = play.call("place", json!({"x": thing})).await.unwrap();
            assert!(outcome.ok, "seed {seed}, {thing}: {}", outcome.message);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn acting_needs_a_running_episode() {
    let mut crafter = CrafterEnvironment::with_length(2);
    let noop = Action("noop".into());
    assert!(matches!(crafter.step(&noop).await, Err(EnvironmentError::NotRunning)));
    crafter.reset(5).await.unwrap();
    assert!(matches!(crafter.advance(), Err(EnvironmentError::NoCall)));
    let unknown = crafter.step(&Action("jump".into())).await;
    assert!(matches!(unknown, Err(EnvironmentError::UnknownAction { name }) if name == "jump"));
    assert_eq!(crafter.step(&noop).await.unwrap().ended, None);
    let ending = crafter.step(&noop).await.unwrap().ended.unwrap();
    assert_eq!(ending.cause, "time is up");
    assert!(matches!(crafter.step(&noop).await, Err(EnvironmentError::NotRunning)));
    assert!(crafter.observe().is_ok());
}

#[tokio::test(flavor = "current_thread")]
async fn the_state_has_a_bounded_size() {
    let mut longest = 0;
    for seed in 0..6 {
        let mut play = Play::of(seed).await;
        for item in [Item::Wood, Item::Stone, Item::Sapling, Item::WoodPickaxe, Item::StonePickaxe] {
            play.0.give(item, 9).unwrap();
        }
        for thing in ["table", "furnace", "stone", "sapling"] {
            play.ok("place", json!({"x": thing})).await;
        }
        for _ in 0..12 {
            play.ok("explore", json!({"n": 20})).await;
            for kind in ["coal", "iron", "water", "cow"] {
                if play.ok("go_to", json!({"kind": kind})).await {
                    play.ok("interact", json!({})).await;
                }
            }
            longest = longest.max(play.state().to_string().len());
        }
    }
    assert!(longest < 1800, "{longest} bytes");
}
