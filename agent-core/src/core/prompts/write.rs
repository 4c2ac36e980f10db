//! Writing a skill for a task.

use super::{Decoding, WorldText, message, notes, outside, program_request, prompt, push_line, tools};
use crate::config::ActorConfig;
use crate::core::planner::Planner;
use crate::model::{Demonstration, as_javascript};
use serde_json::Value;
use sojourn_controller::{Request, Role};
use sojourn_skills::grammar::Language;
use sojourn_tools::outside::terminal::escaped_json;
use sojourn_tools::{EnvironmentSpec, Parameter, TaskSpec, ToolSpec, function_head, signature};

/// Characters shown of another episode's first observation: enough for its goal and the first things in it.
const OTHER_OBSERVATION: usize = 500;

/// The input of a request for a skill.
pub(in crate::core) struct Writing<'a> {
    pub spec: &'a EnvironmentSpec,
    pub planner: &'a Planner,
    /// The task to learn.
    pub task: &'a TaskSpec,
    /// The first observation of an episode of the task, in a world with a question.
    pub first_observation: Option<&'a str>,
    /// The first observations of other episodes of the task.
    pub other_observations: &'a [String],
    /// What reached the goal by random exploration in other episodes, one sentence each.
    pub demonstrations: &'a [String],
    /// Admitted skills that may be called: name and parameters.
    pub skills: &'a [(String, Vec<Parameter>)],
    /// Tools outside the world that may be called.
    pub tools: &'a [ToolSpec],
    /// Causal notes from the rounds before, and lessons.
    pub notes: &'a [String],
    /// The grammar of the function's body.
    pub grammar: String,
}

/// Asks for `candidates` of one skill: the rest of a function whose head is given.
pub(in crate::core) fn write(
    writing: &Writing<'_>,
    actor: &ActorConfig,
    candidates: u32,
    seed: u64,
) -> Request {
    let spec = writing.spec;
    let mut system = prompt!("write", "system", about = spec.about, tools = tools::lines(&spec.tools));
    match actor.language {
        // The grammar leaves nothing to say.
        Language::Subset => {}
        Language::JavaScript => {
            system.push(' ');
            system.push_str(&prompt!("write", "javascript"));
        }
    }
    let mut messages = vec![message(Role::System, system)];
    for example in &spec.examples {
        let task = prompt!("write", "example", task = example.task);
        messages.extend(outside::example(example, task));
    }
    messages.push(message(Role::User, task_text(writing)));
    let decoding =
        Decoding { candidates, temperature: actor.temperature, max_tokens: actor.max_tokens, seed };
    program_request(
        messages,
        function_head(&writing.task.name, &writing.task.parameters),
        &writing.grammar,
        &decoding,
    )
}

fn task_text(writing: &Writing<'_>) -> String {
    let mut text = String::new();
    push_task(&mut text, writing);
    let quotes = !writing.demonstrations.is_empty() || !writing.notes.is_empty();
    if let Some(introduction) = WorldText::of(writing.spec).inline_introduction().filter(|_| quotes) {
        push_line(&mut text, &introduction);
    }
    for demonstration in writing.demonstrations {
        push_line(&mut text, &prompt!("write", "worked", demonstration = demonstration));
    }
    let (planner, name) = (writing.planner, &writing.task.name);
    if let Some(requirements) = planner.requirements(name) {
        push_line(&mut text, &prompt!("write", "requirements", requirements = requirements));
    }
    if let Some(plan) = planner.plan_line(name) {
        push_line(&mut text, &prompt!("write", "plan", plan = plan));
    }
    let skills: Vec<String> =
        writing.skills.iter().map(|(name, parameters)| signature(name, parameters)).collect();
    text.push_str(&if skills.is_empty() {
        prompt!("write", "no_skills")
    } else {
        prompt!("write", "skills", skills = skills.join(", "))
    });
    if !writing.tools.is_empty() {
        text.push('\n');
        text.push_str(&prompt!("write", "tools", tools = tools::lines(writing.tools)));
    }
    if !writing.notes.is_empty() {
        text.push('\n');
        text.push_str(&prompt!("write", "notes", notes = writing.notes.join(" ")));
    }
    text
}

/// The task, with first observations of its episodes in a world with a question.
fn push_task(text: &mut String, writing: &Writing<'_>) {
    let (words, description) = (writing.planner.words(), &writing.task.description);
    let Some(observation) = writing.first_observation else {
        push_line(text, &prompt!("write", "task", description = description));
        return;
    };
    let world = WorldText::of(writing.spec);
    let task = prompt!(
        "write",
        "task_observed",
        description = description,
        first_observation = words.first_observation,
        observation = world.block(observation),
    );
    push_line(text, &task);
    let question = writing.spec.question.as_ref();
    let mut seen = vec![observation.trim_end()];
    for other in writing.other_observations {
        let other = other.trim_end();
        if question.is_some_and(|question| question.fixed) && seen.contains(&other) {
            continue;
        }
        seen.push(other);
        let mut shown: String = other.chars().take(OTHER_OBSERVATION).collect();
        if shown.len() < other.len() {
            shown.push_str(" …");
        }
        let other_observation = &words.other_observation;
        let line = prompt!(
            "write",
            "other_episode",
            other_observation = other_observation,
            observation = world.block(&shown)
        );
        push_line(text, &line);
    }
    let differs = question.map_or("", |question| question.differs.as_str());
    if !differs.is_empty() {
        push_line(text, differs);
    }
}

/// The value as JSON on one line.
fn on_one_line(value: &Value) -> String {
    escaped_json(&value.to_string()).into_owned()
}

/// The calls of a demonstration in `world`, and the elements that they acted on.
pub(in crate::core) fn demonstration(world: WorldText, demonstration: &Demonstration) -> String {
    let goal = demonstration.steps.first().map_or("", |step| &step.state.goal);
    let calls = demonstration.steps.iter().map(|step| {
        let mut text = as_javascript(&step.call);
        for element in step.call.args.values().filter_map(|id| step.state.element(id)) {
            text.push_str(&prompt!(
                "write",
                "demonstrated_element",
                id = on_one_line(&Value::from(&element.id)),
                kind = world.inline(&element.kind),
                label = on_one_line(&Value::from(element.label.as_str())),
            ));
        }
        text
    });
    let calls: Vec<String> = calls.collect();
    let goal = world.inline(&notes::shortened(goal, notes::PART));
    prompt!("write", "demonstration", goal = goal, calls = calls.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DemonstratedCall, UiElement, UiState};
    use serde_json::json;
    use sojourn_tools::ToolCall;

    #[test]
    fn a_demonstration_names_the_elements_that_were_acted_on() {
        let element = |id: &str, kind: &str, label: &str| UiElement {
            id: id.into(),
            kind: kind.into(),
            label: label.into(),
            disabled: false,
            hidden: false,
            groups: vec![],
            fields: vec![],
        };
        let step = |name: &str, args: Value| DemonstratedCall {
            state: UiState {
                goal: "Write \"go\" and send it.".into(),
                elements: vec![element("a", "field", "note"), element("b", "knob", "")],
                ..UiState::default()
            },
            call: ToolCall { name: name.into(), args: args.as_object().cloned().unwrap_or_default() },
        };
        let steps =
            vec![step("fill", json!({"what": "a", "text": "go"})), step("push", json!({"what": "b"}))];
        assert_eq!(
            demonstration(
                WorldText::of(&crate::core::prompts::tests::bare()),
                &Demonstration { seed: 1, steps }
            ),
            "Write \"go\" and send it. This was done: fill(\"a\", \"go\"), \"a\" being field \"note\"; push(\"b\"), \"b\" being knob \"\"."
        );
    }
}
