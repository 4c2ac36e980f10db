use super::*;
use crate::world::{CallResult, RunResult};
use async_trait::async_trait;
use serde_json::json;
use sojourn_sandbox::Program;
use sojourn_tools::{Effects, EnvironmentSpec, Parameter, ParameterKind, ToolCall, ToolSpec, Wording};
use std::convert::Infallible;

/// A camp by a river, where each thing needs the one before it: reeds, a loom of 2 reeds, a rope at the loom of 1 reed, a fish that only a
/// rope catches. Which things are in view depends on where one roamed.
#[derive(Default)]
struct Camp {
    random: u64,
    reeds: i64,
    ropes: i64,
    fish: i64,
    fed: i64,
    clock: i64,
    loom: bool,
    ahead: &'static str,
    view: u64,
}

impl Camp {
    fn roll(&mut self, of: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % of
    }

    fn state(&self) -> Value {
        let mut beside = vec![];
        if self.loom {
            beside.push("loom");
        }
        json!({
            "bag": {"reed": self.reeds, "rope": self.ropes, "fish": self.fish}, "ahead": self.ahead, "beside": beside,
            "fed": self.fed, "clock": self.clock, "place": [self.view % 7, self.view % 5],
        })
    }

    fn go(&mut self, kind: &str) -> bool {
        let (sees, name) = match kind {
            "reed" => (self.view.is_multiple_of(2), "reed"),
            "river" => (self.view.is_multiple_of(3), "river"),
            _ => (true, "rock"),
        };
        if sees {
            self.ahead = name;
            // One walks away from the loom.
            self.loom &= self.roll(4) != 0;
        }
        sees
    }

    fn act(&mut self, call: &ToolCall) -> bool {
        self.clock += 1;
        if self.clock % 15 == 0 && self.fed > 0 {
            self.fed -= 1;
        }
        let argument = call.args.values().next().and_then(Value::as_str).unwrap_or_default();
        match (call.name.as_str(), argument) {
            ("reach", kind) => self.go(kind),
            ("roam", _) => {
                self.view = self.roll(30);
                (self.ahead, self.loom) = ("", false);
                true
            }
            ("use", _) if self.ahead == "reed" => {
                (self.reeds, self.ahead) = (self.reeds + 1, "");
                true
            }
            ("use", _) if self.ahead == "river" && self.ropes > 0 && self.roll(2) == 0 => {
                self.fish += 1;
                true
            }
            ("eat", _) if self.fish > 0 && self.fed < 9 => {
                (self.fish, self.fed) = (self.fish - 1, (self.fed + 3).min(9));
                true
            }
            ("put", "loom") if self.reeds >= 2 && !self.loom => {
                (self.reeds, self.loom) = (self.reeds - 2, true);
                true
            }
            ("weave", "rope") if self.reeds >= 1 && self.loom => {
                (self.reeds, self.ropes) = (self.reeds - 1, self.ropes + 1);
                true
            }
            _ => false,
        }
    }
}

#[async_trait]
impl PracticeWorld for Camp {
    type Error = Infallible;

    async fn reset(&mut self, seed: u64) -> Result<Value, Infallible> {
        *self = Self { random: seed, fed: 9, ..Self::default() };
        self.view = self.roll(30);
        Ok(self.state())
    }

    async fn call(&mut self, call: &ToolCall, _max_steps: u32) -> Result<CallResult, Infallible> {
        let succeeded = self.act(call);
        Ok(CallResult {
            state: self.state(),
            reward: 0.0,
            succeeded,
            ended: self.clock >= 200,
            lost: false,
            steps: 1,
        })
    }

    async fn run(&mut self, seed: u64, _: &Program, _: &[String], _: u32) -> Result<RunResult, Infallible> {
        let before = self.reset(seed).await?;
        Ok(RunResult { before, after: self.state() })
    }
}

fn environment() -> EnvironmentSpec {
    let tool = |name: &str, choices: &[&str]| ToolSpec {
        parameters: choices
            .iter()
            .take(1)
            .map(|_| Parameter {
                name: "x".to_owned(),
                kind: ParameterKind::Choice(choices.iter().map(|&choice| choice.to_owned()).collect()),
                default: None,
            })
            .collect(),
        effects: Effects { write: true, ..Effects::default() },
        ..ToolSpec::new(name, "")
    };
    EnvironmentSpec {
        name: "camp".to_owned(),
        version: String::new(),
        deterministic: true,
        about: String::new(),
        tools: vec![
            tool("reach", &["reed", "river", "rock"]),
            tool("roam", &[]),
            tool("use", &[]),
            tool("eat", &[]),
            tool("put", &["loom"]),
            tool("weave", &["rope"]),
        ],
        actions: Vec::new(),
        controls: String::new(),
        tasks: Vec::new(),
        recipes: Vec::new(),
        examples: Vec::new(),
        vitals: Vec::new(),
        question: None,
        exploration: None,
        play: false,
        practice: true,
        episode_steps: None,
        wording: Wording::default(),
        untrusted: false,
    }
}

async fn explored(seed: u64, calls: u64, beliefs: Beliefs) -> Beliefs {
    let environment = environment();
    let seeds = (0..200).map(|at| seed * 1000 + at).collect();
    let plan = DiscoveryPlan { seeds, calls, episode_calls: 150, steps: 10, tasks: 20, beliefs };
    FrontierExplorer { environment: &environment, plan: &plan }.explore(&mut Camp::default()).await.unwrap()
}

fn shown(beliefs: &Beliefs) -> Vec<String> {
    let Documentation { tasks, recipes } = beliefs.documentation(20);
    let line = |(task, recipe): (&sojourn_tools::TaskSpec, &sojourn_tools::Recipe)| {
        let consumes =
            recipe.consumes.iter().map(|one| format!("{} {}", one.count, one.item)).collect::<Vec<_>>();
        format!(
            "{}: {} at {:?} uses {} with {} near {}",
            task.name,
            recipe.call,
            recipe.target.as_deref().unwrap_or_default(),
            consumes.join(" "),
            recipe.tools.join(" "),
            recipe.nearby.join(" ")
        )
    };
    tasks.iter().zip(&recipes).map(line).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn a_chain_of_prerequisites_is_found_out_and_becomes_recipes() {
    // That a rope is needed shows only in the calls before there was one: where those are few, it is not seen.
    let with_rope = r#"raise_bag_fish: use() at "river" uses  with rope near "#;
    let mut ropes = 0;
    for seed in 1..4 {
        let beliefs = explored(seed, 6000, Beliefs::default()).await;
        let found = shown(&beliefs);
        for line in [
            r#"raise_bag_reed: use() at "reed" uses  with  near "#,
            r#"get_loom_into_beside: put("loom") at "" uses 2 reed with  near "#,
            r#"raise_bag_rope: weave("rope") at "" uses 1 reed with  near loom"#,
            r#"raise_fed: eat() at "" uses 1 fish with  near "#,
        ] {
            assert!(found.iter().any(|one| one == line), "{seed}: no {line} in {found:#?}");
        }
        ropes += u32::from(found.iter().any(|one| one == with_rope));
    }
    assert!(ropes >= 2, "{ropes} of 3");
}
