use serde::{Deserialize, Serialize};

/// One use of an admitted skill, as judged by the critic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Context of the use: the name of a task, or another label that the caller distinguishes.
    pub context: String,
    /// The post-condition held afterwards.
    pub success: bool,
    /// The agent died during the use.
    pub died: bool,
    /// Environment steps taken.
    pub steps: u32,
    /// Exception or stop reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Totals over several uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Uses after which the post-condition held.
    pub successes: u32,
    /// Uses after which it did not hold.
    pub failures: u32,
    /// Uses during which the agent died.
    pub deaths: u32,
    /// Environment steps over all uses.
    pub steps: u64,
    /// Error of the latest failed use that had one. A use whose goal ended the episode was stopped too, but did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl Usage {
    /// Adds one use.
    pub fn add(&mut self, one: &Use) {
        let side = if one.success { &mut self.successes } else { &mut self.failures };
        *side = side.saturating_add(1);
        self.deaths = self.deaths.saturating_add(u32::from(one.died));
        self.steps = self.steps.saturating_add(u64::from(one.steps));
        if !one.success && one.error.is_some() {
            self.last_error.clone_from(&one.error);
        }
    }

    /// Adds up several totals. The last error is that of the last total that has one.
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        tallies.into_iter().fold(Self::default(), |sum, one| Self {
            successes: sum.successes.saturating_add(one.successes),
            failures: sum.failures.saturating_add(one.failures),
            deaths: sum.deaths.saturating_add(one.deaths),
            steps: sum.steps.saturating_add(one.steps),
            last_error: one.last_error.clone().or(sum.last_error),
        })
    }

    /// Number of uses.
    pub fn uses(&self) -> u32 {
        self.successes.saturating_add(self.failures)
    }

    /// Laplace's rule of succession, `(successes + 1) / (uses + 2)`; 0.5 without any use.
    pub fn success_rate(&self) -> f64 {
        (f64::from(self.successes) + 1.0) / (f64::from(self.uses()) + 2.0)
    }

    /// Mean environment steps of a use.
    pub fn mean_steps(&self) -> Option<f64> {
        (self.uses() > 0).then(|| self.steps as f64 / f64::from(self.uses()))
    }
}

/// When an admitted skill returns to trial, by its uses since admission.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DemotionRule {
    /// Minimum number of uses for judging success rate and steps.
    pub min_uses: u32,
    /// Minimum success rate.
    pub min_success: f64,
    /// Minimum number of deaths for judging the death rate.
    pub min_deaths: u32,
    /// Maximum rate of uses with a death.
    pub max_death_rate: f64,
    /// Maximum ratio of mean steps in use to mean steps in the trial.
    pub waste: f64,
}

impl Default for DemotionRule {
    /// After 4 uses a skill must succeed in a third of them and take at most 5 times the steps of its trial.
    /// Two deaths are too many if they are more than half of the uses; in worlds with roaming dangers, some
    /// skill is always running when the agent dies.
    fn default() -> Self {
        Self { min_uses: 4, min_success: 0.34, min_deaths: 2, max_death_rate: 0.5, waste: 5.0 }
    }
}

/// Why a skill was demoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Demotion {
    /// Its success rate is too low.
    #[error("succeeded in {successes} of {uses} uses")]
    Fails {
        /// Successes since admission.
        successes: u32,
        /// Uses since admission.
        uses: u32,
    },
    /// Its death rate is too high.
    #[error("the agent died within {deaths} of {uses} uses")]
    Kills {
        /// Deaths since admission.
        deaths: u32,
        /// Uses since admission.
        uses: u32,
    },
    /// It takes far more steps than in its trial.
    #[error("takes {mean:.0} steps, {expected:.0} in its trial")]
    Wastes {
        /// Mean steps since admission.
        mean: f64,
        /// Mean steps in the trial.
        expected: f64,
    },
    /// A callee is no longer the version used in the trial.
    #[error("`{name}`, which it calls, has changed")]
    Stale {
        /// Name of the callee.
        name: String,
    },
    /// It no longer passes its cases.
    #[error("fails {failed} of its {cases} cases")]
    Regressed {
        /// Failed cases.
        failed: u32,
        /// Cases that could be started.
        cases: u32,
    },
    /// A person demoted it.
    #[error("{note}")]
    ByHand {
        /// The person's reason.
        note: String,
    },
}

impl DemotionRule {
    /// Why a skill with these uses since admission should be demoted, if it should. `expected` is the mean
    /// number of steps in its trial.
    pub fn judge(&self, usage: &Usage, expected: Option<f64>) -> Option<Demotion> {
        let Usage { successes, deaths, .. } = *usage;
        let uses = usage.uses();
        if deaths >= self.min_deaths && f64::from(deaths) > self.max_death_rate * f64::from(uses) {
            return Some(Demotion::Kills { deaths, uses });
        }
        if uses < self.min_uses {
            return None;
        }
        if f64::from(successes) < self.min_success * f64::from(uses) {
            return Some(Demotion::Fails { successes, uses });
        }
        let (mean, expected) = (usage.mean_steps()?, expected?);
        (mean > self.waste * expected.max(1.0)).then_some(Demotion::Wastes { mean, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_is_demoted_for_failures_deaths_and_wasted_steps() {
        let tally = |successes, failures, deaths, steps| Usage {
            successes,
            failures,
            deaths,
            steps,
            last_error: None,
        };
        for (usage, expected) in [
            (tally(0, 0, 0, 0), None),
            (tally(0, 3, 0, 30), None),
            (tally(0, 4, 0, 40), Some(Demotion::Fails { successes: 0, uses: 4 })),
            (tally(1, 3, 0, 40), Some(Demotion::Fails { successes: 1, uses: 4 })),
            (tally(2, 2, 0, 40), None),
            (tally(9, 1, 1, 99), None),
            (tally(1, 1, 2, 20), Some(Demotion::Kills { deaths: 2, uses: 2 })),
            (tally(4, 0, 0, 200), None),
            (tally(4, 0, 0, 204), Some(Demotion::Wastes { mean: 51.0, expected: 10.0 })),
        ] {
            assert_eq!(DemotionRule::default().judge(&usage, Some(10.0)), expected, "{usage:?}");
        }
    }

    #[test]
    fn an_unused_skill_has_success_rate_one_half() {
        assert!((Usage::default().success_rate() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_success_keeps_the_last_error() {
        let one = |success, error: Option<&str>| Use {
            context: String::new(),
            success,
            died: false,
            steps: 1,
            error: error.map(Into::into),
        };
        let mut usage = Usage::default();
        usage.add(&one(false, Some("stopped")));
        usage.add(&one(true, None));
        usage.add(&one(true, Some("stopped: the episode is over: the goal is reached")));
        assert_eq!(usage.last_error.as_deref(), Some("stopped"));
    }
}
