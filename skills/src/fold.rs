//! Applies events to the library state, and decides which events are legal.

use crate::case::{cases_of, failed, union};
use crate::scan::is_identifier;
use crate::{
    AdmissionRule, CaseResult, Entry, IllegalEvent, Kind, LibraryEvent, LibraryState, ReflexRule,
    ReflexTrial, Skill, SkillId, Status, TrialReport, Usage, Use, duplicate,
};
use std::collections::BTreeMap;
use std::sync::Arc;

impl LibraryState {
    /// Folds `events` into a state.
    ///
    /// # Errors
    /// The first illegal event, with its position.
    pub fn replay<'a>(
        events: impl IntoIterator<Item = &'a LibraryEvent>,
    ) -> Result<Self, (usize, Box<IllegalEvent>)> {
        let mut state = Self::default();
        for (position, event) in events.into_iter().enumerate() {
            state.apply(event).map_err(|illegal| (position, Box::new(illegal)))?;
        }
        Ok(state)
    }

    /// Applies one event. An illegal event leaves the state unchanged.
    ///
    /// # Errors
    /// Why the event is illegal.
    pub fn apply(&mut self, event: &LibraryEvent) -> Result<(), IllegalEvent> {
        match event {
            LibraryEvent::Drafted { skill } => self.draft(skill),
            LibraryEvent::TrialStarted { id } => {
                self.expect(id, event, &[Status::Draft])?.status = Status::Trial;
                Ok(())
            }
            LibraryEvent::Admitted { id, report, rule } => self.admit(id, event, report, rule),
            LibraryEvent::ReflexAdmitted { id, trial, rule } => self.admit_reflex(id, event, trial, rule),
            LibraryEvent::Retested { id, results, prerequisites } => {
                self.retest(id, event, results, prerequisites)
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
            LibraryEvent::Merged { name, into, evidence, environment } => {
                self.merge(name, into, evidence, environment.as_deref())
            }
            LibraryEvent::Switched { name, enabled } => self.switch(name, *enabled, event.kind()),
            LibraryEvent::SetAside { .. } => Ok(()),
            LibraryEvent::Used { id, usage } => {
                let used = [Status::Trial, Status::Admitted, Status::Retired];
                self.expect(id, event, &used)?.count(usage);
                Ok(())
            }
        }
    }

    fn draft(&mut self, skill: &Skill) -> Result<(), IllegalEvent> {
        let (name, version) = (&skill.manifest.name, skill.manifest.version);
        if !is_identifier(name) {
            return Err(IllegalEvent::BadName { name: name.clone() });
        }
        if !skill.is_intact() {
            return Err(IllegalEvent::WrongHash { name: name.clone(), version });
        }
        if let Some(same) = self.entry(&skill.manifest.id) {
            return Err(IllegalEvent::Duplicate { name: name.clone(), version: same.skill.manifest.version });
        }
        let expected = self.next_version(name);
        if version != expected {
            return Err(IllegalEvent::WrongVersion { name: name.clone(), version, expected });
        }
        if let Some(repaired) = &skill.manifest.repairs
            && self.entry(repaired).is_none_or(|entry| entry.skill.manifest.name != *name)
        {
            let repaired = repaired.clone();
            return Err(IllegalEvent::NoSuchRepair { name: name.clone(), version, repaired });
        }
        self.skills.entry(name.clone()).or_default().versions.push(Entry {
            skill: Arc::new(skill.clone()),
            status: Status::Draft,
            report: None,
            trial: None,
            cases: Vec::new(),
            usage: BTreeMap::new(),
            since_admission: Usage::default(),
        });
        Ok(())
    }

    fn admit(
        &mut self,
        id: &SkillId,
        event: &LibraryEvent,
        report: &TrialReport,
        rule: &AdmissionRule,
    ) -> Result<(), IllegalEvent> {
        let skill = Arc::clone(&self.expect(id, event, &[Status::Trial])?.skill);
        expect_kind(&skill, false, event)?;
        let (name, version) = (&skill.manifest.name, skill.manifest.version);
        let decision = rule.judge(report);
        if !decision.admitted {
            return Err(IllegalEvent::NotEarned { name: name.clone(), version, reasons: decision.reasons });
        }
        let inherited = match skill.manifest.repairs.as_ref().and_then(|repaired| self.entry(repaired)) {
            Some(repaired) => {
                let cases = repaired.cases();
                if let Some(case) = failed(&cases, &report.regressions).first() {
                    let of = Some(repaired.skill.manifest.version);
                    return Err(IllegalEvent::CaseFailed {
                        name: name.clone(),
                        version,
                        case: case.id(),
                        of,
                    });
                }
                let passed = |id| report.regressions.iter().any(|one| one.case == id && one.passed);
                cases.into_iter().filter(|case| passed(case.id())).collect()
            }
            None => Vec::new(),
        };
        self.check_chain(&skill, &report.prerequisites)?;
        let entry = self.entry_mut(id)?;
        let cases = union(&entry.cases, inherited);
        entry.cases = union(&cases, cases_of(report, &skill.manifest.environment));
        entry.report = Some(report.clone());
        entry.admit();
        self.clear_alias(name, &skill.manifest.environment);
        Ok(())
    }

    fn admit_reflex(
        &mut self,
        id: &SkillId,
        event: &LibraryEvent,
        trial: &ReflexTrial,
        rule: &ReflexRule,
    ) -> Result<(), IllegalEvent> {
        let skill = Arc::clone(&self.expect(id, event, &[Status::Trial])?.skill);
        expect_kind(&skill, true, event)?;
        let (name, version) = (&skill.manifest.name, skill.manifest.version);
        rule.judge(trial).map_err(|reason| IllegalEvent::NoGain { name: name.clone(), version, reason })?;
        let entry = self.entry_mut(id)?;
        entry.trial = Some(trial.clone());
        entry.admit();
        self.clear_alias(name, &skill.manifest.environment);
        Ok(())
    }

    fn retest(
        &mut self,
        id: &SkillId,
        event: &LibraryEvent,
        results: &[CaseResult],
        prerequisites: &[SkillId],
    ) -> Result<(), IllegalEvent> {
        let entry = self.expect(id, event, &[Status::Admitted])?;
        let (skill, cases) = (Arc::clone(&entry.skill), entry.cases());
        expect_kind(&skill, false, event)?;
        let (name, version) = (skill.manifest.name.clone(), skill.manifest.version);
        if let Some(case) = failed(&cases, results).first() {
            return Err(IllegalEvent::CaseFailed { name, version, case: case.id(), of: None });
        }
        if !results.iter().any(|result| result.passed && cases.iter().any(|case| case.id() == result.case)) {
            return Err(IllegalEvent::Untested { name, version });
        }
        self.check_chain(&skill, prerequisites)?;
        if let Some(report) = &mut self.entry_mut(id)?.report {
            report.prerequisites = prerequisites.to_vec();
        }
        Ok(())
    }

    fn merge(
        &mut self,
        name: &str,
        into: &str,
        evidence: &[CaseResult],
        environment: Option<&str>,
    ) -> Result<(), IllegalEvent> {
        let environment = duplicate::judge(self, name, into, evidence, environment)?;
        if let Some(history) = self.skills.get_mut(name) {
            for entry in history.versions.iter_mut().filter(|entry| entry.environment() == environment) {
                entry.status = Status::Retired;
            }
            history.aliases.insert(environment, into.to_owned());
        }
        Ok(())
    }

    fn switch(&mut self, name: &str, enabled: bool, event: &'static str) -> Result<(), IllegalEvent> {
        let history =
            self.skills.get_mut(name).ok_or_else(|| IllegalEvent::Unused { name: name.to_owned() })?;
        let reflex = history.versions.iter().any(Entry::is_reflex);
        if !reflex {
            return Err(IllegalEvent::WrongKind { name: name.to_owned(), kind: "a skill", event });
        }
        history.disabled = !enabled;
        Ok(())
    }

    /// Every skill that `skill` calls must be active, must be the version used in the trial, and must not
    /// call `skill`.
    fn check_chain(&self, skill: &Skill, prerequisites: &[SkillId]) -> Result<(), IllegalEvent> {
        let name = &skill.manifest.name;
        let environment = skill.manifest.environment.as_str();
        for callee in skill.manifest.calls.iter().filter(|callee| self.knows(callee, environment)) {
            let active = self.active_in(callee, environment).map(Entry::id);
            if active.is_none_or(|id| !prerequisites.contains(id)) {
                return Err(IllegalEvent::UntriedChain { name: name.clone(), callee: callee.clone() });
            }
            if self.reaches(callee, name, environment) {
                return Err(IllegalEvent::Cycle { name: name.clone(), callee: callee.clone() });
            }
        }
        Ok(())
    }

    fn roll_back(&mut self, name: &str, to: u32, event: &'static str) -> Result<(), IllegalEvent> {
        let unknown = || IllegalEvent::UnknownVersion { name: name.into(), version: to };
        let history = self.skills.get_mut(name).ok_or_else(unknown)?;
        let target = history.version(to).ok_or_else(unknown)?;
        let (status, environment) = (target.status, target.environment().to_owned());
        if status != Status::Admitted {
            return Err(IllegalEvent::WrongStatus { name: name.into(), version: to, status, event });
        }
        for newer in history.versions.iter_mut().skip(to as usize) {
            if newer.status == Status::Admitted && newer.environment() == environment {
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
    ) -> Result<&mut Entry, IllegalEvent> {
        let entry = self.entry_mut(id)?;
        if allowed.contains(&entry.status) {
            return Ok(entry);
        }
        let (name, version) = (entry.skill.manifest.name.clone(), entry.skill.manifest.version);
        Err(IllegalEvent::WrongStatus { name, version, status: entry.status, event: event.kind() })
    }

    fn entry_mut(&mut self, id: &SkillId) -> Result<&mut Entry, IllegalEvent> {
        self.skills
            .values_mut()
            .flat_map(|history| &mut history.versions)
            .find(|entry| entry.id() == id)
            .ok_or_else(|| IllegalEvent::UnknownId { id: id.clone() })
    }

    /// Clears the alias of a name that now has an admitted version of its own in `environment`.
    fn clear_alias(&mut self, name: &str, environment: &str) {
        if let Some(history) = self.skills.get_mut(name) {
            history.alias = None;
            history.aliases.remove(environment);
        }
    }
}

impl Entry {
    fn admit(&mut self) {
        self.status = Status::Admitted;
        self.since_admission = Usage::default();
    }

    fn count(&mut self, one: &Use) {
        self.usage.entry(one.context.clone()).or_default().add(one);
        if self.status == Status::Admitted {
            self.since_admission.add(one);
        }
    }
}

fn expect_kind(skill: &Skill, reflex: bool, event: &LibraryEvent) -> Result<(), IllegalEvent> {
    let is_reflex = matches!(skill.manifest.kind, Kind::Reflex { .. });
    if is_reflex == reflex {
        return Ok(());
    }
    let kind = if is_reflex { "a reflex" } else { "a skill" };
    Err(IllegalEvent::WrongKind { name: skill.manifest.name.clone(), kind, event: event.kind() })
}
