use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Paired episodes, run with a reflex and without it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReflexTrial {
    /// One pair per seed.
    pub episodes: Vec<PairedEpisode>,
}

/// One episode, run twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedEpisode {
    /// Seed of the world.
    pub seed: u64,
    /// The run with the reflex.
    pub with: Arm,
    /// The run without it.
    pub without: Arm,
}

/// Result of one of the two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Environment steps survived.
    pub steps: u32,
    /// Whether the agent died; otherwise the episode reached its time limit.
    pub died: bool,
    /// Number of distinct achievements.
    pub achievements: u32,
}

/// What a trial must show before a reflex is admitted: it increases survival time or achievements by a
/// margin, without reducing the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct ReflexRule {
    /// Required number of distinct seeds. 0 counts as 1.
    pub episodes: usize,
    /// Required relative increase of the mean: 0.05 is 5 %.
    pub margin: f64,
    /// Required increase in standard errors of the mean paired difference. 1 is a one-sided error probability
    /// of about 16 %. Single episodes vary widely, so the mean alone is weak evidence.
    pub errors: f64,
}

impl Default for ReflexRule {
    /// 6 episodes, 5 %, 1 standard error.
    fn default() -> Self {
        Self { episodes: 6, margin: 0.05, errors: 1.0 }
    }
}

/// Means of both arms.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ReflexFigures {
    /// Number of distinct seeds.
    pub episodes: usize,
    /// Environment steps survived.
    pub steps: Comparison,
    /// Achievements.
    pub achievements: Comparison,
    /// Episodes with the reflex that ended in death.
    pub deaths_with: usize,
    /// Episodes without the reflex that ended in death.
    pub deaths_without: usize,
}

/// One measure in both arms.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Mean with the reflex.
    pub with: f64,
    /// Mean without it.
    pub without: f64,
    /// Standard error of the mean paired difference: the sample standard deviation of the differences over
    /// √n.
    pub error: f64,
}

/// Why a reflex is not admitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ReflexRefusal {
    /// Too few episodes.
    #[error("tried in {tried} episodes, {needed} are needed")]
    TooFewEpisodes {
        /// Distinct seeds in the trial.
        tried: usize,
        /// Seeds that the rule requires.
        needed: usize,
    },
    /// Neither measure increases by the margin.
    #[error(
        "lived {:.1} steps with it and {:.1} without (± {:.1}), with {:.2} and {:.2} achievements (± {:.2}): \
         neither rises by {:.0} %",
        figures.steps.with, figures.steps.without, figures.steps.error,
        figures.achievements.with, figures.achievements.without, figures.achievements.error, margin * 100.0
    )]
    NoGain {
        /// The measurements.
        figures: ReflexFigures,
        /// The required margin.
        margin: f64,
    },
    /// One measure increases and the other decreases.
    #[error(
        "lived {:.1} steps with it and {:.1} without, but with {:.2} instead of {:.2} achievements",
        figures.steps.with, figures.steps.without, figures.achievements.with, figures.achievements.without
    )]
    Costs {
        /// The measurements.
        figures: ReflexFigures,
    },
}

impl Comparison {
    fn of(pairs: &[(f64, f64)]) -> Self {
        let count = pairs.len().max(1) as f64;
        let mean = |side: fn(&(f64, f64)) -> f64| pairs.iter().map(side).sum::<f64>() / count;
        let (with, without) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let spread = pairs.iter().map(|(a, b)| (a - b - (with - without)).powi(2)).sum::<f64>();
        let error = if pairs.len() > 1 { (spread / (count - 1.0) / count).sqrt() } else { f64::MAX };
        Self { with, without, error }
    }

    /// Whether the measure increases by the rule's margin and number of standard errors.
    fn rises(&self, rule: &ReflexRule) -> bool {
        let gain = self.with - self.without;
        gain > 0.0 && gain >= rule.margin * self.without && gain >= rule.errors * self.error
    }

    fn falls(&self) -> bool {
        self.with < self.without
    }
}

impl ReflexTrial {
    /// Means over distinct seeds; only the first episode of a seed counts.
    pub fn figures(&self) -> ReflexFigures {
        let mut seen = BTreeSet::new();
        let episodes: Vec<&PairedEpisode> =
            self.episodes.iter().filter(|episode| seen.insert(episode.seed)).collect();
        let compare = |measure: fn(&Arm) -> u32| {
            let pair = |episode: &&PairedEpisode| {
                (f64::from(measure(&episode.with)), f64::from(measure(&episode.without)))
            };
            Comparison::of(&episodes.iter().map(pair).collect::<Vec<_>>())
        };
        ReflexFigures {
            episodes: episodes.len(),
            steps: compare(|arm| arm.steps),
            achievements: compare(|arm| arm.achievements),
            deaths_with: episodes.iter().filter(|episode| episode.with.died).count(),
            deaths_without: episodes.iter().filter(|episode| episode.without.died).count(),
        }
    }
}

impl ReflexRule {
    /// Checks a trial against the rule.
    ///
    /// # Errors
    /// Why the reflex is not admitted.
    pub fn judge(&self, trial: &ReflexTrial) -> Result<ReflexFigures, ReflexRefusal> {
        let figures = trial.figures();
        let (tried, needed) = (figures.episodes, self.episodes.max(1));
        if tried < needed {
            return Err(ReflexRefusal::TooFewEpisodes { tried, needed });
        }
        let (lives, does) = (figures.steps, figures.achievements);
        match (lives.rises(self), does.rises(self)) {
            (false, false) => Err(ReflexRefusal::NoGain { figures, margin: self.margin }),
            (true, false) if does.falls() => Err(ReflexRefusal::Costs { figures }),
            (false, true) if lives.falls() => Err(ReflexRefusal::Costs { figures }),
            _ => Ok(figures),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(pairs: &[(u32, u32, u32, u32)]) -> ReflexTrial {
        let arm = |steps, achievements| Arm { steps, died: true, achievements };
        let episodes = pairs.iter().enumerate().map(|(seed, &(with, without, more, fewer))| PairedEpisode {
            seed: seed as u64,
            with: arm(with, more),
            without: arm(without, fewer),
        });
        ReflexTrial { episodes: episodes.collect() }
    }

    #[test]
    fn a_reflex_must_show_a_gain_without_a_cost() {
        let rule = ReflexRule::default();
        let refused = |pairs: &[(u32, u32, u32, u32)]| rule.judge(&trial(pairs)).err();
        assert_eq!(refused(&[(120, 100, 5, 5); 6]), None);
        assert_eq!(refused(&[(100, 100, 6, 5); 6]), None, "more achievements in the same time");
        assert_eq!(refused(&[(105, 100, 5, 5); 6]), None, "the margin is enough");
        assert!(matches!(refused(&[(104, 100, 5, 5); 6]), Some(ReflexRefusal::NoGain { .. })));
        assert!(matches!(refused(&[(120, 100, 4, 5); 6]), Some(ReflexRefusal::Costs { .. })));
        assert!(matches!(refused(&[(90, 100, 9, 5); 6]), Some(ReflexRefusal::Costs { .. })));
        assert!(matches!(refused(&[(120, 100, 5, 5); 5]), Some(ReflexRefusal::TooFewEpisodes { .. })));
        assert!(matches!(refused(&[]), Some(ReflexRefusal::TooFewEpisodes { .. })));
        let one_lucky_episode = [(700, 100, 5, 5), (100, 101, 5, 5), (90, 95, 5, 5), (99, 99, 5, 5)];
        let lucky = [&one_lucky_episode[..], &[(80, 85, 5, 5), (60, 70, 5, 5)]].concat();
        assert!(matches!(refused(&lucky), Some(ReflexRefusal::NoGain { .. })), "one episode proves nothing");
    }

    #[test]
    fn a_seed_counts_once() {
        let mut repeated = trial(&[(120, 100, 5, 5); 3]);
        repeated.episodes.extend(repeated.episodes.clone());
        let refused = ReflexRule::default().judge(&repeated);
        assert_eq!(refused, Err(ReflexRefusal::TooFewEpisodes { tried: 3, needed: 6 }));
        let lax = ReflexRule { episodes: 0, margin: 0.0, errors: 0.0 };
        assert!(lax.judge(&ReflexTrial::default()).is_err(), "nothing is admitted untried");
    }

    #[test]
    fn the_error_is_that_of_the_paired_differences() {
        let figures = trial(&[(110, 100, 0, 0), (230, 200, 0, 0)]).figures();
        // Differences 10 and 30: standard deviation 14.14, divided by √2.
        assert!((figures.steps.error - 10.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.steps.with - 170.0).abs() < 1e-9);
    }
}
