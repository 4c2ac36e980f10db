//! From the curriculum's proposals to a call.

use super::asking::object_answer;
use super::consulting::AfterConsultation;
use super::curriculum::{Proposal, Situation};
use super::looking::AfterLook;
use super::prompts::{self, ActionChoice, Choice, Scene};
use super::{Core, Phase};
use crate::config::Sense;
use crate::model::{Effect, FinishReason, Milestone, Purpose, Recalled};
use serde_json::{Map, Value};
use sojourn_controller::Reply;
use sojourn_tools::{TaskSpec, ToolCall, with_defaults};
use std::collections::VecDeque;

/// Proposals that the controller chooses from.
const OPTIONS: usize = 4;
/// Memories shown before a choice.
const MEMORIES: usize = 3;
/// Decisions without a proposal, at the start of an episode, after which the controller chooses a tool call instead.
const IDLE_DECISIONS: u32 = 600;
/// Tasks that are given up without any trial, one after the other, after which nothing is learned before the next event: a run that
/// may not write, and has nothing else to try, would choose among the same tasks for ever.
const GIVEN_UP: u32 = 16;

impl Core {
    /// Asks the curriculum for proposals, and the controller for a choice where there is one to make.
    pub(super) fn propose(&mut self) -> Vec<Effect> {
        let mut proposals = self.proposals();
        if self.may_discover() && !proposals.iter().any(|proposal| self.is_new(proposal)) {
            return self.discover();
        }
        if let Some(call) = self.wait(&proposals) {
            return self.act(call);
        }
        if proposals.is_empty()
            && self.config.repeat_tasks
            && self.episode.repeated_at != Some(self.episode.steps)
        {
            self.episode.repeated_at = Some(self.episode.steps);
            self.episode.done.clear();
            self.curriculum.episode_started();
            proposals = self.proposals();
        }
        if !proposals.iter().any(|proposal| self.is_new(proposal))
            && let Some(task) = self.experiment()
        {
            return self.settle(&Proposal::Do(task), Map::new());
        }
        if proposals.is_empty() && self.may_live_on() {
            return self.live_on();
        }
        if proposals.is_empty() && self.spec.question.is_some() {
            return self.without_a_skill();
        }
        if proposals.is_empty() && self.only_skills_act() {
            return self.next_episode("nothing was left to do".to_owned());
        }
        if proposals.is_empty() && self.acts_step_by_step() && self.has_a_task_without_a_skill() {
            // Each action is a decision, so a task that was given up becomes available again.
            self.curriculum.decided();
            return self.choose_action();
        }
        if proposals.is_empty() && self.episode.steps > 0 {
            return self.next_episode("nothing was left to do".to_owned());
        }
        // At the start of an episode every task may be in back-off, which counts decisions.
        for _ in 0..IDLE_DECISIONS {
            if !proposals.is_empty() {
                break;
            }
            self.curriculum.decided();
            proposals = self.proposals();
        }
        self.curriculum.decided();
        if proposals.is_empty() {
            return self.choose_action();
        }
        let settled = proposals.len() == 1 && self.tools_on_offer().is_none();
        if !self.config.deliberate || settled || self.has_used_up_episode_tokens() {
            let first = proposals.swap_remove(0);
            return self.settle(&first, Map::new());
        }
        if self.must_look() {
            return self.look(AfterLook::Choose { proposals });
        }
        self.recall_for(proposals)
    }

    /// Whether it is about a skill that was never given up: what was given up would only be tried again in the same ways.
    fn is_new(&self, proposal: &Proposal) -> bool {
        matches!(proposal, Proposal::Learn(task) if self.curriculum.record(task).failed_writes == 0)
    }

    /// Whether there is a task that could be learned next and was never given up.
    pub(super) fn may_learn_more(&self) -> bool {
        self.proposals().iter().any(|proposal| self.is_new(proposal))
    }

    /// Looks up memories and tools for a choice, where there may be any.
    pub(super) fn recall_for(&mut self, proposals: Vec<Proposal>) -> Vec<Effect> {
        let tools = self.tools_to_pick();
        if self.config.memory || tools.is_some() {
            let mut query = self.shown_text().to_owned();
            if let Some(text) = self.episode.look.as_ref().and_then(|look| look.text.as_deref()) {
                if !query.is_empty() {
                    query.push('\n');
                }
                query.push_str(text);
            }
            let limit = if self.config.memory { MEMORIES } else { 0 };
            self.phase = Phase::Recalling { proposals };
            return vec![Effect::Recall { query, limit, lessons: false, tools }];
        }
        self.choose(proposals, Vec::new(), &[])
    }

    /// Whether the episodes started so far have used all the tokens that `episode_tokens` allows them together.
    fn has_used_up_episode_tokens(&self) -> bool {
        let used = self.totals.tokens + self.totals.prompt_tokens;
        let started = self.episode.index + 1;
        self.config.episode_tokens.is_some_and(|each| used >= each.saturating_mul(started))
    }

    /// In a world with a question no proposal fits the episode. Where other episodes have tasks to learn, the next episode
    /// starts; otherwise the controller chooses tool calls one by one.
    fn without_a_skill(&mut self) -> Vec<Effect> {
        self.curriculum.decided();
        let seed = self.episode.seed;
        let undone = |task: &TaskSpec| task.is_in(seed) && !self.episode.done.contains(&task.name);
        if !self.planner.tasks().any(undone) {
            return self.next_episode("nothing was left to do".to_owned());
        }
        if self.learns() && self.planner.tasks().any(|task| !task.is_in(seed)) {
            return self.next_episode("its task is left for later".to_owned());
        }
        if !self.config.deliberate && self.config.library {
            return self.next_episode("there is no skill for its task".to_owned());
        }
        self.choose_action()
    }

    /// Whether skills and reflexes are written: the run wants to learn, and its world allows the trials that decide about them.
    pub(super) fn learns(&self) -> bool {
        self.config.learning && self.spec.practice
    }

    /// Whether nothing but the skills of the library acts: the run is over after its episodes, and the controller neither chooses nor
    /// writes.
    fn only_skills_act(&self) -> bool {
        let config = &self.config;
        let asks = config.deliberate || config.learning || !config.library;
        config.rules >= 5 && !asks && !config.episodes.is_empty()
    }

    /// Whether the controller chooses single calls where no skill fits, so that the world is not left unused until a task that was
    /// given up is tried again. It does so in worlds that this program does not compute.
    pub(super) fn acts_step_by_step(&self) -> bool {
        self.spec.play || (self.config.rules >= 2 && self.config.deliberate && !self.spec.deterministic)
    }

    /// Whether a task of the episode is neither done nor learned.
    fn has_a_task_without_a_skill(&self) -> bool {
        let skills = self.skills();
        let only = &self.config.tasks;
        self.planner.tasks().any(|task| {
            task.is_in(self.episode.seed)
                && (only.is_empty() || only.contains(&task.name))
                && !self.episode.done.contains(&task.name)
                && !skills.contains_key(&task.name)
        })
    }

    pub(super) fn proposals(&self) -> Vec<Proposal> {
        let skills = self.skills();
        let situation = Situation {
            planner: &self.planner,
            skills: &skills,
            done: &self.episode.done,
            learning: self.learns() && self.given_up < GIVEN_UP,
            only: &self.config.tasks,
            seed: self.episode.seed,
            in_order: self.config.rules >= 3,
            drawn: (!self.config.curriculum).then_some(self.config.seed),
        };
        let mut proposals = self.curriculum.proposals(&situation, OPTIONS);
        proposals.retain(|proposal| !matches!(proposal, Proposal::Do(task) if self.must_wait(task)));
        proposals
    }

    /// Asks the controller for a choice. `tools` are names of the tools that fit best, where there are too many to offer all.
    pub(super) fn choose(
        &mut self,
        proposals: Vec<Proposal>,
        memories: Vec<Recalled>,
        tools: &[String],
    ) -> Vec<Effect> {
        let seed = self.request_seed();
        let nudge = self.nudge.take();
        self.lessons_shown.clear();
        self.show_lessons(&memories);
        let consultable = self.consultable(tools);
        let choice = Choice {
            spec: &self.spec,
            planner: &self.planner,
            curriculum: &self.curriculum,
            library: (self.config.rules >= 1).then_some(&self.library),
            scene: self.scene(),
            memories: &memories,
            consultable: &consultable,
            nudge: nudge.as_deref(),
            proposals: &proposals,
        };
        let request = prompts::choose(&choice, seed);
        self.think(Purpose::Choose, request, Phase::Choosing { proposals, memories })
    }

    /// Takes the controller's choice. An answer that was cut short counts as the first proposal.
    pub(super) fn chosen(
        &mut self,
        proposals: Vec<Proposal>,
        memories: Vec<Recalled>,
        reply: &Reply,
    ) -> Vec<Effect> {
        let answer = object_answer(reply);
        if let Some(call) = self.requested_tool(&answer) {
            return self.consult(call, AfterConsultation::Choose { proposals, memories });
        }
        self.consultations.settled();
        let name = answer.get("task").and_then(Value::as_str).map(str::to_owned);
        let chosen = proposals.iter().find(|proposal| Some(proposal.task()) == name.as_deref());
        let mut args = answer;
        args.remove("task");
        match chosen.or_else(|| proposals.first()) {
            Some(proposal) => self.settle(&proposal.clone(), args),
            None => self.decide(),
        }
    }

    pub(super) fn settle(&mut self, proposal: &Proposal, args: Map<String, Value>) -> Vec<Effect> {
        let task = proposal.task().to_owned();
        let learning = matches!(proposal, Proposal::Learn(_));
        self.news |= learning;
        let mut effects = vec![Effect::ReportMilestone {
            milestone: Milestone::TaskChosen { task: task.clone(), learning },
        }];
        effects.extend(if learning {
            self.start_writing(&task)
        } else {
            self.plan(&task, args);
            self.decide()
        });
        effects
    }

    /// Lines up the calls for `task`: first those of the tasks that provide missing tools.
    pub(super) fn plan(&mut self, task: &str, args: Map<String, Value>) {
        let skills = self.skills();
        let mut plan: VecDeque<ToolCall> = self
            .planner
            .missing_tools(task, &self.episode.observation.state)
            .into_iter()
            .filter(|name| skills.contains_key(name))
            .map(|name| self.call(name, Map::new()))
            .collect();
        plan.push_back(self.call(task.to_owned(), args));
        self.episode.plan = plan;
    }

    /// A call of a task's skill, with the defaults of arguments that are left out.
    pub(super) fn call(&self, name: String, args: Map<String, Value>) -> ToolCall {
        let args = match self.planner.task(&name) {
            Some(task) => with_defaults(&task.parameters, args),
            None => args,
        };
        ToolCall { name, args }
    }

    /// Asks the controller for one tool call of the world.
    pub(super) fn choose_action(&mut self) -> Vec<Effect> {
        if !self.spec.tools.iter().any(|tool| tool.effects.write) {
            return self.finish(FinishReason::Episodes);
        }
        if self.must_look() {
            return self.look(AfterLook::ChooseAction);
        }
        self.news = true;
        let seed = self.request_seed();
        let nudge = self.nudge.take();
        let consultable = self.consultable(&[]);
        let choice = ActionChoice {
            spec: &self.spec,
            episode: self.episode.seed,
            scene: self.scene(),
            available: &self.episode.observation.available,
            consultable: &consultable,
            nudge: nudge.as_deref(),
        };
        let request = prompts::choose_action(&choice, seed);
        self.think(Purpose::Choose, request, Phase::ChoosingAction)
    }

    /// What the controller is shown of the world now.
    fn scene(&self) -> Scene<'_> {
        let text = self.shows(Sense::Text).then_some(self.episode.observation.text.as_str());
        Scene { text, look: self.episode.look.as_ref().filter(|_| self.shows(Sense::Frame)) }
    }

    pub(super) fn action_chosen(&mut self, reply: &Reply) -> Vec<Effect> {
        let mut args = object_answer(reply);
        if let Some(call) = self.requested_tool(&args) {
            return self.consult(call, AfterConsultation::ChooseAction);
        }
        self.consultations.settled();
        match args.remove("action") {
            Some(Value::String(name)) => self.act(ToolCall { name, args }),
            // The request is repeated with another seed; `REFUSALS` bounds how often.
            _ if reply.refusal().is_some() => self.decide(),
            _ => self.controller_failed("the answer was cut short".to_owned(), Self::decide),
        }
    }
}
