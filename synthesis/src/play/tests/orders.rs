//! A world whose texts name what is wanted: one program serves all orders.

use super::*;

/// Five places in a row with two things, of which an order names one. `take` where the other one is ends the episode.
#[derive(Clone, Default)]
struct Orders(Arc<Mutex<Value>>);

impl Orders {
    fn act(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        let at = state["at"].as_i64().unwrap();
        let to = match name {
            "east" => (at + 1).min(4),
            "west" => (at - 1).max(0),
            _ => at,
        };
        state["at"] = to.into();
        for thing in state["things"].as_object_mut().unwrap().values_mut() {
            thing["away"] = (thing["away"].as_i64().unwrap() + at - to).into();
        }
        let wanted = state["wanted"].as_str().unwrap().to_owned();
        if name == "take" {
            let has = |thing: &Value| thing["away"] == 0;
            let things = state["things"].as_object().unwrap();
            let done = i64::from(has(&things[&wanted]));
            let over = things.values().any(has);
            state["done"] = done.into();
            state["over"] = over.into();
        }
    }

    /// What the agent sees.
    fn shown(&self) -> Value {
        let mut state = self.0.lock().unwrap().clone();
        state.as_object_mut().unwrap().remove("wanted");
        state
    }
}

#[async_trait]
impl PracticeWorld for Orders {
    type Error = std::convert::Infallible;

    async fn reset(&mut self, seed: u64) -> Result<Value, Self::Error> {
        const COLOURS: [&str; 4] = ["red", "blue", "green", "grey"];
        const KINDS: [&str; 3] = ["key", "ball", "box"];
        let mut random = Random::new(seed);
        let mut one = |most: usize| random.below(most);
        let (colour, kind) = (one(4), one(3));
        let other = format!("{}_{}", COLOURS[(colour + 1 + one(3)) % 4], KINDS[(kind + 1 + one(2)) % 3]);
        let wanted = format!("{}_{}", COLOURS[colour], KINDS[kind]);
        let here = one(5);
        let there = (here + 1 + one(4)) % 5;
        let at = 2_i64;
        let mut things = Map::new();
        things.insert(wanted.clone(), json!({"away": here as i64 - at}));
        things.insert(other, json!({"away": there as i64 - at}));
        let order = format!("take the {}", wanted.replace('_', " "));
        *self.0.lock().unwrap() =
            json!({"order": order, "wanted": wanted, "at": at, "things": things, "done": 0, "over": false});
        Ok(self.shown())
    }

    async fn call(&mut self, call: &ToolCall, _max_steps: u32) -> Result<CallResult, Self::Error> {
        self.act(&call.name);
        let state = self.shown();
        let ended = state["over"] == true;
        Ok(CallResult { state, reward: 0.0, succeeded: true, ended, lost: false, steps: 1 })
    }

    async fn run(
        &mut self,
        seed: u64,
        program: &Program,
        _granted: &[String],
        _max_steps: u32,
    ) -> Result<RunResult, Self::Error> {
        let before = self.reset(seed).await?;
        let calls = ["west", "east", "take"].map(|name| Binding::call(name, [""; 0]));
        let bindings: Vec<Binding> = std::iter::once(Binding::live("observe")).chain(calls).collect();
        let (limits, host) = (Limits::default(), Arc::new(self.clone()));
        let invocation =
            Invocation { args: &[], bindings: &bindings, host, limits: &limits, seed, now_ms: 0 };
        let _ = SANDBOX.call(program, invocation).await;
        Ok(RunResult { before, after: self.shown() })
    }
}

#[async_trait]
impl Host for Orders {
    async fn call(&self, name: &str, _args: Map<String, Value>) -> Result<Value, HostError> {
        if name == "observe" {
            return Ok(self.shown());
        }
        if self.0.lock().unwrap()["over"] == true {
            return Err(HostError::Failed("the episode is over".to_owned()));
        }
        self.act(name);
        Ok(json!(true))
    }
}

#[tokio::test]
async fn one_program_serves_whatever_an_order_names() {
    let mut environment = desk();
    environment.exploration = None;
    let effects = Effects { write: true, ..Effects::default() };
    environment.tools =
        ["west", "east", "take"].map(|name| ToolSpec { effects, ..ToolSpec::new(name, "acts") }).to_vec();
    let plan = ExplorationPlan {
        task: "work".into(),
        seeds: (1..=400).collect(),
        actions: 5,
        steps: 30,
        successes: 5,
        known_skills: vec![],
        quiet: None,
        play_rules: PLAY_RULES,
    };
    let task = task();
    let play = async |plan: &ExplorationPlan| {
        let explorer =
            StateExplorer { environment: &environment, task: &task, plan, sandbox: SANDBOX.clone() };
        explorer.play(vec![Orders::default()]).await.unwrap().programs
    };
    let found = play(&plan).await;
    let program = found.first().expect("a program");
    assert!(program.contains("mentioned("), "{program}");
    let compiled = SANDBOX.compile_program("work", program).await.unwrap();
    let mut done = 0;
    for seed in 1000..1100 {
        let run = Orders::default().run(seed, &compiled, &[], 30).await.unwrap();
        done += usize::from(run.after["done"] == 1);
    }
    assert!(done >= 95, "{done} of 100 orders, by\n{program}");
    let without = play(&ExplorationPlan { play_rules: 0, ..plan }).await;
    assert!(without.iter().all(|program| !program.contains("mentioned(")), "as older logs played");
}

proptest::proptest! {
    #[test]
    fn a_program_finds_the_entry_that_play_sees(
        entries in proptest::collection::btree_map("(red|Blue|grün)[_ ](key|ball)(_2)?", proptest::bool::ANY, 0..6),
        text in "(take|go to) (the )?(red|BLUE|Grün)?( key| ball)?( 2)?!?",
    ) {
        let entries: Map<String, Value> =
            entries.into_iter().map(|(name, there)| (name, if there { json!(1) } else { Value::Null })).collect();
        let state = json!({"text": text, "things": entries});
        let expected = mentions::read(&state, false).into_iter().next().map(|(_, mention, _)| mention);
        let mut paths = Paths::default();
        paths.mentions = true;
        let features = paths.read(&state);
        // Whether the program and play see the same value at the entry that is named.
        let named = features.iter().find_map(|(path, value)| {
            let path = paths.path(path)?;
            path.javascript().contains("mentioned(").then(|| (path.javascript(), value.json()))
        });
        proptest::prop_assert_eq!(expected.is_some(), named.is_some());
        let condition = named.map_or_else(
            || r#"mentioned(at("things"), at("text")) === undefined || at("text").split(" ").length < 2"#.to_owned(),
            |(path, value)| format!("{path} === {value}"),
        );
        let helpers = crate::javascript::FIELDS.join("\n") + crate::javascript::MENTIONED;
        let source = format!("function work() {{ {helpers}\n if ({condition}) a(); else b(); return true; }}");
        let chosen = tokio::runtime::Runtime::new().unwrap().block_on(Still::choice(&state, &source));
        proptest::prop_assert_eq!(chosen, "a", "{}", source);
    }
}
