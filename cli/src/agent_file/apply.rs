//! Settings of an agent file that belong to the run: they are recorded with it, so that a replay finds them.

use super::read::{located, unreadable};
use super::{AgentFile, ControllerKind, ControllerSettings, PolicyPlace};
use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_controller::openai::Price;
use sojourn_core::{Prices, Sense};
use sojourn_sandbox::{Limits, LimitsError};
use sojourn_skills::grammar::Language;
use sojourn_tools::{
    ActionRuling, Environment, EnvironmentSpec, Policy, PolicyFile, SourceSettings, ToolSpec,
};
use toml::Table;

/// Tokens of a skill and of a reflex from a server that does not constrain: it may comment its code.
const CHAT_SKILL_TOKENS: u32 = 1200;
const CHAT_REFLEX_TOKENS: u32 = 800;

/// Prices as a run counts with them.
fn prices_of(price: Price) -> Prices {
    let cached = price.cached.unwrap_or(price.prompt);
    Prices { prompt: price.prompt, cached, completion: price.completion }
}

impl AgentFile {
    /// Sets what suits a server that cannot sample by a grammar, unless `table`, the file as written, says otherwise:
    /// whole functions in any JavaScript.
    pub(super) fn apply_chat_defaults(&mut self, table: &Table) {
        let settings = &self.controller;
        if settings.kind != ControllerKind::OpenAi || settings.dialect.enforces_grammars() {
            return;
        }
        let says = |path: [&str; 3]| {
            let inner = path[..2].iter().try_fold(table, |table, key| table.get(*key)?.as_table());
            inner.is_some_and(|inner| inner.contains_key(path[2]))
        };
        if !says(["run", "actor", "language"]) {
            self.run.actor.language = Language::JavaScript;
        }
        if !says(["run", "actor", "max_tokens"]) {
            self.run.actor.max_tokens = CHAT_SKILL_TOKENS;
        }
        if !says(["run", "reflexes", "max_tokens"])
            && let Some(reflexes) = &mut self.run.reflexes
        {
            reflexes.max_tokens = CHAT_REFLEX_TOKENS;
        }
    }

    /// As [`apply_chat_defaults`](Self::apply_chat_defaults), for the teacher.
    pub(super) fn apply_teacher_defaults(&mut self, table: &Table) {
        let Some(teacher) = &mut self.run.teacher else { return };
        let settings = &self.teacher;
        teacher.prices = teacher.prices.or(settings.price.map(prices_of));
        if settings.kind != ControllerKind::OpenAi || settings.dialect.enforces_grammars() {
            return;
        }
        let written =
            table.get("run").and_then(|run| run.get("teacher")).and_then(|teacher| teacher.as_table());
        let says = |key: &str| written.is_some_and(|written| written.contains_key(key));
        if !says("language") {
            teacher.language = Language::JavaScript;
        }
        if !says("max_tokens") {
            teacher.max_tokens = CHAT_SKILL_TOKENS;
        }
    }

    /// Copies `controller.price` into the run's settings, unless `run.prices` is set.
    pub(super) fn apply_prices(&mut self) {
        let Some(price) = self.controller.price else { return };
        self.run.prices.get_or_insert(prices_of(price));
    }

    /// Copies `limits` into the run's settings.
    pub(super) fn apply_limits(&mut self, name: &str) -> Result<(), Failure> {
        let bad = |error: LimitsError| Failure::new(Kind::Usage, format!("{name}: limits: {error}"));
        let actor = &mut self.run.actor;
        actor.limits = self.limits.skill(&actor.limits).map_err(bad)?;
        actor.limits.check().map_err(bad)?;
        let reflex = self.limits.reflex().map_err(bad)?;
        if reflex != Limits::reflex() {
            actor.reflex_limits = Some(reflex);
        }
        Ok(())
    }

    /// Copies `policy`, or the file that it names, into the run's settings.
    pub(super) fn apply_policy(&mut self, name: &str) -> Result<()> {
        let policy = match &self.policy {
            None if self.tools.is_empty() => return Ok(()),
            None => PolicyFile::default(),
            Some(PolicyPlace::Here(policy)) => policy.clone(),
            Some(PolicyPlace::File(path)) => {
                let path = self.directory.join(path);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    unreadable(&path, &error)
                        .hint("`policy` of the agent file names it; paths are relative to that file")
                })?;
                toml::from_str(&text).map_err(|error| located(&error, &text, &path.display().to_string()))?
            }
        };
        if let Err(error) = Policy::new(policy.clone()) {
            return Err(Failure::new(Kind::Usage, format!("{name}: policy: {error}")).into());
        }
        let tools = self.run.tools.get_or_insert_default();
        tools.policy = policy;
        let eyes = self.tools.iter().find(|(_, settings)| matches!(settings, SourceSettings::See(_)));
        if tools.eyes.is_none() {
            tools.eyes = eyes.map(|(name, _)| name.clone());
        }
        Ok(())
    }

    /// Checks what the controller is to be shown of the world.
    pub(super) fn check_observe(&self, name: &str) -> Result<()> {
        let bad = |message: &str, hint: &str| {
            Err(Failure::new(Kind::Usage, format!("{name}: run.observe: {message}")).hint(hint).into())
        };
        let eyes = self.run.tools.as_ref().and_then(|tools| tools.eyes.as_ref());
        if let Some(eyes) = eyes
            && !matches!(self.tools.get(eyes), Some(SourceSettings::See(_)))
        {
            let message = format!("{name}: run.tools.eyes: there is no source `{eyes}` of kind \"see\"");
            return Err(Failure::new(Kind::Usage, message)
                .hint("add [tools.see] with kind = \"see\"")
                .into());
        }
        if self.run.perceive && eyes.is_none() {
            let message = format!("{name}: run.perceive: nothing reads pictures");
            return Err(Failure::new(Kind::Usage, message)
                .hint("add [tools.see] with kind = \"see\"")
                .into());
        }
        let observes = |sense| self.run.observe.contains(&sense);
        if !observes(Sense::Text) && !observes(Sense::Frame) {
            return bad("the controller would be shown nothing", "name \"text\", \"frame\", or both");
        }
        if !observes(Sense::Text)
            && eyes.is_none()
            && !self.controller.vision
            && self.controller.mmproj.is_none()
            && self.controller.kind != ControllerKind::Served
        {
            return bad(
                "the controller cannot see, and nothing reads pictures for it",
                "add [tools.see] with kind = \"see\", or controller.vision = true or controller.mmproj for a model that sees, or observe \"text\" too",
            );
        }
        Ok(())
    }

    /// Checks that the environment has the tasks that `run.tasks` names.
    ///
    /// # Errors
    /// The first unknown task, with the nearest name.
    pub fn check_tasks(&self, environment: &EnvironmentSpec) -> Result<(), Failure> {
        Self::check_task_names(&self.run.tasks, environment)
    }

    /// Checks what the policy says of the environment's own actions: it may deny them, but no rule may ask about them, and one at
    /// least must be left.
    ///
    /// # Errors
    /// A rule asks about an action, or all actions are denied.
    pub fn check_actions(&self, world: &dyn Environment) -> Result<(), Failure> {
        let environment = world.spec();
        let Some(tools) = self.run.tools.as_ref().filter(|_| !environment.deterministic) else {
            return Ok(());
        };
        let bad = |text: String, hint: &str| Err(Failure::new(Kind::Usage, text).hint(hint));
        let policy = match Policy::new(tools.policy.clone()) {
            Ok(policy) => policy,
            Err(error) => {
                return bad(format!("policy: {error}"), "`sojourn tools list` shows what it decides");
            }
        };
        let name = &environment.name;
        let actions = environment.tools.iter().filter(|tool| tool.effects.write);
        let rulings: Vec<(&ToolSpec, ActionRuling)> = actions
            .map(|action| (action, policy.ruling_on_action(action, world.own_name(&action.name))))
            .collect();
        for (action, ruling) in &rulings {
            if let ActionRuling::Asked(rule) = ruling {
                let text = format!(
                    "policy: rule {rule} asks about `{}`, an action of the environment `{name}`: nobody is asked about those",
                    action.name
                );
                return bad(text, "deny the action, or allow it by a rule before that one");
            }
        }
        let denied = |(action, ruling): &(&ToolSpec, ActionRuling)| match ruling {
            ActionRuling::Denied(rule) => Some((action.name.clone(), *rule)),
            ActionRuling::Free | ActionRuling::Asked(_) => None,
        };
        let denied: Option<Vec<(String, usize)>> = rulings.iter().map(denied).collect();
        match denied.as_deref() {
            Some([(action, rule), ..]) => bad(
                format!("policy: rule {rule} leaves no action of the environment `{name}` that may be taken"),
                &format!(
                    "before it, allow what the agent may do there: tool = \"{action}\", then = \"allow\""
                ),
            ),
            _ => Ok(()),
        }
    }

    /// Checks that every one of `tasks` is a task of the environment.
    ///
    /// # Errors
    /// The first unknown task, with the nearest name.
    pub fn check_task_names(tasks: &[String], environment: &EnvironmentSpec) -> Result<(), Failure> {
        let names = || environment.tasks.iter().map(|task| task.name.as_str());
        let Some(unknown) = tasks.iter().find(|asked| names().all(|name| name != *asked)) else {
            return Ok(());
        };
        let nearest = sojourn_tools::nearest(unknown, names());
        let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let text = format!("run.tasks: `{}` has no task `{unknown}`{meant}", environment.name);
        let known = names().collect::<Vec<_>>().join(", ");
        Err(Failure::new(Kind::Usage, text).hint(format!("its tasks are {known}")))
    }

    /// Checks that the keys of `[controller]` fit together, and those of `[teacher]`.
    pub(super) fn check_controller(&self, name: &str) -> Result<()> {
        match self.of_teacher() {
            Some(file) => {
                file.check_model(&format!("{name}, of the teacher"))?;
                if file.controller.vision {
                    let text = format!("{name}: the teacher is shown no pictures");
                    return Err(Failure::new(Kind::Usage, text).hint("remove teacher.vision").into());
                }
            }
            None if self.teacher != ControllerSettings::default() => {
                let text = format!("{name}: [teacher] says how a model is run, but not which");
                return Err(Failure::new(Kind::Usage, text)
                    .hint("add [run.teacher] with model = \"…\"")
                    .into());
            }
            None => {}
        }
        self.check_model(name)
    }

    fn check_model(&self, name: &str) -> Result<()> {
        let bad = |message: &str, hint: &str| {
            Err(Failure::new(Kind::Usage, format!("{name}: {message}")).hint(hint).into())
        };
        let settings = &self.controller;
        match settings.kind {
            ControllerKind::OpenAi if settings.base_url.is_none() => bad(
                "`controller.kind` is \"openai\", but there is no `controller.base_url`",
                "add the server's address: base_url = \"http://localhost:8080/v1\"",
            ),
            ControllerKind::OpenAi if self.model.is_none() => bad(
                "`controller.kind` is \"openai\", but there is no `model`",
                "add the name that the server knows the model by",
            ),
            ControllerKind::Llama | ControllerKind::Served if settings.vision => bad(
                "`controller.vision` has a meaning for the kind \"openai\" only",
                "remove it: a served model says itself what it can",
            ),
            ControllerKind::Llama if settings.base_url.is_some() => bad(
                "`controller.base_url` has no meaning for the kind \"llama\"",
                "add kind = \"openai\" or kind = \"served\", or remove base_url",
            ),
            ControllerKind::Served if settings.base_url.is_none() => bad(
                "`controller.kind` is \"served\", but there is no `controller.base_url`",
                "add the address that `sojourn models serve` prints: base_url = \"http://127.0.0.1:8809\"",
            ),
            _ => Ok(()),
        }
    }
}
