//! Statistics of a benchmark's episodes.

use serde::Serialize;
use sojourn_cli::evaluation::{mean, standard_error};
use sojourn_cli::run_stats::Episode;
use std::collections::BTreeMap;

/// The figures of several episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// The number of episodes.
    pub episodes: usize,
    /// Mean share of the achievements that an episode unlocked, in percent: BALROG's progression (arXiv 2411.13543).
    pub progress_percent: f64,
    /// Its standard error, in percent: the sample's standard deviation over √n. 0 for a single episode.
    pub progress_se: f64,
    /// Crafter's score, in percent: `exp(mean ln(1 + sᵢ)) − 1` over the success rates `sᵢ` in percent
    /// (arXiv 2109.06780, section 3.3).
    pub score: f64,
    /// Mean environment steps.
    pub mean_steps: f64,
    /// Share of the episodes that unlocked each achievement, in percent.
    pub per_achievement: BTreeMap<String, f64>,
    /// Episodes that ended in death.
    pub deaths: usize,
}

impl Statistics {
    /// The figures of `episodes`, in an environment with these achievements.
    pub fn of(episodes: &[Episode], achievements: &[String]) -> Self {
        let progress: Vec<f64> = episodes
            .iter()
            .map(|episode| {
                let unlocked = achievements.iter().filter(|name| has(episode, name)).count();
                100.0 * ratio(unlocked, achievements.len())
            })
            .collect();
        let per_achievement: BTreeMap<String, f64> = achievements
            .iter()
            .map(|name| {
                let count = episodes.iter().filter(|episode| has(episode, name)).count();
                (name.clone(), 100.0 * ratio(count, episodes.len()))
            })
            .collect();
        let steps: Vec<f64> = episodes.iter().map(|episode| episode.steps as f64).collect();
        Self {
            episodes: episodes.len(),
            progress_percent: mean(&progress),
            progress_se: standard_error(&progress),
            score: score(per_achievement.values().copied()),
            mean_steps: mean(&steps),
            per_achievement,
            deaths: episodes.iter().filter(|episode| episode.died()).count(),
        }
    }
}

fn has(episode: &Episode, achievement: &str) -> bool {
    episode.unlocked.iter().any(|(name, _)| name == achievement)
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn score(rates: impl Iterator<Item = f64>) -> f64 {
    let logarithms: Vec<f64> = rates.map(f64::ln_1p).collect();
    mean(&logarithms).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_tools::{Ending, EndingKind};

    fn episode(steps: u64, unlocked: &[&str], died: bool) -> Episode {
        let unlocked = unlocked.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let ending = died.then(|| Ending { kind: EndingKind::Died, cause: String::new() });
        Episode { steps, unlocked, ending, ..Episode::new(0) }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn figures_are_those_computed_by_hand() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let episodes = [
            episode(100, &["a"], true),
            episode(200, &["a", "b"], true),
            episode(300, &["a", "b", "c"], false),
        ];
        let found = Statistics::of(&episodes, &names);
        // 25, 50 and 75 %: mean 50, sample variance 625, standard error 25 / √3.
        assert!(close(found.progress_percent, 50.0));
        assert!(close(found.progress_se, 25.0 / 3f64.sqrt()));
        // Success rates 100, 200/3, 100/3 and 0 %: the fourth root of 101 · (203/3) · (103/3) · 1, less 1.
        let product: f64 = 101.0 * (203.0 / 3.0) * (103.0 / 3.0);
        assert!(close(found.score, product.powf(0.25) - 1.0));
        assert!(close(found.mean_steps, 200.0));
        assert_eq!(found.deaths, 2);
        assert!(close(found.per_achievement["b"], 200.0 / 3.0));
    }

    #[test]
    fn the_published_score_of_a_perfect_and_of_an_idle_agent() {
        let names: Vec<String> = ["a", "b"].map(str::to_owned).to_vec();
        assert!(close(Statistics::of(&[episode(1, &["a", "b"], false)], &names).score, 100.0));
        assert!(close(Statistics::of(&[episode(1, &[], false)], &names).score, 0.0));
    }

    #[test]
    fn an_achievement_counts_once_an_episode() {
        let names = vec!["a".to_owned()];
        assert!(close(
            Statistics::of(&[episode(1, &["a", "a", "unknown"], false)], &names).progress_percent,
            100.0
        ));
    }

    #[test]
    fn no_episodes_are_no_division_by_zero() {
        let found = Statistics::of(&[], &["a".to_owned()]);
        assert!(
            [found.progress_percent, found.progress_se, found.score, found.mean_steps]
                .iter()
                .all(|v| close(*v, 0.0))
        );
    }
}
