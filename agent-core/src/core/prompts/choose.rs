//! Choosing one of the curriculum's proposals.

use super::{Consultable, Scene, WorldText, message, option_schema, prompt, push_line, request, tools};
use crate::core::curriculum::{Curriculum, Proposal};
use crate::core::planner::Planner;
use crate::model::Recalled;
use serde_json::Value;
use sojourn_controller::{Message, Part, Request, Role};
use sojourn_skills::{Entry, LibraryState, TrialReport};
use sojourn_tools::outside::quote;
use sojourn_tools::{EnvironmentSpec, TaskSpec, signature};

/// The input of a choice.
pub(in crate::core) struct Choice<'a> {
    pub spec: &'a EnvironmentSpec,
    pub planner: &'a Planner,
    pub curriculum: &'a Curriculum,
    /// The library, which has the uses of all runs; `None` where only those of this run are counted.
    pub library: Option<&'a LibraryState>,
    pub scene: Scene<'a>,
    /// Recalled memories, the best first.
    pub memories: &'a [Recalled],
    pub consultable: &'a Consultable,
    /// The warning after a repetition, if there was one.
    pub nudge: Option<&'a str>,
    pub proposals: &'a [Proposal],
}

/// Asks for one of the proposals, with the arguments of its skill.
pub(in crate::core) fn choose(choice: &Choice<'_>, seed: u64) -> Request {
    let words = choice.planner.words();
    let (about, agent, choice_advice) = (&choice.spec.about, &words.agent, &words.choice_advice);
    let system = if choice.consultable.offers_last() {
        prompt!("choose", "system_with_tools", about = about, agent = agent, choice_advice = choice_advice)
    } else {
        prompt!("choose", "system", about = about, agent = agent, choice_advice = choice_advice)
    };
    let mut parts = Vec::new();
    if let Some(observation) = choice.scene.observation(WorldText::of(choice.spec)) {
        let mut now = String::new();
        push_line(&mut now, &prompt!("choose", "observation", observation = observation));
        parts.push(Part::new(now));
    }
    parts.extend(choice.scene.picture());
    let mut user = String::new();
    choice.consultable.append(&mut user);
    if let Some(nudge) = choice.nudge {
        push_line(&mut user, nudge);
    }
    push_line(&mut user, &prompt!("choose", "options"));
    let mut options: Vec<Value> = Vec::new();
    for proposal in choice.proposals {
        let Some(task) = choice.planner.task(proposal.task()) else { continue };
        let (line, parameters) = match proposal {
            Proposal::Do(_) => (known_task(choice, task), task.parameters.as_slice()),
            Proposal::Learn(_) => {
                let line = prompt!("choose", "new_task", name = task.name, description = task.description);
                (line, [].as_slice())
            }
        };
        // A description from elsewhere must not look like another option.
        push_line(&mut user, &quote::one_line(&line));
        options.push(option_schema("task", &task.name, parameters));
    }
    choice.consultable.append_last(&mut user);
    let (schema, max_tokens) = choice.consultable.schema(options);
    parts.extend(tools::memories(choice.memories));
    parts.push(Part::new(user));
    let messages = vec![message(Role::System, system), Message { role: Role::User, parts }];
    request(messages, schema, seed, max_tokens)
}

/// The line of a task that has a skill.
fn known_task(choice: &Choice<'_>, task: &TaskSpec) -> String {
    let (signature, description) = (signature(&task.name, &task.parameters), &task.description);
    let entry = choice.library.and_then(|library| library.active(&task.name));
    let usage = entry.map(Entry::total_usage);
    let (successes, runs) = if let Some(usage) = &usage {
        (usage.successes, usage.successes.saturating_add(usage.failures))
    } else {
        let record = choice.curriculum.record(&task.name);
        (record.successes, record.runs)
    };
    if usage.is_some() && runs == 0 {
        let report = entry.and_then(|entry| entry.report.as_ref());
        return prompt!(
            "choose",
            "unused_task",
            signature = signature,
            description = description,
            passes = report.map_or(0, TrialReport::passes),
            worlds = report.map_or(0, |report| report.worlds.len()),
        );
    }
    prompt!(
        "choose",
        "known_task",
        signature = signature,
        description = description,
        successes = successes,
        runs = runs,
    )
}
