//! Writing a reflex after a death that an earlier action would have prevented: candidates, practice episodes with and
//! without each, and admission of one that prolongs life by a margin.

use super::{Core, Phase, Purpose, Reply, Value, prompts, seeds};
use crate::model::{Effect, LessonKind, Milestone, Moment, NewLesson, ReflexCandidateTrial, ReflexTrialPlan};
use sojourn_skills::{Compiled, Draft as SkillDraft, Kind, LibraryEvent, Origin, ReflexTrial, grammar};
use sojourn_tools::ParameterKind;

/// Without at least so many skills there is no life that a reflex could prolong.
const SKILLS_NEEDED: usize = 3;
/// Where a written reflex stands among others.
const PRIORITY: u8 = 100;
/// Longest name made of a cause of death.
const NAME_LENGTH: usize = 40;

/// A reflex being written.
pub(super) struct ReflexDraft {
    name: String,
    pub(super) cause: String,
    moments: Vec<Moment>,
    round: u32,
    /// What the rounds before found.
    notes: Vec<String>,
    /// Sources tried so far, and under trial.
    tried: Vec<String>,
    candidates: Vec<String>,
    /// Whether the only candidate left is being confirmed in fresh episodes.
    confirming: bool,
}

impl Core {
    /// What follows an episode that ended with `cause`: a reflex is written against it, or the next episode begins.
    pub(super) fn after_death(&mut self, cause: String) -> Vec<Effect> {
        let moments = std::mem::take(&mut self.moments);
        let Some(config) = self.config.reflexes.clone().filter(|config| config.write) else {
            return self.next_episode(cause);
        };
        let attempts = self.reflex_attempts.get(&cause).copied().unwrap_or(0);
        let written = self.library.reflexes().len();
        if !self.config.learning
            || moments.is_empty()
            || attempts >= config.attempts
            || written >= config.most
            || self.library.callables().count() < SKILLS_NEEDED
            || self.over_budget().is_some()
        {
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
            confirming: false,
        };
        self.write_reflex(draft)
    }

    /// `against_killed_by_a_zombie`, with a number where that is taken.
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
        let grammar = grammar::reflex_subset(&grammar::ReflexSpec {
            samples: &samples,
            actions: &self.spec.actions,
            words: &words,
        });
        let writing = prompts::ReflexWriting {
            spec: &self.spec,
            name: &draft.name,
            cause: &draft.cause,
            moments: &draft.moments,
            notes: &draft.notes,
            grammar: grammar.to_lark(),
        };
        let request = prompts::write_reflex(&writing, &config, self.config.actor.temperature, seed);
        self.think(Purpose::WriteReflex, request, Phase::WritingReflex(draft))
    }

    /// Tries what the controller wrote in the screening episodes.
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
        draft.confirming = false;
        self.try_reflexes(draft)
    }

    fn try_reflexes(&mut self, draft: ReflexDraft) -> Vec<Effect> {
        let Some(config) = &self.config.reflexes else { return self.next_episode(draft.cause) };
        // What is confirmed was chosen in other episodes: the best of many looks better than it is.
        let (purpose, count) =
            if draft.confirming { ("confirm", config.confirming) } else { ("screen", config.screening) };
        let purpose = format!("{} {purpose} {}", draft.name, draft.round);
        let plan = ReflexTrialPlan {
            name: draft.name.clone(),
            candidates: draft.candidates.clone(),
            seeds: (0..count).map(|i| seeds::world(self.config.seed, &purpose, u64::from(i))).collect(),
            steps: config.steps,
            moments: draft.moments.clone(),
        };
        self.phase = Phase::TryingReflexes(draft);
        vec![Effect::TryReflexes { plan }]
    }

    pub(super) fn reflexes_tried(
        &mut self,
        mut draft: ReflexDraft,
        trials: &[ReflexCandidateTrial],
    ) -> Vec<Effect> {
        if draft.confirming {
            let admitted = trials.first().and_then(|trial| self.admit_reflex(&draft, trial));
            return match admitted {
                Some(effects) => effects,
                None => self.next_reflex_round(draft, trials.first()),
            };
        }
        let best = (0..draft.candidates.len().min(trials.len()))
            .filter(|&i| trials[i].acts && trials[i].wasm.is_some())
            .max_by(|&a, &b| gain(&trials[a].trial).total_cmp(&gain(&trials[b].trial)).then(b.cmp(&a)));
        match best {
            Some(best) if gain(&trials[best].trial) > 0.0 => {
                draft.candidates = vec![draft.candidates[best].clone()];
                draft.confirming = true;
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
        draft.notes = vec![match closest {
            Some(trial) => {
                let figures = trial.trial.figures();
                format!(
                    "The last reflex did not help: the player lived {:.0} steps with it and {:.0} without it. Write a different one.",
                    figures.steps.with, figures.steps.without
                )
            }
            None => "The last reflexes did nothing in these moments. Write one that does.".to_owned(),
        }];
        draft.round += 1;
        let rounds = self.config.reflexes.as_ref().map_or(0, |config| config.rounds);
        if draft.round < rounds && self.over_budget().is_none() {
            return self.write_reflex(draft);
        }
        let mut effects = vec![Effect::ReportMilestone {
            milestone: Milestone::ReflexGivenUp { cause: draft.cause.clone() },
        }];
        effects.extend(self.next_episode(draft.cause));
        effects
    }

    /// Puts a confirmed reflex into the library; `None` where it shows too little, or the library refuses it.
    fn admit_reflex(&mut self, draft: &ReflexDraft, tried: &ReflexCandidateTrial) -> Option<Vec<Effect>> {
        let rule = self.config.reflexes.as_ref()?.rule;
        let figures = rule.judge(&tried.trial).ok()?;
        let skill_draft = SkillDraft {
            name: draft.name.clone(),
            description: format!("Acts before: {}.", draft.cause),
            parameters: Vec::new(),
            precondition: None,
            postcondition: None,
            origin: Origin::Model {
                model: self.origin.model.clone(),
                run: self.origin.run.clone(),
                seq: self.requests,
            },
            kind: Kind::Reflex { priority: PRIORITY, cooldown: 0 },
            environment: self.spec.name.clone(),
            created_ms: u64::try_from(self.now_ms).unwrap_or(0),
            source: draft.candidates.first()?.clone(),
        };
        let compiled = Compiled { engine: self.origin.engine.clone(), wasm: tried.wasm.clone()?.0 };
        let skill = self.library.prepare(skill_draft, compiled, std::iter::empty());
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
            let text = format!(
                "Learned the reflex {}: practice lives lasted {:.0} steps with it, {:.0} without.",
                draft.name, figures.steps.with, figures.steps.without
            );
            effects.push(self.remember(NewLesson { text, kind: LessonKind::Episode, importance: 7.0 }));
        }
        effects.extend(self.next_episode(draft.cause.clone()));
        Some(effects)
    }
}

/// Steps lived longer with a reflex, on average.
fn gain(trial: &ReflexTrial) -> f64 {
    let steps = trial.figures().steps;
    steps.with - steps.without
}
