//! One round of writing: the request, the static check of the answers, and their trials.

use super::{Author, Draft};
use crate::config::{ActorConfig, Sense, TeacherConfig};
use crate::core::consolidating::LESSON;
use crate::core::discovering::WAITS;
use crate::core::prompts::outside::lesson;
use crate::core::prompts::{self, Writing, notes};
use crate::core::{Core, Phase};
use crate::model::{Effect, Purpose, Recalled, TrialPlan};
use serde_json::{Map, Value};
use sojourn_controller::Reply;
use sojourn_skills::grammar::Language;
use sojourn_skills::{Callable, calls_any, grammar, static_check};
use sojourn_tools::{Condition, Parameter, ParameterKind, TaskSpec, ToolSpec, function_head};

/// Most notes shown in a round, the latest.
const NOTES: usize = 2;
/// The highest temperature of a candidate that is written alone: a single program is right more often close to the likeliest one (Chen et
/// al. 2021, "Evaluating Large Language Models Trained on Code", figure 5). More candidates should differ, and so should one after a failure.
const ALONE: f32 = 0.2;
/// The tool whose result is a live view of the state.
const STATE_TOOL: &str = "observe";
/// Seeds of practice worlds offered for each that is needed: some preludes fail.
const SPARE_WORLDS: usize = 4;

impl Core {
    /// Asks for candidates. Of the recalled memories only lessons about this very task are shown: others mislead.
    pub(in crate::core) fn write(
        &mut self,
        mut draft: Draft,
        memories: &[Recalled],
        picked: &[String],
    ) -> Vec<Effect> {
        if draft.round == 0 && draft.tools.is_empty() {
            draft.tools = self.reading_tools(picked);
        }
        let about = format!("{}: ", draft.task);
        let lessons = memories.iter().filter(|m| m.kind == LESSON).filter(|m| m.text.starts_with(&about));
        self.show_lessons(lessons.clone());
        draft.notes.extend(lessons.map(|m| lesson(&m.text[about.len()..], m.untrusted)));
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        let seed = self.request_seed();
        let callables = self.callable_skills(&task.name);
        let skills: Vec<_> = callables.iter().map(|c| (c.name.clone(), c.parameters.clone())).collect();
        let tools = self.show_tools(&draft.tools);
        let mut actor = self.actor_of(draft.taught);
        let notes = &draft.notes[draft.notes.len().saturating_sub(NOTES)..];
        let (observation, shows_text) = (&self.episode.observation.text, self.shows(Sense::Text));
        let writing = Writing {
            spec: &self.spec,
            planner: &self.planner,
            task: &task,
            first_observation: self
                .spec
                .question
                .as_ref()
                .filter(|_| shows_text)
                .map(|_| observation.as_str()),
            other_observations: if shows_text { &draft.other_observations } else { &[] },
            demonstrations: &draft.demonstrations,
            skills: &skills,
            tools: &tools,
            notes,
            grammar: self.body_grammar(&task, callables, &tools, actor.language),
        };
        let candidates = match draft.round {
            0 if self.config.rules >= 4 && !draft.taught => 1,
            _ => actor.candidates,
        };
        if candidates == 1 && draft.notes.is_empty() && self.config.rules >= 8 {
            actor.temperature = actor.temperature.min(ALONE);
        }
        let mut request = prompts::write(&writing, &actor, candidates, seed);
        request.teacher = draft.taught;
        self.think(Purpose::Write, request, Phase::Writing(draft))
    }

    /// The settings by which the controller or the teacher writes.
    fn actor_of(&self, taught: bool) -> ActorConfig {
        let own = self.config.actor.clone();
        match &self.config.teacher {
            Some(TeacherConfig { candidates, max_tokens, language, .. }) if taught => {
                ActorConfig { candidates: *candidates, max_tokens: *max_tokens, language: *language, ..own }
            }
            _ => own,
        }
    }

    /// The skills that a skill for `task` may call: those of its prerequisites.
    pub(super) fn callable_skills(&self, task: &str) -> Vec<Callable> {
        self.planner
            .closure(task)
            .iter()
            .filter_map(|name| self.library.active(name))
            .map(|entry| Callable::from(&entry.skill.manifest))
            .collect()
    }

    fn body_grammar(
        &self,
        task: &TaskSpec,
        skills: Vec<Callable>,
        tools: &[ToolSpec],
        language: Language,
    ) -> String {
        let mut functions: Vec<Callable> = self.spec.tools.iter().chain(tools).map(Callable::from).collect();
        functions.extend(skills);
        let state = &self.episode.observation.state;
        let shown = self.shows(Sense::State);
        let view = self.spec.tools.iter().any(|tool| tool.name == STATE_TOOL).then(|| grammar::View {
            name: STATE_TOOL.to_owned(),
            sample: if shown { state.clone() } else { Value::Null },
            nulls: self.config.rules >= 6 && shown && has_null(state),
        });
        let parameters = task.parameters.iter().map(|p| p.name.clone()).collect();
        let spec = grammar::GrammarSpec { name: task.name.clone(), parameters, functions, view };
        language.grammar(&spec).to_lark()
    }

    /// Tries the answers that are complete, new and pass the static check.
    pub(in crate::core) fn try_candidates(&mut self, mut draft: Draft, reply: &Reply) -> Vec<Effect> {
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        let skills = self.callable_skills(&task.name);
        let tools = self.tool_specs(&draft.tools);
        let mut callables: Vec<Callable> = self.spec.tools.iter().chain(&tools).map(Callable::from).collect();
        callables.extend(skills.iter().cloned());
        let parameters: Vec<&str> = task.parameters.iter().map(|p| p.name.as_str()).collect();
        let mut sources = Vec::new();
        let mut problem = None;
        for completion in reply.candidates.iter().filter(|c| c.finish.is_whole()) {
            let source =
                format!("{}{}", function_head(&task.name, &task.parameters), completion.text.trim_end());
            if draft.tried.contains(&source) || sources.contains(&source) {
                continue;
            }
            // It could reach no goal, and a trial of it would teach nothing.
            if self.spec.play && !self.acts(&source, &skills) {
                problem = Some("it calls nothing that acts".to_owned());
                continue;
            }
            match static_check(&source, &task.name, &parameters, &callables) {
                Ok(()) => sources.push(source),
                Err(problems) => problem = problems.first().map(ToString::to_string),
            }
        }
        if sources.is_empty() {
            let note = match problem {
                Some(problem) => notes::cannot_run(&problem),
                None if reply.refusal().is_some() => notes::no_function(&task.name),
                None => notes::too_long_or_repeated(),
            };
            return self.next_round(draft, Some(note));
        }
        draft.tried.extend(sources.iter().cloned());
        draft.candidates.clone_from(&sources);
        draft.author = Author::Controller;
        let granted = skills.into_iter().map(|c| c.name).chain(draft.tools.iter().cloned()).collect();
        let plan = self.trial_plan(&task, sources, granted);
        self.phase = Phase::Trying(draft);
        vec![Effect::TryCandidates { plan }]
    }

    /// Whether a source calls a skill, or a tool of the world that changes something.
    fn acts(&self, source: &str, skills: &[Callable]) -> bool {
        let tools = self.spec.tools.iter().filter(|tool| tool.effects.write).map(|tool| tool.name.as_str());
        let acting: Vec<&str> = tools.chain(skills.iter().map(|skill| skill.name.as_str())).collect();
        calls_any(source, &acting)
    }

    /// The trials of candidates that may call the skills and tools `granted`.
    pub(super) fn trial_plan(
        &self,
        task: &TaskSpec,
        candidates: Vec<String>,
        granted: Vec<String>,
    ) -> TrialPlan {
        let worlds = self.config.actor.admission.worlds;
        let given_up = self.curriculum.record(&task.name).failed_writes;
        let purpose = match given_up {
            1.. if self.config.rules >= 9 => format!("{} {given_up}", task.name),
            _ => task.name.clone(),
        };
        let seeds =
            (0..worlds * SPARE_WORLDS).map(|i| self.practice_seed(&task.name, &purpose, i as u64)).collect();
        let nothing_held = Value::Null;
        let mut prelude = self.planner.missing_tools(&task.name, &nothing_held);
        // A world may document tasks that need each other: none of them has a skill before the others.
        prelude.retain(|name| self.library.active(name).is_some());
        let prelude = prelude.into_iter().map(|name| self.call(name, Map::new()));
        let waiting = self.planner.recipe(&task.name).and_then(|recipe| recipe.waiting.as_ref());
        let waits = waiting.map_or(0, |waiting| waiting.times.min(WAITS) as usize);
        let waits = waiting.into_iter().flat_map(|waiting| std::iter::repeat_n(waiting.call.clone(), waits));
        TrialPlan {
            task: task.name.clone(),
            parameters: task.parameters.clone(),
            candidates,
            granted,
            seeds,
            worlds,
            needed: self.config.actor.admission.needed,
            prelude: prelude.chain(waits).collect(),
            calls: trial_calls(&task.parameters, &task.goal),
            max_steps: self.spec.call_steps(self.config.actor.trial_steps),
            scrutiny: self.scrutiny(task),
        }
    }
}

/// Whether there is a null in a state.
fn has_null(state: &Value) -> bool {
    match state {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

/// The arguments of a candidate's calls, world by world. A candidate that takes a number is called with several, twice in a
/// row in some worlds: a program that counts from zero instead of from the present count fails the second call.
pub(crate) fn trial_calls(parameters: &[Parameter], goal: &Condition) -> Vec<Vec<Map<String, Value>>> {
    let number = parameters.iter().find_map(|p| match p.kind {
        ParameterKind::Integer { min, max } => Some((p.name.clone(), min, max)),
        _ => None,
    });
    let defaults = sojourn_tools::with_defaults(parameters, Map::new());
    let Some((name, min, max)) = number else { return vec![vec![defaults]] };
    // A world may describe a range without numbers.
    let with = |n: i64| {
        let mut args = defaults.clone();
        args.insert(name.clone(), n.clamp(min, max.max(min)).into());
        args
    };
    match goal {
        Condition::Increased { .. } => vec![vec![with(1), with(2)], vec![with(2)], vec![with(1), with(1)]],
        _ => vec![vec![with(1)], vec![with(2)]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_range_without_numbers_gives_calls_instead_of_a_panic() {
        let kind = ParameterKind::Integer { min: i64::MAX, max: i64::MIN };
        let parameters = [Parameter { name: "n".to_owned(), kind, default: None }];
        let goal = Condition::Equals { path: sojourn_primitives::JsonPointer::of(["n"]), value: json!(1) };
        let calls = trial_calls(&parameters, &goal);
        assert_eq!(calls[0][0]["n"], json!(i64::MAX));
    }
}
