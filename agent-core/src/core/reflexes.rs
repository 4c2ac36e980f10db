//! Writing a reflex after a death: candidates, practice episodes with and without each, and admission of a reflex that
//! prolongs episodes by a margin.

use super::prompts::{self, memories};
use super::{Core, Phase, seeds};
use crate::config::ReflexConfig;
use crate::model::{Effect, LessonKind, Milestone, Moment, Purpose, ReflexCandidateTrial, ReflexTrialPlan};
use serde_json::Value;
use sojourn_controller::Reply;
use sojourn_skills::{Compiled, Draft as SkillDraft, Kind, LibraryEvent, Origin, ReflexTrial, grammar};
use sojourn_tools::ParameterKind;

/// Fewest skills in the library before reflexes are written: without skills no episode is long enough to prolong.
const SKILLS_NEEDED: usize = 3;
/// Priority of a written reflex among others.
const PRIORITY: u8 = 100;
/// Most bytes of a name made from a cause of death.
const NAME_LENGTH: usize = 40;
/// Stages in which habits are compared: their name, the practice episodes of each, and the habits that are tried in it at most. All
/// take part in the first.
const SIFTING: [(&str, u32, usize); 3] =
    [("sift", 2, usize::MAX), ("sift again", 4, 10), ("sift last", 8, 3)];
/// Searches without a gain after which a run searches no more.
const VAIN_SEARCHES: u32 = 2;
/// Importance, from 1 to 10, of the memory that a reflex was learned.
const LEARNED: f32 = 7.0;

/// A reflex on its way to the library.
pub(super) struct ReflexDraft {
    name: String,
    pub(super) cause: String,
    moments: Vec<Moment>,
    round: u32,
    /// The note about the round before.
    notes: Vec<String>,
    /// Sources tried so far: the same program is not tried twice.
    tried: Vec<String>,
    /// Sources under trial.
    candidates: Vec<String>,
    phase: TrialPhase,
    /// Whether the teacher writes, because the controller gave up.
    taught: bool,
    /// Whether the candidates are habits that a program made.
    searched: bool,
}

impl ReflexDraft {
    /// Rounds of writing so far.
    pub(super) fn round(&self) -> u32 {
        self.round
    }
}

/// The two stages of a reflex's trials. They use different episodes, because the best of many candidates looks better in the
/// episodes that it was chosen in than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrialPhase {
    /// All habits that a program made, in a few episodes each, then the best of them in more.
    Sifting { stage: usize },
    /// All candidates, in a few episodes.
    Screening,
    /// The best candidate, in many fresh episodes.
    Confirming,
}

impl Core {
    /// Writes a reflex against the death that ended the episode, or starts the next episode.
    pub(super) fn after_death(&mut self, cause: String) -> Vec<Effect> {
        let moments = std::mem::take(&mut self.moments);
        let writes = |config: &ReflexConfig| config.write || config.search;
        let Some(config) = self.config.reflexes.clone().filter(writes) else {
            return self.next_episode(cause);
        };
        let attempts = self.reflex_attempts.get(&cause).copied().unwrap_or(0);
        let written = self.library.reflexes().len();
        if !self.learns()
            || moments.is_empty()
            || attempts >= config.attempts
            || written >= config.most
            || self.library.callables().count() < SKILLS_NEEDED
            || self.over_budget().is_some()
        {
            return self.next_episode(cause);
        }
        // While there is something to learn, practice episodes would show little of what habits are worth.
        if !config.write && self.may_learn_more() {
            return self.next_episode(cause);
        }
        self.reflex_attempts.insert(cause.clone(), attempts + 1);
        let draft = ReflexDraft {
            name: self.reflex_name(&cause),
            cause,
            moments,
            round: 0,
            notes: Vec::new(),
            tried: Vec::new(),
            candidates: Vec::new(),
            phase: TrialPhase::Screening,
            taught: false,
            searched: false,
        };
        if config.search && !self.may_learn_more() {
            return self.search_habit(draft);
        }
        self.write_reflex(draft)
    }

    /// Tries habits that a program makes of what is known; without any, or after them, the controller writes.
    fn search_habit(&mut self, mut draft: ReflexDraft) -> Vec<Effect> {
        let sources = if self.vain_searches < VAIN_SEARCHES {
            self.habits_to_try(&draft.name, &draft.moments)
        } else {
            Vec::new()
        };
        if sources.is_empty() {
            return self.after_search(draft);
        }
        draft.candidates = sources;
        draft.phase = TrialPhase::Sifting { stage: 0 };
        draft.searched = true;
        self.try_reflexes(draft)
    }

    /// Has the controller write the reflex, where the run wants that.
    fn after_search(&mut self, mut draft: ReflexDraft) -> Vec<Effect> {
        let writes = self.config.reflexes.as_ref().is_some_and(|config| config.write);
        if writes && self.over_budget().is_none() {
            draft.searched = false;
            return self.write_reflex(draft);
        }
        self.give_up_reflex(draft)
    }

    /// The name of a reflex against `cause`: `against_fell_asleep`, with a number where that is taken.
    fn reflex_name(&self, cause: &str) -> String {
        let slug: String = cause
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .collect();
        let slug: Vec<&str> = slug.split('_').filter(|word| !word.is_empty()).collect();
        let mut name = format!("against_{}", slug.join("_"));
        name.truncate(NAME_LENGTH);
        let taken = |name: &str| self.library.histories().any(|(known, _)| known == name);
        let mut numbered = name.clone();
        let mut number = 2;
        while taken(&numbered) {
            numbered = format!("{name}_{number}");
            number += 1;
        }
        numbered
    }

    fn write_reflex(&mut self, draft: ReflexDraft) -> Vec<Effect> {
        let Some(config) = self.config.reflexes.clone() else { return self.next_episode(draft.cause) };
        let seed = self.request_seed();
        let samples: Vec<Value> = draft.moments.iter().map(|moment| moment.state.clone()).collect();
        let words: Vec<String> = self
            .spec
            .tools
            .iter()
            .flat_map(|tool| &tool.parameters)
            .filter_map(|parameter| match &parameter.kind {
                ParameterKind::Choice(choices) => Some(choices.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let teacher = self.config.teacher.as_ref().filter(|_| draft.taught);
        let language = teacher.map_or(self.config.actor.language, |teacher| teacher.language);
        let config = ReflexConfig {
            candidates: teacher.map_or(config.candidates, |teacher| teacher.candidates),
            max_tokens: teacher.map_or(config.max_tokens, |teacher| teacher.max_tokens),
            ..config
        };
        let grammar = language.reflex_grammar(&grammar::ReflexSpec {
            samples: &samples,
            actions: &self.spec.actions,
            words: &words,
        });
        let writing = prompts::ReflexWriting {
            spec: &self.spec,
            words: self.planner.words(),
            name: &draft.name,
            cause: &draft.cause,
            moments: &draft.moments,
            notes: &draft.notes,
            grammar: grammar.to_lark(),
        };
        let mut request = prompts::write_reflex(&writing, &config, self.config.actor.temperature, seed);
        request.teacher = draft.taught;
        self.think(Purpose::WriteReflex, request, Phase::WritingReflex(draft))
    }

    /// Tries the new candidates in the screening episodes.
    pub(super) fn screen_reflexes(&mut self, mut draft: ReflexDraft, reply: &Reply) -> Vec<Effect> {
        let head = prompts::reflex_head(&draft.name);
        let mut sources: Vec<String> = Vec::new();
        for text in reply.complete() {
            let source = format!("{head}{text}");
            if !draft.tried.contains(&source) && !sources.contains(&source) {
                sources.push(source);
            }
        }
        if sources.is_empty() {
            return self.next_reflex_round(draft, None);
        }
        draft.tried.extend(sources.iter().cloned());
        draft.candidates = sources;
        draft.phase = TrialPhase::Screening;
        self.try_reflexes(draft)
    }

    fn try_reflexes(&mut self, draft: ReflexDraft) -> Vec<Effect> {
        let Some(config) = &self.config.reflexes else { return self.next_episode(draft.cause) };
        let (purpose, count) = match draft.phase {
            TrialPhase::Sifting { stage } => (SIFTING[stage].0, SIFTING[stage].1),
            TrialPhase::Screening => ("screen", config.screening),
            TrialPhase::Confirming => ("confirm", config.confirming),
        };
        let purpose = format!("{} {purpose} {}", draft.name, draft.round);
        let plan = ReflexTrialPlan {
            name: draft.name.clone(),
            candidates: draft.candidates.clone(),
            seeds: (0..count).map(|i| seeds::world(self.config.seed, &purpose, u64::from(i))).collect(),
            steps: config.steps,
            moments: draft.moments.clone(),
            granted: if draft.searched { self.habitual_skills() } else { Vec::new() },
            live_on: self.config.live_on,
        };
        self.phase = Phase::TryingReflexes(draft);
        vec![Effect::TryReflexes { plan }]
    }

    pub(super) fn reflexes_tried(
        &mut self,
        mut draft: ReflexDraft,
        trials: &[ReflexCandidateTrial],
    ) -> Vec<Effect> {
        if draft.phase == TrialPhase::Confirming {
            let admitted = trials.first().and_then(|trial| self.admit_reflex(&draft, trial));
            return match admitted {
                Some(effects) => effects,
                None if draft.searched => {
                    self.vain_searches += 1;
                    self.after_search(draft)
                }
                None => self.next_reflex_round(draft, trials.first()),
            };
        }
        if let TrialPhase::Sifting { stage } = draft.phase {
            return self.sifted(draft, trials, stage);
        }
        let best = (0..draft.candidates.len().min(trials.len()))
            .filter(|&i| trials[i].acts && trials[i].wasm.is_some())
            .max_by(|&a, &b| gain(&trials[a].trial).total_cmp(&gain(&trials[b].trial)).then(b.cmp(&a)));
        match best {
            Some(best) if gain(&trials[best].trial) > 0.0 => {
                draft.candidates = vec![draft.candidates[best].clone()];
                draft.phase = TrialPhase::Confirming;
                self.try_reflexes(draft)
            }
            best => self.next_reflex_round(draft, best.map(|best| &trials[best])),
        }
    }

    fn next_reflex_round(
        &mut self,
        mut draft: ReflexDraft,
        closest: Option<&ReflexCandidateTrial>,
    ) -> Vec<Effect> {
        let note = closest.map_or_else(prompts::did_nothing, |trial| {
            prompts::did_not_help(self.planner.words(), &trial.trial.figures())
        });
        draft.notes = vec![note];
        draft.round += 1;
        let rounds = self.config.reflexes.as_ref().map_or(0, |config| config.rounds);
        let over = self.over_budget().is_some();
        let rounds =
            self.config.teacher.as_ref().filter(|_| draft.taught).map_or(rounds, |teacher| teacher.rounds);
        if draft.round < rounds && !over {
            return self.write_reflex(draft);
        }
        if self.config.teacher.is_some() && !draft.taught && !over {
            (draft.taught, draft.round) = (true, 0);
            return self.write_reflex(draft);
        }
        self.give_up_reflex(draft)
    }

    /// Tries the better habits further, and the best of all in many episodes.
    fn sifted(
        &mut self,
        mut draft: ReflexDraft,
        trials: &[ReflexCandidateTrial],
        stage: usize,
    ) -> Vec<Effect> {
        let tried = draft.candidates.iter().zip(trials).filter(|(_, trial)| trial.wasm.is_some());
        let mut ranked: Vec<(f64, &String)> =
            tried.map(|(source, trial)| (improvement(&trial.trial), source)).collect();
        ranked.retain(|(gain, _)| *gain > 0.0);
        ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
        let next = SIFTING.get(stage + 1);
        ranked.truncate(next.map_or(1, |(_, _, most)| *most));
        let best: Vec<String> = ranked.into_iter().map(|(_, source)| source.clone()).collect();
        if best.is_empty() {
            self.vain_searches += 1;
            return self.after_search(draft);
        }
        draft.candidates = best;
        draft.phase = match next {
            Some(_) => TrialPhase::Sifting { stage: stage + 1 },
            None => TrialPhase::Confirming,
        };
        self.try_reflexes(draft)
    }

    fn give_up_reflex(&mut self, draft: ReflexDraft) -> Vec<Effect> {
        let mut effects = vec![Effect::ReportMilestone {
            milestone: Milestone::ReflexGivenUp { cause: draft.cause.clone() },
        }];
        effects.extend(self.next_episode(draft.cause));
        effects
    }

    /// Puts a confirmed reflex into the library; `None` where its gain is too small, or the library refuses it.
    fn admit_reflex(&mut self, draft: &ReflexDraft, tried: &ReflexCandidateTrial) -> Option<Vec<Effect>> {
        let rule = self.config.reflexes.as_ref()?.rule;
        let figures = rule.judge(&tried.trial).ok()?;
        let skill_draft = SkillDraft {
            name: draft.name.clone(),
            description: format!("Acts before: {}.", draft.cause),
            parameters: Vec::new(),
            precondition: None,
            postcondition: None,
            origin: if draft.searched {
                Origin::Exploration { run: self.origin.run.to_string(), seq: self.searches }
            } else {
                Origin::Model {
                    model: self.author(draft.taught),
                    run: self.origin.run.to_string(),
                    seq: self.requests,
                }
            },
            kind: Kind::Reflex { priority: PRIORITY, cooldown: 0 },
            environment: self.spec.name.clone(),
            created_ms: u64::try_from(self.now_ms).unwrap_or(0),
            source: draft.candidates.first()?.clone(),
        };
        let compiled = Compiled { engine: self.origin.engine.clone(), wasm: tried.wasm.clone()?.0 };
        // A function of the state calls nothing.
        let tools = self.spec.tools.iter().filter(|_| draft.searched).map(|tool| tool.name.as_str());
        let skill = self.library.prepare(skill_draft, compiled, tools);
        let skill = self.addressed(skill).made_from_outside(self.tainted());
        let id = skill.manifest.id.clone();
        let changes = vec![
            LibraryEvent::Drafted { skill: Box::new(skill) },
            LibraryEvent::TrialStarted { id: id.clone() },
            LibraryEvent::ReflexAdmitted { id, trial: tried.trial.clone(), rule },
        ];
        let mut library = self.library.clone();
        for change in &changes {
            library.apply(change).ok()?;
        }
        self.library = library;
        self.news = true;
        self.totals.taught += u64::from(draft.taught);
        let mut effects: Vec<Effect> =
            changes.into_iter().map(|change| Effect::ChangeLibrary { change }).collect();
        effects.push(Effect::ReportMilestone {
            milestone: Milestone::ReflexAdmitted {
                reflex: draft.name.clone(),
                cause: draft.cause.clone(),
                figures,
            },
        });
        if self.config.memory {
            let text = memories::learned_reflex(&draft.name, &figures);
            effects.push(self.remember(text, LessonKind::Episode, LEARNED));
        }
        effects.extend(self.next_episode(draft.cause.clone()));
        Some(effects)
    }
}

/// The relative gain in steps and achievements together.
fn improvement(trial: &ReflexTrial) -> f64 {
    let figures = trial.figures();
    [figures.steps, figures.achievements]
        .map(|measure| measure.with / measure.without.max(1.0) - measure.without.min(1.0))
        .iter()
        .sum()
}

/// Mean steps that an episode lasted longer with a reflex.
fn gain(trial: &ReflexTrial) -> f64 {
    let steps = trial.figures().steps;
    steps.with - steps.without
}
