use crate::{Case, CaseResult, SkillId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;
use std::cmp::Ordering;

/// Results of trying a skill in several worlds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrialReport {
    /// One result per world, in order.
    pub worlds: Vec<WorldResult>,
    /// Versions of the library skills that it called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<SkillId>,
    /// Regression cases from the worlds in which it passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<Case>,
    /// For a repair: results in the cases of the repaired version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regressions: Vec<CaseResult>,
}

/// Result of one call in one world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorldResult {
    /// Seed of the world, or number of the snapshot that it started from.
    pub seed: u64,
    /// Arguments of the call.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// The post-condition held afterwards.
    pub verified: bool,
    /// The function returned by itself, or the episode ended because its goal was reached. False if it was
    /// stopped or threw.
    pub returned: bool,
    /// Environment steps taken.
    pub steps: u32,
    /// Total decrease of the vitals.
    pub harm: f64,
    /// The agent died during the call.
    pub died: bool,
    /// JSON pointers of counters that changed although the post-condition does not mention them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrelated: Vec<JsonPointer>,
    /// Exception or stop reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl WorldResult {
    /// The call verified and returned, and the agent survived.
    pub fn passed(&self) -> bool {
        self.verified && self.returned && !self.died
    }
}

impl TrialReport {
    /// Number of worlds in which it passed.
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
    /// Required number of worlds.
    pub worlds: usize,
    /// Required number of passes. 0 counts as 1, because nothing is admitted unverified.
    pub needed: usize,
    /// Limit on the mean environment steps of passed worlds. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mean_steps: Option<f64>,
    /// Limit on the mean harm over all worlds: the decrease of the environment's `vitals`. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mean_harm: Option<f64>,
    /// Whether the agent may die in a world that was not passed. Otherwise one death prevents admission.
    pub allow_death: bool,
    /// Counts a pass for `needed` only if nothing unrelated to the task changed. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forbid_side_effects: bool,
}

impl Default for AdmissionRule {
    /// At least 2 of 3 worlds and no death: one unlucky world is tolerated, one lucky world is not enough.
    fn default() -> Self {
        Self {
            worlds: 3,
            needed: 2,
            max_mean_steps: None,
            max_mean_harm: None,
            allow_death: false,
            forbid_side_effects: false,
        }
    }
}

/// Why a report does not satisfy the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionRefusal {
    /// Too few worlds.
    #[error("tried in {tried} worlds, {needed} are needed")]
    TooFewWorlds {
        /// Distinct worlds in the report.
        tried: usize,
        /// Worlds that the rule requires.
        needed: usize,
    },
    /// Too few passes.
    #[error("passed in {passed} worlds, {needed} are needed")]
    TooFewPasses {
        /// Worlds in which it passed.
        passed: usize,
        /// Passes that the rule requires.
        needed: usize,
    },
    /// Too few passes without side effects.
    #[error(
        "passed in {passed} worlds, but only in {clean} of them without side effects, {needed} are needed"
    )]
    SideEffects {
        /// Worlds in which it passed.
        passed: usize,
        /// Passes without unrelated changes.
        clean: usize,
        /// Passes that the rule requires.
        needed: usize,
    },
    /// The goal was reached, but the skill had to be stopped.
    #[error("did not return by itself in {worlds} worlds where the goal was reached")]
    NoReturn {
        /// Verified worlds without a return.
        worlds: usize,
    },
    /// The agent died.
    #[error("the agent died in {worlds} worlds")]
    Died {
        /// Worlds with a death.
        worlds: usize,
    },
    /// Too many steps.
    #[error("took {mean:.1} steps on average, at most {limit} are allowed")]
    TooManySteps {
        /// Mean steps of passed worlds.
        mean: f64,
        /// Limit of the rule.
        limit: f64,
    },
    /// Too much harm.
    #[error("lost {mean:.1} of the vitals on average, at most {limit} are allowed")]
    TooMuchHarm {
        /// Mean harm.
        mean: f64,
        /// Limit of the rule.
        limit: f64,
    },
}

/// Decision about a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdmissionDecision {
    /// Whether the skill may be admitted.
    pub admitted: bool,
    /// Reasons against it. A verified world without a return is listed even if the skill is admitted.
    pub reasons: Vec<AdmissionRefusal>,
}

impl AdmissionRule {
    /// Checks a report. Results with equal seed and arguments count as one world.
    pub fn judge(&self, report: &TrialReport) -> AdmissionDecision {
        let worlds = distinct(&report.worlds);
        let count = |test: &dyn Fn(&WorldResult) -> bool| worlds.iter().filter(|world| test(world)).count();
        let mut against = Vec::new();

        let tried = worlds.len();
        if tried < self.worlds {
            against.push(AdmissionRefusal::TooFewWorlds { tried, needed: self.worlds });
        }
        let (passed, needed) = (count(&WorldResult::passed), self.needed.max(1));
        if passed < needed {
            against.push(AdmissionRefusal::TooFewPasses { passed, needed });
        }
        let clean = count(&|world| world.passed() && world.unrelated.is_empty());
        if self.forbid_side_effects && passed >= needed && clean < needed {
            against.push(AdmissionRefusal::SideEffects { passed, clean, needed });
        }
        let deaths = count(&|world| world.died);
        if deaths > 0 && !self.allow_death {
            against.push(AdmissionRefusal::Died { worlds: deaths });
        }
        if let (Some(mean), Some(limit)) = (report.mean_steps(), self.max_mean_steps)
            && mean > limit
        {
            against.push(AdmissionRefusal::TooManySteps { mean, limit });
        }
        if let (Some(mean), Some(limit)) = (report.mean_harm(), self.max_mean_harm)
            && mean > limit
        {
            against.push(AdmissionRefusal::TooMuchHarm { mean, limit });
        }

        let admitted = against.is_empty();
        let unfinished = count(&|world| world.verified && !world.returned);
        if unfinished > 0 {
            against.push(AdmissionRefusal::NoReturn { worlds: unfinished });
        }
        AdmissionDecision { admitted, reasons: against }
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

/// One of several sources for the same task, with its trial.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which of candidates with equal results is better: the one with the smaller number, such as the length of its source.
    pub preference: usize,
    /// Results of its trial.
    pub report: &'a TrialReport,
}

/// Index of the best candidate: most passes, then fewest steps, then fewest unrelated changes, then smallest
/// preference, then first.
///
/// `None` if no candidate passed in any world.
pub fn best_of(candidates: &[Candidate<'_>]) -> Option<usize> {
    let unrelated =
        |report: &TrialReport| report.worlds.iter().map(|world| world.unrelated.len()).sum::<usize>();
    let steps = |report: &TrialReport| report.mean_steps().unwrap_or(f64::INFINITY);
    let order = |a: &Candidate<'_>, b: &Candidate<'_>| -> Ordering {
        (b.report.passes().cmp(&a.report.passes()))
            .then_with(|| steps(a.report).total_cmp(&steps(b.report)))
            .then_with(|| unrelated(a.report).cmp(&unrelated(b.report)))
            .then_with(|| a.preference.cmp(&b.preference))
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
    fn the_default_rule_needs_two_of_three_worlds_and_no_death() {
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
            let decision = AdmissionRule::default().judge(&report(worlds));
            assert_eq!(decision.admitted, admitted, "{name}: {:?}", decision.reasons);
            assert!(decision.admitted || !decision.reasons.is_empty(), "{name} is refused without a reason");
        }
    }

    #[test]
    fn a_strict_rule_counts_passes_without_side_effects() {
        let messy =
            |seed| WorldResult { unrelated: vec![JsonPointer::of(["inventory", "stone"])], ..world(seed, 9) };
        let strict = AdmissionRule { forbid_side_effects: true, ..AdmissionRule::default() };
        let once = report([world(1, 9), world(2, 9), messy(3)]);
        let often = report([world(1, 9), messy(2), messy(3)]);
        assert!(strict.judge(&once).admitted, "one unlucky world is tolerated");
        assert_eq!(
            strict.judge(&often).reasons,
            [AdmissionRefusal::SideEffects { passed: 3, clean: 1, needed: 2 }]
        );
        assert!(AdmissionRule::default().judge(&often).admitted, "the default rule ignores side effects");
    }

    #[test]
    fn limits_are_inclusive() {
        let rule =
            AdmissionRule { max_mean_steps: Some(10.0), max_mean_harm: Some(1.0), ..Default::default() };
        let harmed = |steps, harm| report((0..3).map(|seed| WorldResult { harm, ..world(seed, steps) }));
        assert!(rule.judge(&harmed(10, 1.0)).admitted);
        assert_eq!(
            rule.judge(&harmed(11, 1.0)).reasons,
            [AdmissionRefusal::TooManySteps { mean: 11.0, limit: 10.0 }]
        );
        assert_eq!(
            rule.judge(&harmed(10, 2.0)).reasons,
            [AdmissionRefusal::TooMuchHarm { mean: 2.0, limit: 1.0 }]
        );
    }

    #[test]
    fn a_rule_that_needs_nothing_still_needs_one_pass() {
        let lax = AdmissionRule {
            worlds: 0,
            needed: 0,
            max_mean_steps: None,
            max_mean_harm: None,
            allow_death: true,
            forbid_side_effects: false,
        };
        assert!(!lax.judge(&report([])).admitted);
        assert!(!lax.judge(&report([WorldResult { died: true, ..world(1, 9) }])).admitted);
        assert!(lax.judge(&report([world(1, 9)])).admitted);
    }

    #[test]
    fn candidates_are_ranked_by_passes_steps_side_effects_and_length() {
        let often = report([world(1, 30), world(2, 30)]);
        let fast = report([world(1, 10), world(2, 10)]);
        let once = report([world(1, 1)]);
        let messy = report([
            world(1, 10),
            WorldResult { unrelated: vec![JsonPointer::of(["inventory", "wood"])], ..world(2, 10) },
        ]);
        let never = report([WorldResult { verified: false, ..world(1, 1) }]);
        let best = |list: &[(&'static str, &TrialReport)]| {
            let candidates: Vec<_> =
                list.iter().map(|&(source, report)| Candidate { preference: source.len(), report }).collect();
            best_of(&candidates)
        };
        assert_eq!(best(&[("a", &once), ("a", &often)]), Some(1), "more worlds beat fewer steps");
        assert_eq!(best(&[("a", &often), ("aaaa", &fast)]), Some(1), "fewer steps beat a shorter source");
        assert_eq!(
            best(&[("a", &messy), ("aaaa", &fast)]),
            Some(1),
            "fewer side effects beat a shorter source"
        );
        assert_eq!(
            best(&[("aa", &fast), ("a", &fast), ("b", &fast)]),
            Some(1),
            "then the shortest, then first"
        );
        assert_eq!(best(&[("a", &never)]), None);
    }
}
