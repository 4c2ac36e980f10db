use super::*;
use crate::fixtures::desk;
use crate::world::{CallResult, RunResult};
use async_trait::async_trait;
use serde_json::json;
use sojourn_sandbox::Program;
use sojourn_tools::{Amount, Condition, RecordedArgument};

/// A desk on which a form is filled in: things by kind and words, and the calls that must be made at them, in this order.
struct Form {
    things: Vec<(&'static str, &'static str)>,
    wanted: Vec<(&'static str, &'static str, &'static str)>,
    /// What lies over everything until it is pushed.
    over: Option<&'static str>,
    made: Vec<String>,
    episodes: usize,
}

impl Form {
    fn new(
        things: &[(&'static str, &'static str)],
        wanted: &[(&'static str, &'static str, &'static str)],
    ) -> Self {
        Self { things: things.to_vec(), wanted: wanted.to_vec(), over: None, made: Vec::new(), episodes: 0 }
    }

    fn state(&self) -> Value {
        let over = self.over.filter(|over| !self.made.iter().any(|made| made == &format!("push {over} ")));
        let all = self.things.iter().copied().chain(over.map(|words| ("button", words)));
        let things: Vec<Value> = all
            .enumerate()
            .map(|(at, (kind, words))| json!({"id": format!("e{}-{at}", self.episodes), "kind": kind, "words": words}))
            .collect();
        let wanted: Vec<String> =
            self.wanted.iter().map(|(tool, at, what)| format!("{tool} {at} {what}")).collect();
        let done = wanted.iter().all(|one| self.made.contains(one)) && over.is_none();
        json!({"wish": "", "desk": {"things": things}, "done": u8::from(done)})
    }
}

#[async_trait]
impl PracticeWorld for Form {
    type Error = std::convert::Infallible;

    async fn reset(&mut self, _: u64) -> Result<Value, Self::Error> {
        self.made.clear();
        self.episodes += 1;
        Ok(self.state())
    }

    async fn call(&mut self, call: &ToolCall, _: u32) -> Result<CallResult, Self::Error> {
        let before = self.state();
        let things = before["desk"]["things"].as_array().cloned().unwrap_or_default();
        let thing = things.iter().find(|thing| thing["id"] == call.args["what"]).cloned().unwrap_or_default();
        let words = thing["words"].as_str().unwrap_or_default().to_owned();
        let typed = call.args.get("words").and_then(Value::as_str).unwrap_or_default();
        // Under a dialog nothing can be pushed.
        let covered = self.over.is_some_and(|over| {
            call.name == "push" && words != over && things.iter().any(|thing| thing["words"] == over)
        });
        if !covered {
            self.made.push(format!("{} {words} {typed}", call.name));
        }
        let state = self.state();
        let ended = state["done"] == 1;
        Ok(CallResult { state, reward: 0.0, succeeded: !covered, ended, lost: false, steps: 1 })
    }

    async fn run(&mut self, seed: u64, _: &Program, _: &[String], _: u32) -> Result<RunResult, Self::Error> {
        let before = self.reset(seed).await?;
        Ok(RunResult { before: before.clone(), after: before })
    }
}

/// `fill` a field with the user, then `push` a button.
fn recorded() -> Vec<RecordedStep> {
    let element = |kind: &str, label: &str| {
        ("what".to_owned(), RecordedArgument::Element { kind: kind.to_owned(), label: label.to_owned() })
    };
    let user = ("words".to_owned(), RecordedArgument::Parameter("user".to_owned()));
    vec![
        RecordedStep { tool: "fill".to_owned(), args: vec![element("field", "User name"), user] },
        RecordedStep { tool: "push".to_owned(), args: vec![element("button", "Log in")] },
    ]
}

/// The changes that are found, and in how many episodes; none where there are none so near.
async fn healed(mut form: Form, episodes: u64) -> Option<(Vec<String>, usize)> {
    let environment = crate::fixtures::desk();
    let mut spec = environment.exploration.clone().unwrap();
    spec.actions[0].args =
        vec![sojourn_tools::ArgumentSource::Element(vec!["button".to_owned(), "link".to_owned()])];
    let environment = EnvironmentSpec { exploration: Some(spec), ..desk() };
    let goal = Condition::AtLeast { path: "/done".parse().unwrap(), value: Amount::Literal(1.0) };
    let task = TaskSpec { goal, ..crate::fixtures::task() };
    let arguments = json!({"user": "ada"}).as_object().cloned().unwrap();
    let kind = sojourn_tools::ParameterKind::Text;
    let parameters = [Parameter { name: "user".to_owned(), kind, default: None }];
    let recorded = recorded();
    let healer = Healer {
        environment: &environment,
        task: &task,
        recorded: &recorded,
        parameters: &parameters,
        arguments: &arguments,
    };
    let seeds: Vec<u64> = (0..episodes).collect();
    let found = healer.heal(&mut form, &seeds).await.unwrap()?;
    Some((found.changes, found.episodes))
}

const FIELD: (&str, &str) = ("field", "User name");

#[tokio::test]
async fn a_world_that_has_not_changed_needs_one_episode() {
    let form =
        Form::new(&[FIELD, ("button", "Log in")], &[("fill", "User name", "ada"), ("push", "Log in", "")]);
    assert_eq!(healed(form, 20).await, Some((vec![], 1)));
}

#[tokio::test]
async fn an_element_with_other_words_is_found_those_that_are_alike_first() {
    let things = [FIELD, ("button", "Help"), ("button", "Cancel"), ("button", "Log me in")];
    let form = Form::new(&things, &[("fill", "User name", "ada"), ("push", "Log me in", "")]);
    let (changes, episodes) = healed(form, 30).await.unwrap();
    assert_eq!(changes, ["button \"Log in\" is now button \"Log me in\""]);
    assert!(episodes <= 4, "{episodes}");
    let things = [("field", "Your name"), ("button", "Log in"), ("link", "Log in")];
    let form = Form::new(&things, &[("fill", "Your name", "ada"), ("push", "Log in", "")]);
    assert_eq!(healed(form, 30).await.unwrap().0, ["field \"User name\" is now field \"Your name\""]);
}

#[tokio::test]
async fn what_lies_over_the_page_is_put_away() {
    let mut form =
        Form::new(&[FIELD, ("button", "Log in")], &[("fill", "User name", "ada"), ("push", "Log in", "")]);
    form.over = Some("Accept cookies");
    assert_eq!(healed(form, 30).await.unwrap().0, ["push(button \"Accept cookies\") is new"]);
}

#[tokio::test]
async fn two_changes_at_once_are_found() {
    let mut form = Form::new(
        &[FIELD, ("button", "Help"), ("button", "Sign in")],
        &[("fill", "User name", "ada"), ("push", "Sign in", "")],
    );
    form.over = Some("Accept");
    let (changes, episodes) = healed(form, 60).await.unwrap();
    assert_eq!(changes, ["push(button \"Accept\") is new", "button \"Log in\" is now button \"Sign in\""]);
    assert!(episodes <= 60, "{episodes}");
}

#[tokio::test]
async fn a_step_that_is_gone_is_left_out_and_an_argument_without_use_is_said() {
    let form = Form::new(&[("button", "Log in")], &[("push", "Log in", "")]);
    let changes = healed(form, 30).await.unwrap().0;
    assert_eq!(
        changes,
        [
            "fill(field \"User name\", user) is not needed any more",
            "the argument `user` is not used any more"
        ]
    );
}

#[tokio::test]
async fn a_world_in_which_nothing_near_works_is_given_up() {
    let form = Form::new(&[FIELD, ("button", "Log in")], &[("turn", "x", "")]);
    assert_eq!(healed(form, 40).await, None);
}
