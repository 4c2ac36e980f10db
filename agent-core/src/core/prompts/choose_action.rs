//! Choosing one tool call of the world, where no skill fits.

use super::{Consultable, WorldText, message, option_schema, prompt, push_line, request, tools};
use serde_json::Value;
use sojourn_controller::{Request, Role};
use sojourn_tools::outside::quote;
use sojourn_tools::{EnvironmentSpec, ToolSpec};

/// The input of a choice of one tool call.
pub(in crate::core) struct ActionChoice<'a> {
    pub spec: &'a EnvironmentSpec,
    /// The episode's seed, which says what tasks are in it.
    pub episode: u64,
    /// The text of the present observation.
    pub observation: &'a str,
    pub consultable: &'a Consultable,
    /// The warning after a repetition, if there was one.
    pub nudge: Option<&'a str>,
}

/// Asks for one call of a tool that acts.
pub(in crate::core) fn choose_action(choice: &ActionChoice<'_>, seed: u64) -> Request {
    let ActionChoice { spec, episode, observation, consultable, nudge } = choice;
    let acting: Vec<&ToolSpec> = spec.tools.iter().filter(|tool| tool.effects.write).collect();
    let mut system =
        prompt!("choose_action", "system", about = spec.about, tools = tools::lines(acting.iter().copied()),);
    // A world with a question shows its goal in the observation.
    if spec.question.is_none() {
        let tasks = spec.tasks.iter().filter(|task| task.is_in(*episode));
        let goals: Vec<&str> = tasks.map(|task| task.description.as_str()).collect();
        system.push('\n');
        system.push_str(&prompt!("choose_action", "goals", goals = quote::one_line(&goals.join("; "))));
    }
    let mut user = String::new();
    let observation = WorldText::of(spec).block(observation);
    push_line(&mut user, &prompt!("choose_action", "observation", observation = observation));
    consultable.append(&mut user);
    if let Some(nudge) = nudge {
        push_line(&mut user, nudge);
    }
    let options: Vec<Value> =
        acting.iter().map(|tool| option_schema("action", &tool.name, &tool.parameters)).collect();
    let (schema, max_tokens) = consultable.schema(options);
    request(vec![message(Role::System, system), message(Role::User, user)], schema, seed, max_tokens)
}
