use crate::{
    Compiled, Demotion, DemotionRule, Draft, Illegal, LibraryEvent, Skill, SkillId, Status, TrialReport,
    Usage, Use, called_names, scan::is_identifier,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every version of every skill: a pure fold of [`LibraryEvent`]s.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LibraryState {
    skills: BTreeMap<String, History>,
}

/// The versions of one name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Version `k` stands at position `k - 1`.
    pub versions: Vec<Entry>,
}

/// One version and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Manifest and code.
    pub skill: Arc<Skill>,
    /// Where it stands.
    pub status: Status,
    /// What earned it its latest admission.
    pub report: Option<TrialReport>,
    /// Uses by context, over its whole life.
    pub usage: BTreeMap<String, Usage>,
    /// Uses since its latest admission: what demotion is judged by.
    pub since_admission: Usage,
}

impl Entry {
    /// Its content address.
    pub fn id(&self) -> &SkillId {
        &self.skill.manifest.id
    }

    /// Uses over all contexts.
    pub fn total_usage(&self) -> Usage {
        Usage::sum(self.usage.values())
    }

    /// Why it should be demoted, if it is admitted and should.
    pub fn should_demote(&self, rule: &DemotionRule) -> Option<Demotion> {
        let expected = self.report.as_ref().and_then(TrialReport::mean_steps);
        (self.status == Status::Admitted).then(|| rule.judge(&self.since_admission, expected)).flatten()
    }
}

impl History {
    /// The version that is offered and called by this name: the latest admitted one.
    pub fn active(&self) -> Option<&Entry> {
        self.versions.iter().rfind(|entry| entry.status == Status::Admitted)
    }

    /// The version of that number.
    pub fn version(&self, version: u32) -> Option<&Entry> {
        self.versions.get((version as usize).checked_sub(1)?)
    }
}

impl LibraryState {
    /// The state after these events.
    ///
    /// # Errors
    /// The first event that is illegal, with its position.
    pub fn replay<'a>(
        events: impl IntoIterator<Item = &'a LibraryEvent>,
    ) -> Result<Self, (usize, Box<Illegal>)> {
        let mut state = Self::default();
        for (position, event) in events.into_iter().enumerate() {
            state.apply(event).map_err(|illegal| (position, Box::new(illegal)))?;
        }
        Ok(state)
    }

    /// Applies one event. An illegal one leaves the state as it was.
    ///
    /// # Errors
    /// What makes the event illegal here.
    pub fn apply(&mut self, event: &LibraryEvent) -> Result<(), Illegal> {
        match event {
            LibraryEvent::Drafted { skill } => self.draft(skill),
            LibraryEvent::TrialStarted { id } => {
                self.expect(id, event, &[Status::Draft])?.status = Status::Trial;
                Ok(())
            }
            LibraryEvent::Admitted { id, report, rule } => {
                let Entry { skill, .. } = self.expect(id, event, &[Status::Trial])?;
                let skill = Arc::clone(skill);
                let (name, version) = (&skill.manifest.name, skill.manifest.version);
                let verdict = rule.judge(report);
                if !verdict.admitted {
                    return Err(Illegal::NotEarned { name: name.clone(), version, reasons: verdict.reasons });
                }
                self.check_chain(&skill, report)?;
                let entry = self.entry_mut(id)?;
                entry.status = Status::Admitted;
                entry.report = Some(report.clone());
                entry.since_admission = Usage::default();
                Ok(())
            }
            LibraryEvent::Demoted { id, .. } => {
                self.expect(id, event, &[Status::Admitted])?.status = Status::Trial;
                Ok(())
            }
            LibraryEvent::Retired { id, .. } => {
                let used = [Status::Draft, Status::Trial, Status::Admitted];
                self.expect(id, event, &used)?.status = Status::Retired;
                Ok(())
            }
            LibraryEvent::Unretired { id } => {
                self.expect(id, event, &[Status::Retired])?.status = Status::Trial;
                Ok(())
            }
            LibraryEvent::RolledBack { name, to } => self.roll_back(name, *to, event.kind()),
            LibraryEvent::Used { id, usage } => {
                let used = [Status::Trial, Status::Admitted, Status::Retired];
                self.expect(id, event, &used)?.count(usage);
                Ok(())
            }
        }
    }

    /// The skill that a draft becomes: the next version of its name, with its calls found among `tools` and the
    /// library's skills. Apply [`LibraryEvent::Drafted`] to put it in.
    pub fn prepare<'a>(
        &self,
        draft: Draft,
        compiled: Compiled,
        tools: impl IntoIterator<Item = &'a str>,
    ) -> Skill {
        let tools: BTreeSet<&str> = tools.into_iter().collect();
        let calls = called_names(&draft.source)
            .into_iter()
            .filter(|name| *name != draft.name)
            .filter(|name| tools.contains(name.as_str()) || self.skills.contains_key(name))
            .collect();
        let version = self.next_version(&draft.name);
        Skill::new(draft, compiled, version, calls)
    }

    /// The number that the next version of `name` will bear.
    pub fn next_version(&self, name: &str) -> u32 {
        self.skills.get(name).map_or(0, |history| history.versions.len() as u32) + 1
    }

    /// Every name with its versions, sorted by name.
    pub fn histories(&self) -> impl Iterator<Item = (&str, &History)> {
        self.skills.iter().map(|(name, history)| (name.as_str(), history))
    }

    /// The versions of a name.
    pub fn history(&self, name: &str) -> Option<&History> {
        self.skills.get(name)
    }

    /// The version with this content address.
    pub fn entry(&self, id: &SkillId) -> Option<&Entry> {
        self.skills.values().flat_map(|history| &history.versions).find(|entry| entry.id() == id)
    }

    /// The version that is called by this name.
    pub fn active(&self, name: &str) -> Option<&Entry> {
        self.skills.get(name)?.active()
    }

    /// The active version of every name that has one, sorted by name.
    pub fn all_active(&self) -> impl Iterator<Item = &Entry> {
        self.skills.values().filter_map(History::active)
    }

    /// The active versions of the library's skills among `calls`: what a trial must run with and name in
    /// [`TrialReport::prerequisites`].
    pub fn prerequisites(&self, calls: &[String]) -> Vec<SkillId> {
        calls.iter().filter_map(|name| self.active(name)).map(|entry| entry.id().clone()).collect()
    }

    /// Active skills that were admitted with versions of their callees that are no longer active, each with the
    /// first such callee: they have to be tried again.
    pub fn stale(&self) -> Vec<(&Entry, &str)> {
        self.all_active().filter_map(|entry| Some((entry, self.stale_callee(entry)?))).collect()
    }

    fn stale_callee(&self, entry: &Entry) -> Option<&str> {
        let tried = &entry.report.as_ref()?.prerequisites;
        tried.iter().filter_map(|id| self.entry(id)).find_map(|callee| {
            let name = callee.skill.manifest.name.as_str();
            let is_active = self.active(name).is_some_and(|active| active.id() == callee.id());
            (!is_active).then_some(name)
        })
    }

    fn draft(&mut self, skill: &Skill) -> Result<(), Illegal> {
        let (name, version) = (&skill.manifest.name, skill.manifest.version);
        if !is_identifier(name) {
            return Err(Illegal::BadName { name: name.clone() });
        }
        if !skill.is_intact() {
            return Err(Illegal::WrongHash { name: name.clone(), version });
        }
        if let Some(same) = self.entry(&skill.manifest.id) {
            return Err(Illegal::Duplicate { name: name.clone(), version: same.skill.manifest.version });
        }
        let expected = self.next_version(name);
        if version != expected {
            return Err(Illegal::WrongVersion { name: name.clone(), version, expected });
        }
        self.skills.entry(name.clone()).or_default().versions.push(Entry {
            skill: Arc::new(skill.clone()),
            status: Status::Draft,
            report: None,
            usage: BTreeMap::new(),
            since_admission: Usage::default(),
        });
        Ok(())
    }

    /// Every skill that `skill` calls must be active, must be the version it was tried with, and must not call
    /// `skill` in turn.
    fn check_chain(&self, skill: &Skill, report: &TrialReport) -> Result<(), Illegal> {
        let name = &skill.manifest.name;
        for callee in skill.manifest.calls.iter().filter(|callee| self.skills.contains_key(*callee)) {
            let active = self.active(callee).map(Entry::id);
            if active.is_none_or(|id| !report.prerequisites.contains(id)) {
                return Err(Illegal::UntriedChain { name: name.clone(), callee: callee.clone() });
            }
            if self.reaches(callee, name) {
                return Err(Illegal::Cycle { name: name.clone(), callee: callee.clone() });
            }
        }
        Ok(())
    }

    fn reaches(&self, from: &str, target: &str) -> bool {
        let (mut open, mut seen) = (vec![from], BTreeSet::new());
        while let Some(name) = open.pop() {
            if name == target {
                return true;
            }
            if seen.insert(name)
                && let Some(entry) = self.active(name)
            {
                open.extend(entry.skill.manifest.calls.iter().map(String::as_str));
            }
        }
        false
    }

    fn roll_back(&mut self, name: &str, to: u32, event: &'static str) -> Result<(), Illegal> {
        let unknown = || Illegal::UnknownVersion { name: name.into(), version: to };
        let history = self.skills.get_mut(name).ok_or_else(unknown)?;
        let status = history.version(to).ok_or_else(unknown)?.status;
        if status != Status::Admitted {
            return Err(Illegal::WrongStatus { name: name.into(), version: to, status, event });
        }
        for newer in history.versions.iter_mut().skip(to as usize) {
            if newer.status == Status::Admitted {
                newer.status = Status::Trial;
            }
        }
        Ok(())
    }

    fn expect(
        &mut self,
        id: &SkillId,
        event: &LibraryEvent,
        allowed: &[Status],
    ) -> Result<&mut Entry, Illegal> {
        let entry = self.entry_mut(id)?;
        if allowed.contains(&entry.status) {
            return Ok(entry);
        }
        let (name, version) = (entry.skill.manifest.name.clone(), entry.skill.manifest.version);
        Err(Illegal::WrongStatus { name, version, status: entry.status, event: event.kind() })
    }

    fn entry_mut(&mut self, id: &SkillId) -> Result<&mut Entry, Illegal> {
        self.skills
            .values_mut()
            .flat_map(|history| &mut history.versions)
            .find(|entry| entry.id() == id)
            .ok_or_else(|| Illegal::UnknownId { id: id.clone() })
    }
}

impl Entry {
    fn count(&mut self, one: &Use) {
        self.usage.entry(one.context.clone()).or_default().add(one);
        if self.status == Status::Admitted {
            self.since_admission.add(one);
        }
    }
}
