//! Choosing one tool call of the world, where no skill fits.

use super::{Consultable, Scene, WorldText, message, option_schema, prompt, push_line, request, tools};
use crate::model::as_javascript;
use serde_json::{Map, Value, json};
use sojourn_controller::{Message, Part, Request, Role};
use sojourn_tools::outside::quote;
use sojourn_tools::{EnvironmentSpec, ToolCall, ToolSpec};

/// The input of a choice of one tool call.
pub(in crate::core) struct ActionChoice<'a> {
    pub spec: &'a EnvironmentSpec,
    /// The episode's seed, which says what tasks are in it.
    pub episode: u64,
    pub scene: Scene<'a>,
    /// The calls that are possible now, where the world says so.
    pub available: &'a [ToolCall],
    pub consultable: &'a Consultable,
    /// The warning after a repetition, if there was one.
    pub nudge: Option<&'a str>,
}

/// Asks for one call of a tool that acts.
pub(in crate::core) fn choose_action(choice: &ActionChoice<'_>, seed: u64) -> Request {
    let ActionChoice { spec, episode, scene, available, consultable, nudge } = choice;
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
    let world = WorldText::of(spec);
    if let Some(observation) = scene.observation(world) {
        push_line(&mut user, &prompt!("choose_action", "observation", observation = observation));
    }
    let mut parts = Vec::new();
    let picture = scene.picture();
    if !picture.is_empty() {
        parts.extend(Some(std::mem::take(&mut user)).filter(|text| !text.is_empty()).map(Part::new));
        parts.extend(picture);
    }
    consultable.append(&mut user);
    if let Some(nudge) = nudge {
        push_line(&mut user, nudge);
    }
    // Where the world says what is possible now, the answer is one of these calls and nothing else.
    let options: Vec<Value> = if available.is_empty() {
        acting.iter().map(|tool| option_schema("action", &tool.name, &tool.parameters)).collect()
    } else {
        let calls: Vec<String> = available.iter().map(as_javascript).collect();
        push_line(&mut user, &world.available(&calls));
        available.iter().map(call_schema).collect()
    };
    consultable.append_last(&mut user);
    let (schema, max_tokens) = consultable.schema(options);
    parts.push(Part::new(user));
    let messages = vec![message(Role::System, system), Message { role: Role::User, parts }];
    request(messages, schema, seed, max_tokens)
}

/// The schema of an answer that is this call.
fn call_schema(call: &ToolCall) -> Value {
    let mut properties = Map::from_iter([("action".to_owned(), json!({"const": call.name}))]);
    properties.extend(call.args.iter().map(|(name, value)| (name.clone(), json!({"const": value}))));
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::prompts::tests::bare;

    #[test]
    fn a_world_that_says_what_is_possible_gets_one_of_these_calls() {
        let spec = bare();
        let args = Map::from_iter([("what".to_owned(), json!("lamp"))]);
        let available = [
            ToolCall { name: "take".to_owned(), args },
            ToolCall { name: "look".to_owned(), args: Map::new() },
        ];
        let consultable = Consultable::default();
        let choice = ActionChoice {
            spec: &spec,
            episode: 1,
            scene: Scene { text: Some("A cellar."), look: None },
            available: &available,
            consultable: &consultable,
            nudge: None,
        };
        let request = serde_json::to_value(choose_action(&choice, 1)).unwrap();
        let text = request.to_string();
        assert!(text.contains(r#"take(\"lamp\")"#) && !text.contains("come from outside"), "{text}");
        assert!(text.contains(r#""action":{"const":"take"},"what":{"const":"lamp"}"#), "{text}");
        assert!(!text.contains(r#"{"const":"times"}"#), "{text}");

        // The world wrote these calls, so they are quoted where it is not trusted.
        let spec = EnvironmentSpec { untrusted: true, ..bare() };
        let request =
            serde_json::to_value(choose_action(&ActionChoice { spec: &spec, ..choice }, 1)).unwrap();
        let text = request.to_string();
        assert!(text.contains(r#"> take(\"lamp\")\n> look()"#), "{text}");
    }
}
