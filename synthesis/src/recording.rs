//! Programs from one recording: what a person did once, or a run in one episode, with arguments in the place of what was typed.
//!
//! A recording is a demonstration whose goal is not stated in words. What may differ the next time is known from the start: the
//! arguments. So they take the goal's place in the explanation of each call; elements are found by their words and places.

use crate::plan::{DemonstratedCall, Demonstration};
use crate::synthesis::Synthesizer;
use serde_json::{Map, Value};
use sojourn_sandbox::Sandbox;
use sojourn_tools::{ArgumentSource, EnvironmentSpec, Parameter, RecordedArgument, RecordedStep, TaskSpec};

/// Calls that were made once, and the arguments that they were made with.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The parameters of the programs.
    pub parameters: Vec<Parameter>,
    /// A value for each of them: a text, a number or a truth value.
    pub arguments: Map<String, Value>,
    /// The calls, each with the state before it. The states' goals do not count.
    pub steps: Vec<DemonstratedCall>,
}

impl Recording {
    /// Sources of at most `most` programs named `name` that do what was recorded, the best explanations first. None where the
    /// environment does not say what its elements are.
    pub async fn programs(
        &self,
        environment: &EnvironmentSpec,
        name: &str,
        sandbox: Sandbox,
        most: usize,
    ) -> Vec<String> {
        let task = TaskSpec {
            name: name.to_owned(),
            description: String::new(),
            parameters: self.parameters.clone(),
            goal: sojourn_tools::Condition::Any(Vec::new()),
            achievement: false,
            episodes: None,
        };
        let mut steps = self.steps.clone();
        for step in &mut steps {
            step.state.goal.clear();
        }
        let mut synthesizer =
            Synthesizer::new(environment, &task, sandbox).with_arguments(&self.parameters, &self.arguments);
        synthesizer.extend(vec![Demonstration { seed: 0, steps }]);
        synthesizer.programs(1, most).await
    }

    /// Gives parameters without a default the recorded value as one, where `is_meant` says so of their names.
    pub fn default_to_recorded(&mut self, is_meant: impl Fn(&str) -> bool) {
        for parameter in self.parameters.iter_mut().filter(|one| one.default.is_none() && is_meant(&one.name))
        {
            parameter.default = self.arguments.get(&parameter.name).cloned();
        }
    }

    /// The calls without their states.
    pub fn recorded_steps(&self, environment: &EnvironmentSpec) -> Vec<RecordedStep> {
        self.steps.iter().map(|step| self.recorded_step(environment, step)).collect()
    }

    fn recorded_step(&self, environment: &EnvironmentSpec, step: &DemonstratedCall) -> RecordedStep {
        let tool = environment.tools.iter().find(|tool| tool.name == step.call.name);
        let order = tool.map_or(&[][..], |tool| &tool.parameters);
        let place =
            |name: &str| order.iter().position(|parameter| parameter.name == name).unwrap_or(order.len());
        let mut args: Vec<(&String, &Value)> = step.call.args.iter().collect();
        args.sort_by_key(|(name, _)| place(name));
        let recorded = |(name, value): (&String, &Value)| {
            let parameter = || self.arguments.iter().find(|(_, given)| text(given) == text(value));
            let is_target = is_element(environment, &step.call.name, place(name));
            let argument = match step.state.element(value).filter(|_| is_target) {
                Some(element) => {
                    RecordedArgument::Element { kind: element.kind.clone(), label: element.label.clone() }
                }
                None => match parameter() {
                    Some((name, _)) => RecordedArgument::Parameter(name.clone()),
                    None => RecordedArgument::Fixed(value.clone()),
                },
            };
            (name.clone(), argument)
        };
        RecordedStep { tool: step.call.name.clone(), args: args.into_iter().map(recorded).collect() }
    }
}

/// Whether the environment says that the argument at this position is an element.
fn is_element(environment: &EnvironmentSpec, tool: &str, position: usize) -> bool {
    let actions = environment.exploration.iter().flat_map(|spec| &spec.actions);
    let mut of_tool = actions.filter(|action| action.tool == tool);
    of_tool.any(|action| matches!(action.args.get(position), Some(ArgumentSource::Element(_))))
}

/// A value as the text that is typed for it.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
