//! From the curriculum's proposals to a call.

use super::consulting::{AfterConsultation, object};
use super::curriculum::{Proposal, Situation};
use super::prompts::{self, Choice};
use super::{Core, Map, OPTIONS, Phase, Purpose, Recalled, Reply, ToolCall, Value, VecDeque};
use crate::model::{Effect, FinishReason, Milestone};
use sojourn_tools::{TaskSpec, with_defaults};

/// Memories shown before a choice.
const MEMORIES: usize = 3;
/// Decisions that may pass without a proposal before an episode is left.
const IDLE_DECISIONS: u32 = 600;

impl Core {
    /// Asks the curriculum, and has the controller choose.
    pub(super) fn propose(&mut self) -> Vec<Effect> {
        let mut proposals = self.proposals();
        if proposals.is_empty() && self.config.repeat_tasks && self.begun_anew != Some(self.episode.steps) {
            self.begun_anew = Some(self.episode.steps);
            self.episode.done.clear();
            self.curriculum.episode_started();
            proposals = self.proposals();
        }
        if proposals.is_empty() && self.spec.question.is_some() {
            return self.without_a_skill();
        }
        if proposals.is_empty() && self.episode.steps > 0 {
            return self.next_episode("nothing was left to do".to_owned());
        }
        // At the start of an episode everything may be in back-off: let time pass.
        for _ in 0..IDLE_DECISIONS {
            if !proposals.is_empty() {
                break;
            }
            self.curriculum.decided();
            proposals = self.proposals();
        }
        self.curriculum.decided();
        if proposals.is_empty() {
            return self.improvise();
        }
        let settled = proposals.len() == 1 && self.may_consult().is_none();
        if !self.config.deliberate || settled || self.has_thought_enough() {
            let first = proposals.swap_remove(0);
            return self.settle(&first, Map::new());
        }
        let tools = self.picks_tools();
        if self.config.memory || tools.is_some() {
            let query = self.episode.observation.text.clone();
            let limit = if self.config.memory { MEMORIES } else { 0 };
            self.phase = Phase::Recalling { proposals };
            return vec![Effect::Recall { query, limit, lessons: false, tools }];
        }
        self.choose(proposals, Vec::new(), &[])
    }

    /// Whether the episodes begun so far have used up the tokens that they are worth.
    fn has_thought_enough(&self) -> bool {
        let used = self.totals.tokens + self.totals.prompt_tokens;
        let begun = self.episode.index + 1;
        self.config.episode_tokens.is_some_and(|each| used >= each.saturating_mul(begun))
    }

    /// Nothing is proposed for what is in view. Where other episodes teach something, learning goes on there; else the
    /// controller does what there is no skill for, step by step.
    fn without_a_skill(&mut self) -> Vec<Effect> {
        self.curriculum.decided();
        let seed = self.episode.seed;
        let undone = |task: &TaskSpec| task.is_in(seed) && !self.episode.done.contains(&task.name);
        if !self.planner.tasks().any(undone) {
            return self.next_episode("nothing was left to do".to_owned());
        }
        if self.config.learning && self.planner.tasks().any(|task| !task.is_in(seed)) {
            return self.next_episode("its task is left for later".to_owned());
        }
        if !self.config.deliberate && self.config.library {
            return self.next_episode("there is no skill for its task".to_owned());
        }
        self.improvise()
    }

    fn proposals(&self) -> Vec<Proposal> {
        let skills = self.skills();
        let situation = Situation {
            planner: &self.planner,
            skills: &skills,
            done: &self.episode.done,
            learning: self.config.learning,
            only: &self.config.tasks,
            seed: self.episode.seed,
        };
        self.curriculum.proposals(&situation, OPTIONS)
    }

    /// `tools` are the names of those that fit best, where there are too many to offer all.
    pub(super) fn choose(
        &mut self,
        proposals: Vec<Proposal>,
        memories: Vec<Recalled>,
        tools: &[String],
    ) -> Vec<Effect> {
        let seed = self.request_seed();
        let nudge = self.nudge.take();
        self.relied_on.clear();
        self.rely_on(&memories);
        let consultable = self.consultable(tools);
        let choice = Choice {
            spec: &self.spec,
            planner: &self.planner,
            curriculum: &self.curriculum,
            observation: &self.episode.observation.text,
            memories: &memories,
            consultable: &consultable,
            nudge: nudge.as_deref(),
            proposals: &proposals,
        };
        let request = prompts::choose(&choice, seed);
        self.think(Purpose::Choose, request, Phase::Choosing { proposals, memories })
    }

    /// The controller chose. Its answer obeys the schema unless it was cut short; then the first proposal stands.
    pub(super) fn chosen(
        &mut self,
        proposals: Vec<Proposal>,
        memories: Vec<Recalled>,
        reply: &Reply,
    ) -> Vec<Effect> {
        let answer = object(reply);
        if let Some(call) = self.asked_for(&answer) {
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

    fn settle(&mut self, proposal: &Proposal, args: Map<String, Value>) -> Vec<Effect> {
        let task = proposal.task().to_owned();
        let learning = matches!(proposal, Proposal::Learn(_));
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

    /// Lines up the calls for `task`: first what brings the tools that are not there yet.
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

    pub(super) fn call(&self, name: String, args: Map<String, Value>) -> ToolCall {
        let args = match self.planner.task(&name) {
            Some(task) => with_defaults(&task.parameters, args),
            None => args,
        };
        ToolCall { name, args }
    }

    /// Has the controller choose a primitive.
    pub(super) fn improvise(&mut self) -> Vec<Effect> {
        if !self.spec.tools.iter().any(|tool| tool.effects.write) {
            return self.finish(FinishReason::Episodes);
        }
        let seed = self.request_seed();
        let nudge = self.nudge.take();
        let consultable = self.consultable(&[]);
        let observation = &self.episode.observation.text;
        let request = prompts::improvise(
            &self.spec,
            self.episode.seed,
            observation,
            &consultable,
            nudge.as_deref(),
            seed,
        );
        self.think(Purpose::Choose, request, Phase::Improvising)
    }

    pub(super) fn improvised(&mut self, reply: &Reply) -> Vec<Effect> {
        let mut args = object(reply);
        if let Some(call) = self.asked_for(&args) {
            return self.consult(call, AfterConsultation::Improvise);
        }
        self.consultations.settled();
        match args.remove("action") {
            Some(Value::String(name)) => self.act(ToolCall { name, args }),
            _ => self.controller_failed("the answer was cut short".to_owned(), Self::decide),
        }
    }
}
