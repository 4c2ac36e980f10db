use crate::{Case, CaseResult, SkillId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// What came of trying a skill in several worlds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrialReport {
    /// One per world, in the order tried.
    pub worlds: Vec<WorldResult>,
    /// The versions of the library's skills that it called: a chain is only as good as its links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<SkillId>,
    /// How the worlds in which it passed are brought about again: its regression cases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<Case>,
    /// For a repair: how it did in the cases of the version that it repairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regressions: Vec<CaseResult>,
}

/// What came of one call in one world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorldResult {
    /// The world's seed, or the number of the snapshot it started from.
    pub seed: u64,
    /// The arguments of the call.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// The post-condition held afterwards.
    pub verified: bool,
    /// The function came to its own end, or to the episode's by reaching its goal; false when it was stopped or threw.
    pub returned: bool,
    /// Environment steps taken.
    pub steps: u32,
    /// Sum of what the vitals lost.
    pub harm: f64,
    /// The agent died within.
    pub died: bool,
    /// Counters that changed although the post-condition does not name them, as JSON pointers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrelated: Vec<String>,
    /// What it threw, or why it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl WorldResult {
    /// It did what it promised, ended by itself, and the agent lived.
    pub fn passed(&self) -> bool {
        self.verified && self.returned && !self.died
    }
}

impl TrialReport {
    /// In how many worlds it passed.
    pub fn passes(&self) -> usize {
        self.worlds.iter().filter(|world| world.passed()).count()
    }

    /// Mean environment steps over the worlds in which it passed.
    pub fn mean_steps(&self) -> Option<f64> {
        mean(self.worlds.iter().filter(|world| world.passed()).map(|world| f64::from(world.steps)))
    }

    /// Mean harm over all worlds.
    pub fn mean_harm(&self) -> Option<f64> {
        mean(self.worlds.iter().map(|world| world.harm))
    }
}

/// What a report must show before a skill is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AdmissionRule {
    /// In how many worlds it must have been tried.
    pub worlds: usize,
    /// In how many of them it must have passed. 0 counts as 1: nothing is admitted unverified.
    pub needed: usize,
    /// Greatest mean of environment steps where it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mean_steps: Option<f64>,
    /// Greatest mean harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mean_harm: Option<f64>,
    /// Whether the agent may have died in a world where it did not pass. Otherwise one death refuses it.
    pub allow_death: bool,
    /// Whether only those passes count for `needed` in which nothing changed that the task has nothing to do with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tidy: bool,
}

impl Default for AdmissionRule {
    /// At least 2 of 3 worlds and no death: one unlucky world is forgiven, a lucky one is not enough.
    fn default() -> Self {
        Self {
            worlds: 3,
            needed: 2,
            max_mean_steps: None,
            max_mean_harm: None,
            allow_death: false,
            tidy: false,
        }
    }
}

/// Why a report does not earn admission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// Not tried often enough.
    #[error("tried in {tried} worlds, {needed} are needed")]
    TooFewWorlds {
        /// Different worlds in the report.
        tried: usize,
        /// What the rule asks for.
        needed: usize,
    },
    /// Passed too rarely.
    #[error("passed in {passed} worlds, {needed} are needed")]
    TooFewPasses {
        /// Worlds in which it passed.
        passed: usize,
        /// What the rule asks for.
        needed: usize,
    },
    /// Passed, but changed what it was not asked to.
    #[error(
        "passed in {passed} worlds, but only in {tidy} of them without effects beside the task, {needed} are needed"
    )]
    Untidy {
        /// Worlds in which it passed.
        passed: usize,
        /// Those without an unrelated effect.
        tidy: usize,
        /// What the rule asks for.
        needed: usize,
    },
    /// It was right but had to be stopped.
    #[error("did not return by itself in {worlds} worlds where the goal was reached")]
    NoReturn {
        /// Verified worlds without a natural return.
        worlds: usize,
    },
    /// The agent died.
    #[error("the agent died in {worlds} worlds")]
    Died {
        /// Worlds with a death.
        worlds: usize,
    },
    /// It takes too long.
    #[error("took {mean:.1} steps on average, at most {limit} are allowed")]
    TooManySteps {
        /// Mean steps where it passed.
        mean: f64,
        /// What the rule allows.
        limit: f64,
    },
    /// It costs too much of the vitals.
    #[error("lost {mean:.1} of the vitals on average, at most {limit} are allowed")]
    TooMuchHarm {
        /// Mean harm.
        mean: f64,
        /// What the rule allows.
        limit: f64,
    },
}

/// The judgement of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the skill may be admitted.
    pub admitted: bool,
    /// What speaks against it; a verified world without a natural return is told even if others suffice.
    pub reasons: Vec<Refused>,
}

impl AdmissionRule {
    /// Judges a report. Two results of the same seed with the same arguments count as one world.
    pub fn judge(&self, report: &TrialReport) -> Verdict {
        let worlds = distinct(&report.worlds);
        let count = |test: &dyn Fn(&WorldResult) -> bool| worlds.iter().filter(|world| test(world)).count();
        let mut against = Vec::new();

        let tried = worlds.len();
        if tried < self.worlds {
            against.push(Refused::TooFewWorlds { tried, needed: self.worlds });
        }
        let (passed, needed) = (count(&WorldResult::passed), self.needed.max(1));
        if passed < needed {
            against.push(Refused::TooFewPasses { passed, needed });
        }
        let tidy = count(&|world| world.passed() && world.unrelated.is_empty());
        if self.tidy && passed >= needed && tidy < needed {
            against.push(Refused::Untidy { passed, tidy, needed });
        }
        let deaths = count(&|world| world.died);
        if deaths > 0 && !self.allow_death {
            against.push(Refused::Died { worlds: deaths });
        }
        if let (Some(mean), Some(limit)) = (report.mean_steps(), self.max_mean_steps)
            && mean > limit
        {
            against.push(Refused::TooManySteps { mean, limit });
        }
        if let (Some(mean), Some(limit)) = (report.mean_harm(), self.max_mean_harm)
            && mean > limit
        {
            against.push(Refused::TooMuchHarm { mean, limit });
        }

        let admitted = against.is_empty();
        let unfinished = count(&|world| world.verified && !world.returned);
        if unfinished > 0 {
            against.push(Refused::NoReturn { worlds: unfinished });
        }
        Verdict { admitted, reasons: against }
    }
}

fn distinct(worlds: &[WorldResult]) -> Vec<&WorldResult> {
    let mut kept: Vec<&WorldResult> = Vec::new();
    for world in worlds {
        if !kept.iter().any(|seen| seen.seed == world.seed && seen.args == world.args) {
            kept.push(world);
        }
    }
    kept
}

/// One of several sources written for the same task, with its trial.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its source.
    pub source: &'a str,
    /// Its trial.
    pub report: &'a TrialReport,
}

/// The position of the best candidate: it passed in most worlds, then took the fewest steps where it passed,
/// then changed the least that it was not asked to, then is the shortest; the first of equals.
///
/// None when no candidate passed anywhere.
pub fn best_of(candidates: &[Candidate<'_>]) -> Option<usize> {
    let unrelated =
        |report: &TrialReport| report.worlds.iter().map(|world| world.unrelated.len()).sum::<usize>();
    let steps = |report: &TrialReport| report.mean_steps().unwrap_or(f64::INFINITY);
    let order = |a: &Candidate<'_>, b: &Candidate<'_>| -> Ordering {
        (b.report.passes().cmp(&a.report.passes()))
            .then_with(|| steps(a.report).total_cmp(&steps(b.report)))
            .then_with(|| unrelated(a.report).cmp(&unrelated(b.report)))
            .then_with(|| a.source.len().cmp(&b.source.len()))
    };
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.report.passes() > 0)
        .min_by(|(_, a), (_, b)| order(a, b))
        .map(|(position, _)| position)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(seed: u64, steps: u32) -> WorldResult {
        WorldResult {
            seed,
            args: Map::new(),
            verified: true,
            returned: true,
            steps,
            harm: 0.0,
            died: false,
            unrelated: Vec::new(),
            error: None,
        }
    }

    fn report(worlds: impl IntoIterator<Item = WorldResult>) -> TrialReport {
        TrialReport { worlds: worlds.into_iter().collect(), ..TrialReport::default() }
    }

    #[test]
    fn the_default_rule() {
        let unverified = |seed| WorldResult { verified: false, ..world(seed, 9) };
        let stopped = |seed| WorldResult { returned: false, ..world(seed, 9) };
        let dead = |seed| WorldResult { died: true, ..world(seed, 9) };
        for (name, worlds, admitted) in [
            ("three of three", vec![world(1, 9), world(2, 9), world(3, 9)], true),
            ("two of three", vec![world(1, 9), world(2, 9), unverified(3)], true),
            ("one of three", vec![world(1, 9), unverified(2), unverified(3)], false),
            ("two of two", vec![world(1, 9), world(2, 9)], false),
            ("the same world thrice", vec![world(1, 9), world(1, 9), world(1, 9)], false),
            ("stopped twice", vec![world(1, 9), stopped(2), stopped(3)], false),
            ("stopped once", vec![world(1, 9), world(2, 9), stopped(3)], true),
            ("a death", vec![world(1, 9), world(2, 9), dead(3)], false),
            ("nothing", vec![], false),
        ] {
            let verdict = AdmissionRule::default().judge(&report(worlds));
            assert_eq!(verdict.admitted, admitted, "{name}: {:?}", verdict.reasons);
            assert!(verdict.admitted || !verdict.reasons.is_empty(), "{name} is refused without a reason");
        }
    }

    #[test]
    fn a_tidy_rule_counts_passes_without_effects_beside_the_task() {
        let messy = |seed| WorldResult { unrelated: vec!["/inventory/stone".into()], ..world(seed, 9) };
        let tidy = AdmissionRule { tidy: true, ..AdmissionRule::default() };
        let once = report([world(1, 9), world(2, 9), messy(3)]);
        let often = report([world(1, 9), messy(2), messy(3)]);
        assert!(tidy.judge(&once).admitted, "one unlucky world is forgiven");
        assert_eq!(tidy.judge(&often).reasons, [Refused::Untidy { passed: 3, tidy: 1, needed: 2 }]);
        assert!(AdmissionRule::default().judge(&often).admitted, "who does not ask for it does not get it");
    }

    #[test]
    fn limits_are_inclusive() {
        let rule =
            AdmissionRule { max_mean_steps: Some(10.0), max_mean_harm: Some(1.0), ..Default::default() };
        let harmed = |steps, harm| report((0..3).map(|seed| WorldResult { harm, ..world(seed, steps) }));
        assert!(rule.judge(&harmed(10, 1.0)).admitted);
        assert_eq!(rule.judge(&harmed(11, 1.0)).reasons, [Refused::TooManySteps { mean: 11.0, limit: 10.0 }]);
        assert_eq!(rule.judge(&harmed(10, 2.0)).reasons, [Refused::TooMuchHarm { mean: 2.0, limit: 1.0 }]);
    }

    #[test]
    fn a_rule_that_needs_nothing_still_needs_one_pass() {
        let lax = AdmissionRule {
            worlds: 0,
            needed: 0,
            max_mean_steps: None,
            max_mean_harm: None,
            allow_death: true,
            tidy: false,
        };
        assert!(!lax.judge(&report([])).admitted);
        assert!(!lax.judge(&report([WorldResult { died: true, ..world(1, 9) }])).admitted);
        assert!(lax.judge(&report([world(1, 9)])).admitted);
    }

    #[test]
    fn the_best_candidate() {
        let often = report([world(1, 30), world(2, 30)]);
        let fast = report([world(1, 10), world(2, 10)]);
        let once = report([world(1, 1)]);
        let messy =
            report([world(1, 10), WorldResult { unrelated: vec!["/inventory/wood".into()], ..world(2, 10) }]);
        let never = report([WorldResult { verified: false, ..world(1, 1) }]);
        let best = |list: &[(&'static str, &TrialReport)]| {
            let candidates: Vec<_> =
                list.iter().map(|&(source, report)| Candidate { source, report }).collect();
            best_of(&candidates)
        };
        assert_eq!(best(&[("a", &once), ("a", &often)]), Some(1), "more worlds beat fewer steps");
        assert_eq!(best(&[("a", &often), ("aaaa", &fast)]), Some(1), "fewer steps beat a shorter source");
        assert_eq!(best(&[("a", &messy), ("aaaa", &fast)]), Some(1), "tidiness beats a shorter source");
        assert_eq!(
            best(&[("aa", &fast), ("a", &fast), ("b", &fast)]),
            Some(1),
            "then the shortest, then first"
        );
        assert_eq!(best(&[("a", &never)]), None);
    }
}
