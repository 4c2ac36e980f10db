//! From demonstrations to candidate programs.

mod explain;
mod program;
mod segments;
mod selector;
#[cfg(test)]
mod tests;
mod text;
mod values;

use crate::plan::Demonstration;
use crate::recording::text as text_of;
use crate::ui::UiState;
use explain::Explainer;
use segments::IndexedCall;
use serde_json::{Map, Value};
use sojourn_sandbox::Sandbox;
use sojourn_tools::{EnvironmentSpec, Parameter, ParameterKind, TaskSpec, function_head};
use text::Given;
pub(crate) use values::Evaluator;
use values::Values;

/// Makes programs of the latest demonstrations of one task.
pub(crate) struct Synthesizer<'a> {
    environment: &'a EnvironmentSpec,
    task: &'a TaskSpec,
    evaluator: Evaluator,
    demonstrations: Vec<Demonstration>,
    /// The arguments that the demonstrations were made with, where they stand in the goal's place.
    given: Option<Vec<Given>>,
    /// Of the states of all demonstrations, in their order.
    values: Values,
}

impl<'a> Synthesizer<'a> {
    pub(crate) fn new(environment: &'a EnvironmentSpec, task: &'a TaskSpec, sandbox: Sandbox) -> Self {
        Self {
            environment,
            task,
            evaluator: Evaluator::new(sandbox),
            demonstrations: Vec::new(),
            given: None,
            values: Values::default(),
        }
    }

    /// For demonstrations that were made with these arguments, whatever the goal says.
    pub(crate) fn with_arguments(mut self, parameters: &[Parameter], arguments: &Map<String, Value>) -> Self {
        self.evaluator.declare(arguments.iter().map(|(name, value)| (name.as_str(), value)));
        let given = |(name, value): (&String, &Value)| {
            // What a program types is a text, whatever the type of its argument.
            let is_text =
                value.is_string() && parameters.iter().all(|one| one.name != *name || takes_texts(one));
            let expression = if is_text { name.clone() } else { format!("String({name})") };
            Given { expression, text: text_of(value) }
        };
        self.given = Some(arguments.iter().map(given).collect());
        self
    }

    pub(crate) fn extend(&mut self, demonstrations: Vec<Demonstration>) {
        self.demonstrations.extend(demonstrations);
    }

    pub(crate) fn into_demonstrations(self) -> Vec<Demonstration> {
        self.demonstrations
    }

    /// The source of a program that calls one admitted skill.
    pub(crate) fn calling(&self, skill: &str) -> String {
        format!("{}  return {skill}();\n}}", self.head())
    }

    /// Sources of at most `most` programs for the `latest` demonstrations, the best explanations first.
    pub(crate) async fn programs(&mut self, latest: usize, most: usize) -> Vec<String> {
        let steps = self.steps(latest, most).await;
        steps
            .iter()
            .map(|steps| program::write(self.environment, &self.head(), steps, self.given.is_none()))
            .collect()
    }

    async fn steps(&mut self, latest: usize, most: usize) -> Vec<Vec<program::Step>> {
        // Every program begins by reading the goal.
        let (Some(spec), Some(_)) = (&self.environment.exploration, &self.environment.question) else {
            return Vec::new();
        };
        let states: Vec<&UiState> =
            self.demonstrations.iter().flat_map(|one| &one.steps).map(|step| &step.state).collect();
        let from = self.demonstrations.len().saturating_sub(latest);
        loop {
            let found = {
                let explainer = Explainer {
                    environment: self.environment,
                    spec,
                    values: &self.values,
                    given: self.given.as_deref().unwrap_or_default(),
                };
                explainer.programs(&indexed_calls(&self.demonstrations, from), most)
            };
            if !self.values.is_missing_any() {
                return found;
            }
            self.evaluator.complete(&mut self.values, spec, &states).await;
        }
    }

    /// The first line of every program.
    fn head(&self) -> String {
        function_head(&self.task.name, &self.task.parameters)
    }
}

/// Whether a parameter takes texts and nothing else.
fn takes_texts(parameter: &Parameter) -> bool {
    match &parameter.kind {
        ParameterKind::Text | ParameterKind::Choice(_) => true,
        ParameterKind::Schema(schema) => schema.get("type").and_then(Value::as_str) == Some("string"),
        ParameterKind::Integer { .. } | ParameterKind::Boolean => false,
    }
}

/// The calls of the demonstrations from the one at `from` on, each with the index of its state among all.
fn indexed_calls(demonstrations: &[Demonstration], from: usize) -> Vec<Vec<IndexedCall<'_>>> {
    let mut index = 0;
    let mut all = Vec::new();
    for demonstration in demonstrations {
        let steps = demonstration.steps.iter().zip(index..);
        all.push(
            steps.map(|(step, index)| IndexedCall { call: &step.call, state: &step.state, index }).collect(),
        );
        index += demonstration.steps.len();
    }
    all.split_off(from)
}
