use crate::case::cases_of;
use crate::{
    Case, Compiled, Demotion, DemotionRule, Draft, Kind, ReflexTrial, Skill, SkillId, Status, TrialReport,
    Usage, called_names,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every version of every skill: a pure fold of [`LibraryEvent`]s.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LibraryState {
    pub(crate) skills: BTreeMap<String, History>,
}

/// The versions of one name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Version `k` stands at position `k - 1`.
    pub versions: Vec<Entry>,
    /// The name that this one stands for since it was merged; for as long as no version of its own is admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// A reflex that was switched off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
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
    /// What earned a reflex its latest admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<ReflexTrial>,
    /// What it passed in its trials, its own and those of the versions that it repairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cases: Vec<Case>,
    /// Uses by context, over its whole life.
    pub usage: BTreeMap<String, Usage>,
    /// Uses since its latest admission: what demotion is judged by.
    pub since_admission: Usage,
}

impl Entry {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.skill.manifest.name
    }

    /// Its content address.
    pub fn id(&self) -> &SkillId {
        &self.skill.manifest.id
    }

    /// Its regression cases. Where the record is older than cases, the worlds in which it passed.
    pub fn cases(&self) -> Vec<Case> {
        if self.cases.is_empty()
            && let Some(report) = &self.report
        {
            return cases_of(report, &self.skill.manifest.environment);
        }
        self.cases.clone()
    }

    /// Whether it runs on every observation instead of being called.
    pub fn is_reflex(&self) -> bool {
        matches!(self.skill.manifest.kind, Kind::Reflex { .. })
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

    /// The skill that a draft with a prebuilt module becomes. What it calls is not seen in its code: of what it
    /// `declared`, it is granted the `tools` and the library's skills.
    pub fn prepare_prebuilt<'a>(
        &self,
        draft: Draft,
        compiled: Compiled,
        declared: Vec<String>,
        tools: impl IntoIterator<Item = &'a str>,
    ) -> Skill {
        let tools: BTreeSet<&str> = tools.into_iter().collect();
        let mut calls: Vec<String> = declared
            .into_iter()
            .filter(|name| *name != draft.name)
            .filter(|name| tools.contains(name.as_str()) || self.skills.contains_key(name))
            .collect();
        calls.sort();
        calls.dedup();
        let version = self.next_version(&draft.name);
        Skill::new(draft, compiled, version, calls).prebuilt()
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

    /// The version that is called by this name, which may be an alias.
    pub fn active(&self, name: &str) -> Option<&Entry> {
        self.skills.get(self.resolve(name))?.active()
    }

    /// The name that `name` stands for: itself unless it was merged into another.
    pub fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name;
        // A name is merged only into one that is no alias then, so that this ends; the bound is for states
        // that were read from elsewhere.
        for _ in 0..self.skills.len() {
            match self.skills.get(name).and_then(|history| history.alias.as_deref()) {
                Some(other) => name = other,
                None => break,
            }
        }
        name
    }

    /// Everything that can be called: each name with the skill that it calls, aliases included, sorted by name.
    pub fn callables(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.skills
            .keys()
            .filter_map(|name| Some((name.as_str(), self.active(name)?)))
            .filter(|(_, entry)| !entry.is_reflex())
    }

    /// The reflexes that may act: admitted and not switched off, in the order in which they are asked. The
    /// highest priority comes first, then the name.
    pub fn reflexes(&self) -> Vec<&Entry> {
        let enabled = self.skills.values().filter(|history| !history.disabled);
        let mut found: Vec<&Entry> =
            enabled.filter_map(History::active).filter(|entry| entry.is_reflex()).collect();
        let priority = |entry: &Entry| match entry.skill.manifest.kind {
            Kind::Reflex { priority, .. } => priority,
            Kind::Skill => 0,
        };
        found.sort_by(|a, b| {
            priority(b).cmp(&priority(a)).then_with(|| a.skill.manifest.name.cmp(&b.skill.manifest.name))
        });
        found
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
}
