use crate::case::cases_of;
use crate::{
    Case, Compiled, Demotion, DemotionRule, Draft, Kind, ReflexTrial, Skill, SkillId, Status, TrialReport,
    Usage, called_names,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All versions of all skills: a pure fold of [`LibraryEvent`](crate::LibraryEvent)s.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LibraryState {
    pub(crate) skills: BTreeMap<String, History>,
}

/// All versions of one name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Version `k` is at index `k - 1`.
    pub versions: Vec<Entry>,
    /// Target of this name in every environment, as the first records of older runs have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<String>,
    /// Target of this name in an environment since its merge there, until a version of its own is admitted there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) aliases: BTreeMap<String, String>,
    /// Whether the reflex is switched off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// One version with its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Manifest and code.
    pub skill: Arc<Skill>,
    /// Lifecycle status.
    pub status: Status,
    /// Evidence of the latest admission.
    pub report: Option<TrialReport>,
    /// Evidence of a reflex's latest admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<ReflexTrial>,
    /// Regression cases of its own trials and of the versions that it repairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cases: Vec<Case>,
    /// All uses, by context.
    pub usage: BTreeMap<String, Usage>,
    /// Uses since the latest admission, which decide about demotion.
    pub since_admission: Usage,
}

impl Entry {
    /// Name of the skill.
    pub fn name(&self) -> &str {
        &self.skill.manifest.name
    }

    /// Content address.
    pub fn id(&self) -> &SkillId {
        &self.skill.manifest.id
    }

    /// Name of the environment that it was learned in.
    pub fn environment(&self) -> &str {
        &self.skill.manifest.environment
    }

    /// Regression cases; if none were recorded, the worlds in which it passed.
    pub fn cases(&self) -> Vec<Case> {
        if self.cases.is_empty()
            && let Some(report) = &self.report
        {
            return cases_of(report, &self.skill.manifest.environment);
        }
        self.cases.clone()
    }

    /// Whether it is a reflex.
    pub fn is_reflex(&self) -> bool {
        matches!(self.skill.manifest.kind, Kind::Reflex { .. })
    }

    /// Uses over all contexts.
    pub fn total_usage(&self) -> Usage {
        Usage::sum(self.usage.values())
    }

    /// Why the version should be demoted, if it is admitted and `rule` demands it.
    pub fn should_demote(&self, rule: &DemotionRule) -> Option<Demotion> {
        let expected = self.report.as_ref().and_then(TrialReport::mean_steps);
        (self.status == Status::Admitted).then(|| rule.judge(&self.since_admission, expected)).flatten()
    }
}

impl History {
    /// The latest admitted version, of whatever environment: what a call runs in the library of one environment.
    pub fn active(&self) -> Option<&Entry> {
        self.versions.iter().rfind(|entry| entry.status == Status::Admitted)
    }

    /// The version with this number.
    pub fn version(&self, version: u32) -> Option<&Entry> {
        self.versions.get((version as usize).checked_sub(1)?)
    }
}

impl LibraryState {
    /// Turns a draft into the next version of its name. Its calls are those names in the source that are in
    /// `tools` or in the library. Apply [`LibraryEvent::Drafted`](crate::LibraryEvent::Drafted) to add it.
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
            .filter(|name| tools.contains(name.as_str()) || self.knows(name, &draft.environment))
            .collect();
        let version = self.next_version(&draft.name);
        Skill::new(draft, compiled, version, calls)
    }

    /// Turns a draft with a prebuilt module into the next version of its name. Its code does not show its
    /// calls; it is granted those in `declared` that are in `tools` or in the library.
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
            .filter(|name| tools.contains(name.as_str()) || self.knows(name, &draft.environment))
            .collect();
        calls.sort();
        calls.dedup();
        let version = self.next_version(&draft.name);
        Skill::new(draft, compiled, version, calls).prebuilt()
    }

    /// The skill under an address of its own, where another environment has the same content under the same name.
    #[must_use]
    pub fn with_own_address(&self, skill: Skill) -> Skill {
        let environment = &skill.manifest.environment;
        match self.entry(&skill.manifest.id) {
            Some(same) if same.environment() != environment => skill.in_own_environment(),
            _ => skill,
        }
    }

    /// Number of the next version of `name`.
    pub fn next_version(&self, name: &str) -> u32 {
        self.skills.get(name).map_or(0, |history| history.versions.len() as u32) + 1
    }

    /// All names with their versions, sorted by name.
    pub fn histories(&self) -> impl Iterator<Item = (&str, &History)> {
        self.skills.iter().map(|(name, history)| (name.as_str(), history))
    }

    /// Versions of a name.
    pub fn history(&self, name: &str) -> Option<&History> {
        self.skills.get(name)
    }

    /// The version with this content address.
    pub fn entry(&self, id: &SkillId) -> Option<&Entry> {
        self.skills.values().flat_map(|history| &history.versions).find(|entry| entry.id() == id)
    }

    /// The version that a call of `name` runs; `name` may be an alias.
    pub fn active(&self, name: &str) -> Option<&Entry> {
        self.skills.get(self.resolve(name))?.active()
    }

    /// The name that `name` stands for: itself unless it was merged and has no active version of any environment. In the
    /// library of one environment this is what a call runs.
    pub fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        self.follow(name, |history| match history.active() {
            Some(_) => None,
            None => history.alias.as_ref().or_else(|| history.aliases.values().next()).map(String::as_str),
        })
    }

    /// The last name of a chain of aliases.
    pub(crate) fn follow<'a>(
        &'a self,
        mut name: &'a str,
        alias: impl Fn(&'a History) -> Option<&'a str>,
    ) -> &'a str {
        // A merge target is never an alias at the time of the merge, so this ends. The bound protects against
        // states from elsewhere.
        for _ in 0..self.skills.len() {
            match self.skills.get(name).and_then(&alias) {
                Some(other) => name = other,
                None => break,
            }
        }
        name
    }

    /// All callable names with the skills they call, aliases included, sorted by name.
    pub fn callables(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.skills
            .keys()
            .filter_map(|name| Some((name.as_str(), self.active(name)?)))
            .filter(|(_, entry)| !entry.is_reflex())
    }

    /// Enabled admitted reflexes in the order in which they are asked: by descending priority, then by name.
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

    /// The versions in use: of every name, the latest admitted one of each environment. Sorted by name.
    pub fn all_active(&self) -> impl Iterator<Item = &Entry> {
        self.skills
            .values()
            .flat_map(|history| history.versions.iter().filter(|entry| history.is_in_use(entry)))
    }

    /// Active versions of the library skills among `calls`. A trial must run with them and list them in
    /// [`TrialReport::prerequisites`].
    pub fn prerequisites(&self, calls: &[String]) -> Vec<SkillId> {
        calls.iter().filter_map(|name| self.active(name)).map(|entry| entry.id().clone()).collect()
    }
}
