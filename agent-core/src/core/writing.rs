//! Writing a skill: candidates, trials, admission, and what a retry is told.

use super::consolidating::LESSON;
use super::notes::{causal_note, demonstration};
use super::prompts::{self, Writing};
use super::{AfterReflection, Core, Map, Phase, Purpose, Recalled, Reply, Value, seeds};
use crate::model::{
    CandidateTrial, Demonstration, Effect, ExplorationPlan, LessonKind, Milestone, NewLesson, TrialPlan,
};
use sojourn_skills::{
    Callable, Candidate, Compiled, Draft as SkillDraft, Kind, LibraryEvent, Origin, best_of, grammar,
    static_check,
};
use sojourn_tools::{Condition, Parameter, ParameterKind, TaskSpec, ToolSpec};
use std::collections::BTreeSet;

/// Notes shown to a retry.
const NOTES: usize = 2;
/// Other beginnings of a task that are looked at where what is seen is part of the question.
const SCENES: u64 = 2;
/// Episodes told of in which chance reached the goal.
const SHOWN: usize = 2;
/// The tool that shows the state.
const VIEW: &str = "observe";
/// Lessons looked up before a skill is written.
const LESSONS: usize = 2;
/// Skills of other tasks that are tried on a task.
const OTHERS: usize = 16;
/// Seeds of practice worlds offered for each that is needed: preludes fail.
const SPARE_WORLDS: usize = 4;

/// A skill being written.
pub(super) struct Draft {
    pub(super) task: String,
    round: u32,
    notes: Vec<String>,
    /// How other episodes begin, in words.
    scenes: Vec<String>,
    /// What reached the goal by chance in other episodes, in words.
    worked: Vec<String>,
    /// Sources tried so far: the same program is not tried twice.
    tried: Vec<String>,
    /// Sources under trial.
    candidates: Vec<String>,
    /// Names of the tools, other than the environment's, that it may call.
    tools: Vec<String>,
    /// Skills of other tasks that it may call, because they were tried on this one.
    others: Vec<String>,
    /// Whether the candidates do again what was seen to work, and nobody wrote them.
    imitating: bool,
}

impl Core {
    pub(super) fn start_writing(&mut self, task: &str) -> Vec<Effect> {
        let draft = Draft {
            task: task.to_owned(),
            round: 0,
            notes: self.complaint(task).into_iter().collect(),
            scenes: Vec::new(),
            worked: Vec::new(),
            tried: Vec::new(),
            candidates: Vec::new(),
            tools: Vec::new(),
            others: Vec::new(),
            imitating: false,
        };
        match (&self.config.explore, &self.spec.exploration) {
            (Some(limits), Some(_)) if limits.episodes > 0 => {
                self.explorations += 1;
                let about = format!("{task}: explore {}", self.explorations);
                let seeds = (0..u64::from(limits.episodes)).map(|i| self.practice_seed(task, &about, i));
                let known = self.others(task);
                let plan = ExplorationPlan {
                    task: task.to_owned(),
                    seeds: seeds.collect(),
                    actions: limits.actions,
                    steps: self.config.actor.trial_steps,
                    successes: limits.successes,
                    known_skills: known.clone(),
                };
                self.phase = Phase::Exploring(Draft { others: known, ..draft });
                vec![Effect::Explore { plan }]
            }
            _ => self.look(draft),
        }
    }

    /// The exploration is over. The programs that it found go through the same trials as any other candidate; without programs
    /// the controller is asked for one.
    pub(super) fn explored(
        &mut self,
        mut draft: Draft,
        demonstrations: &[Demonstration],
        sources: Vec<String>,
    ) -> Vec<Effect> {
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        draft.worked = demonstrations.iter().take(SHOWN).map(demonstration).collect();
        if sources.is_empty() {
            return self.look(draft);
        }
        draft.tried.extend(sources.iter().cloned());
        draft.candidates.clone_from(&sources);
        draft.imitating = true;
        let plan = self.trial_plan(&task, sources, draft.others.clone());
        self.phase = Phase::Trying(draft);
        vec![Effect::TryCandidates { plan }]
    }

    /// Skills of other tasks, those first whose names have most words in common with this one's. Only such as rest on no
    /// other skill: so none calls itself in the end.
    fn others(&self, task: &str) -> Vec<String> {
        let words = |name: &str| name.split('_').map(str::to_owned).collect::<BTreeSet<_>>();
        let of_task = words(task);
        let mut others: Vec<&str> = self
            .library
            .all_active()
            .filter(|entry| {
                !entry.is_reflex() && entry.name() != task && self.library.resolve(task) != entry.name()
            })
            .map(|entry| &entry.skill.manifest)
            .filter(|skill| skill.environment == self.spec.name)
            .filter(|skill| {
                skill.parameters.is_empty() && self.library.prerequisites(&skill.calls).is_empty()
            })
            .map(|skill| skill.name.as_str())
            .collect();
        others.sort_by_key(|name| std::cmp::Reverse(words(name).intersection(&of_task).count()));
        others.into_iter().take(OTHERS).map(str::to_owned).collect()
    }

    /// Looks at how other episodes begin, where what is seen is part of the question.
    fn look(&mut self, draft: Draft) -> Vec<Effect> {
        if self.config.actor.rounds == 0 {
            return self.give_up(&draft);
        }
        if self.spec.question.is_none() {
            return self.prepare(draft);
        }
        let task = draft.task.as_str();
        // Not those in which candidates are tried: what is seen there stays unknown to them.
        let about = format!("{task}: what is seen");
        let seeds = (0..SCENES).map(|i| self.practice_seed(task, &about, i)).collect();
        let survey = Effect::ObserveStarts { task: task.to_owned(), seeds };
        self.phase = Phase::Surveying(draft);
        vec![survey]
    }

    /// It was seen how other episodes of the task begin.
    pub(super) fn surveyed(&mut self, mut draft: Draft, seen: Vec<String>) -> Vec<Effect> {
        draft.scenes = seen;
        self.prepare(draft)
    }

    /// The seed of a practice world in which the task can be done.
    fn practice_seed(&self, task: &str, purpose: &str, index: u64) -> u64 {
        let seed = seeds::world(self.config.seed, purpose, index);
        let episodes = self.planner.task(task).and_then(|task| task.episodes);
        episodes.map_or(seed, |episodes| episodes.at_or_before(seed))
    }

    /// Looks up lessons and tools, where there may be any, and writes.
    fn prepare(&mut self, draft: Draft) -> Vec<Effect> {
        let tools = self.picks_readers();
        if !self.config.memory && tools.is_none() {
            return self.write(draft, &[], &[]);
        }
        let query = format!("{}: lesson for writing the skill", draft.task);
        let limit = if self.config.memory { LESSONS } else { 0 };
        self.phase = Phase::Preparing(draft);
        vec![Effect::Recall { query, limit, lessons: false, tools }]
    }

    /// Asks for candidates. Of what was recalled only lessons about this very task are shown: others mislead.
    pub(super) fn write(
        &mut self,
        mut draft: Draft,
        memories: &[Recalled],
        picked: &[String],
    ) -> Vec<Effect> {
        if draft.round == 0 {
            draft.tools = self.readers(picked);
        }
        let about = format!("{}: ", draft.task);
        let lessons = memories.iter().filter(|m| m.kind == LESSON).filter(|m| m.text.starts_with(&about));
        self.rely_on(lessons.clone());
        draft.notes.extend(lessons.map(|m| m.text[about.len()..].to_owned()));
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        let seed = self.request_seed();
        let callables = self.granted(&task.name);
        let skills: Vec<_> = callables.iter().map(|c| (c.name.clone(), c.parameters.clone())).collect();
        let tools = self.offered_to_skills(&draft.tools);
        let notes = &draft.notes[draft.notes.len().saturating_sub(NOTES)..];
        let writing = Writing {
            spec: &self.spec,
            planner: &self.planner,
            task: &task,
            seen: self.spec.question.as_ref().map(|_| self.episode.observation.text.as_str()),
            scenes: &draft.scenes,
            worked: &draft.worked,
            skills: &skills,
            tools: &tools,
            notes,
            grammar: self.body_grammar(&task, callables, &tools),
        };
        let request = prompts::write(&writing, &self.config.actor, seed);
        self.think(Purpose::Write, request, Phase::Writing(draft))
    }

    /// The skills that a skill for `task` may call: those it rests on.
    fn granted(&self, task: &str) -> Vec<Callable> {
        self.planner
            .closure(task)
            .iter()
            .filter_map(|name| self.library.active(name))
            .map(|entry| Callable::from(&entry.skill.manifest))
            .collect()
    }

    fn body_grammar(&self, task: &TaskSpec, skills: Vec<Callable>, tools: &[ToolSpec]) -> String {
        let mut functions: Vec<Callable> = self.spec.tools.iter().chain(tools).map(Callable::from).collect();
        functions.extend(skills);
        let view =
            self.spec.tools.iter().any(|tool| tool.name == VIEW).then(|| grammar::View {
                name: VIEW.to_owned(),
                sample: self.episode.observation.state.clone(),
            });
        let parameters = task.parameters.iter().map(|p| p.name.clone()).collect();
        let spec = grammar::GrammarSpec { name: task.name.clone(), parameters, functions, view };
        self.config.actor.language.grammar(&spec).to_lark()
    }

    pub(super) fn try_candidates(&mut self, mut draft: Draft, reply: &Reply) -> Vec<Effect> {
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        let skills = self.granted(&task.name);
        let tools = self.offered_to_skills(&draft.tools);
        let mut callables: Vec<Callable> = self.spec.tools.iter().chain(&tools).map(Callable::from).collect();
        callables.extend(skills.iter().cloned());
        let parameters: Vec<&str> = task.parameters.iter().map(|p| p.name.as_str()).collect();
        let mut sources = Vec::new();
        let mut problem = None;
        for completion in reply.candidates.iter().filter(|c| c.finish.is_whole()) {
            let source = format!("{}{}", prompts::head(&task), completion.text.trim_end());
            if draft.tried.contains(&source) || sources.contains(&source) {
                continue;
            }
            match static_check(&source, &task.name, &parameters, &callables) {
                Ok(()) => sources.push(source),
                Err(problems) => problem = problems.first().map(ToString::to_string),
            }
        }
        if sources.is_empty() {
            let note = match problem {
                Some(problem) => format!("The last program could not run: {problem}."),
                None => {
                    "The last answer was too long or the same as before; write a short and different one."
                        .to_owned()
                }
            };
            return self.next_round(draft, note);
        }
        draft.tried.extend(sources.iter().cloned());
        draft.candidates.clone_from(&sources);
        let granted = skills.into_iter().map(|c| c.name).chain(draft.tools.iter().cloned()).collect();
        let plan = self.trial_plan(&task, sources, granted);
        self.phase = Phase::Trying(draft);
        vec![Effect::TryCandidates { plan }]
    }

    fn trial_plan(&self, task: &TaskSpec, candidates: Vec<String>, granted: Vec<String>) -> TrialPlan {
        let worlds = self.config.actor.admission.worlds;
        let seeds = (0..worlds * SPARE_WORLDS)
            .map(|i| self.practice_seed(&task.name, &task.name, i as u64))
            .collect();
        let nothing = Value::Null;
        let prelude = self.planner.missing_tools(&task.name, &nothing);
        TrialPlan {
            task: task.name.clone(),
            parameters: task.parameters.clone(),
            candidates,
            granted,
            seeds,
            worlds,
            needed: self.config.actor.admission.needed,
            prelude: prelude.into_iter().map(|name| self.call(name, Map::new())).collect(),
            calls: trial_calls(&task.parameters, &task.goal),
            max_steps: self.config.actor.trial_steps,
            scrutiny: self.scrutiny(task),
        }
    }

    pub(super) fn tried(&mut self, draft: Draft, trials: &[CandidateTrial]) -> Vec<Effect> {
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        let candidates: Vec<Candidate<'_>> = draft
            .candidates
            .iter()
            .zip(trials)
            .map(|(source, trial)| Candidate { source, report: &trial.report })
            .collect();
        for best in Self::in_order(&candidates) {
            if self.config.actor.admission.judge(&trials[best].report).admitted
                && let Some(effects) = self.admit(&draft, &task, best, &trials[best])
            {
                return effects;
            }
        }
        if draft.imitating {
            // What nobody wrote teaches nobody.
            return self.look(Draft { imitating: false, others: Vec::new(), ..draft });
        }
        // The note is about the candidate that came closest.
        let closest = best_of(&candidates).unwrap_or(0);
        let note = match trials.get(closest).map(|trial| (Self::regressions(trial), trial)) {
            Some(((failed, cases), _)) if failed > 0 => Self::regression_note(&draft, failed, cases),
            Some((_, trial)) => causal_note(&self.planner, &task, trial, self.spec.question.as_ref()),
            None => String::new(),
        };
        self.next_round(draft, note)
    }

    /// The candidates that may be admitted, the best first.
    fn in_order(candidates: &[Candidate<'_>]) -> Vec<usize> {
        let mut left: Vec<usize> = (0..candidates.len()).collect();
        let mut order = Vec::new();
        loop {
            let rest: Vec<Candidate<'_>> = left.iter().map(|&position| candidates[position]).collect();
            let Some(best) = best_of(&rest) else { return order };
            order.push(left.remove(best));
        }
    }

    /// Puts the candidate into the library; `None` where the library refuses it.
    fn admit(
        &mut self,
        draft: &Draft,
        task: &TaskSpec,
        best: usize,
        trial: &CandidateTrial,
    ) -> Option<Vec<Effect>> {
        let wasm = trial.wasm.clone()?;
        let skill_draft = SkillDraft {
            name: task.name.clone(),
            description: task.description.clone(),
            parameters: task.parameters.clone(),
            precondition: None,
            postcondition: Some(task.goal.clone()),
            origin: if draft.imitating {
                Origin::Exploration { run: self.origin.run.clone(), seq: self.explorations }
            } else {
                Origin::Model {
                    model: self.origin.model.clone(),
                    run: self.origin.run.clone(),
                    seq: self.requests,
                }
            },
            kind: Kind::Skill,
            environment: self.spec.name.clone(),
            created_ms: u64::try_from(self.now_ms).unwrap_or(0),
            source: draft.candidates[best].clone(),
        };
        let compiled = Compiled { engine: self.origin.engine.clone(), wasm: wasm.0 };
        let tools = self.spec.tools.iter().map(|tool| tool.name.as_str());
        let tools = tools.chain(draft.tools.iter().map(String::as_str));
        let mut skill = self.library.prepare(skill_draft, compiled, tools);
        if let Some(repaired) = self.repaired(&task.name).map(|entry| entry.id().clone())
            && repaired != skill.manifest.id
        {
            skill = skill.repairing(&repaired);
        }
        let id = skill.manifest.id.clone();
        let mut report = trial.report.clone();
        report.prerequisites = self.library.prerequisites(&skill.manifest.calls);
        let rule = self.config.actor.admission;
        let mut changes = Vec::new();
        if self.library.entry(&id).is_none() {
            changes.push(LibraryEvent::Drafted { skill: Box::new(skill) });
            changes.push(LibraryEvent::TrialStarted { id: id.clone() });
        }
        changes.push(LibraryEvent::Admitted { id, report, rule });
        let mut library = self.library.clone();
        for change in &changes {
            library.apply(change).ok()?;
        }
        self.library = library;
        self.curriculum.learned(&task.name);
        self.demoted.remove(&task.name);

        let mut effects: Vec<Effect> =
            changes.into_iter().map(|change| Effect::ChangeLibrary { change }).collect();
        effects.push(Effect::ReportMilestone {
            milestone: Milestone::SkillAdmitted {
                skill: task.name.clone(),
                verified: (trial.report.passes(), trial.report.worlds.len()),
                steps: trial.report.mean_steps().unwrap_or(0.0),
                rounds: if draft.imitating { 0 } else { draft.round + 1 },
            },
        });
        if self.config.memory {
            let text = format!("Learned {}: {}.", task.name, task.description);
            effects.push(self.remember(NewLesson { text, kind: LessonKind::Episode, importance: 5.0 }));
        }
        effects.extend(self.merge(&task.name, trial));
        effects.extend(self.credit(true));
        if task.achievement && !self.episode.done.contains(&task.name) {
            self.plan(&task.name.clone(), Map::new());
        }
        effects.extend(self.decide());
        Some(effects)
    }

    pub(super) fn next_round(&mut self, mut draft: Draft, note: String) -> Vec<Effect> {
        if !note.is_empty() && !draft.notes.contains(&note) {
            draft.notes.push(note);
        }
        draft.round += 1;
        if draft.round < self.config.actor.rounds && self.over_budget().is_none() {
            return self.write(draft, &[], &[]);
        }
        self.give_up(&draft)
    }

    /// Leaves a task for later, with a lesson where something was tried that somebody wrote.
    fn give_up(&mut self, draft: &Draft) -> Vec<Effect> {
        self.curriculum.gave_up_writing(&draft.task);
        let mut effects =
            vec![Effect::ReportMilestone { milestone: Milestone::SkillGivenUp { task: draft.task.clone() } }];
        effects.extend(self.credit(false));
        if !self.config.memory || draft.round == 0 || self.over_budget().is_some() {
            effects.extend(self.decide());
            return effects;
        }
        let seed = self.request_seed();
        let what = format!(
            "You tried {} times to write a program for the task \"{}\" and failed. What was found: {}",
            draft.round,
            draft.task,
            draft.notes.join(" ")
        );
        let request = prompts::reflect(&self.spec, &what, seed);
        let then = AfterReflection::Decide { task: draft.task.clone() };
        effects.extend(self.think(Purpose::Reflect, request, Phase::Reflecting { then }));
        effects
    }
}

/// What a candidate is called with, world by world. One that takes a number is called with several, twice in a
/// row in some worlds: a program that counts from zero instead of from what is there fails the second call.
pub(crate) fn trial_calls(parameters: &[Parameter], goal: &Condition) -> Vec<Vec<Map<String, Value>>> {
    let number = parameters.iter().find_map(|p| match p.kind {
        ParameterKind::Integer { min, max } => Some((p.name.clone(), min, max)),
        _ => None,
    });
    let defaults = sojourn_tools::with_defaults(parameters, Map::new());
    let Some((name, min, max)) = number else { return vec![vec![defaults]] };
    let with = |n: i64| {
        let mut args = defaults.clone();
        args.insert(name.clone(), n.clamp(min, max).into());
        args
    };
    match goal {
        Condition::Increased { .. } => vec![vec![with(1), with(2)], vec![with(2)], vec![with(1), with(1)]],
        _ => vec![vec![with(1)], vec![with(2)]],
    }
}
