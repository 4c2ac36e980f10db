//! The random policy: every action with equal probability.

use anyhow::Result;
use sojourn_cli::home::Home;
use sojourn_cli::run_stats::RunStats;
use sojourn_controller::Cancel;
use sojourn_core::seeds;
use sojourn_tools::Action;

/// Plays one episode in each of the worlds, at most `steps` steps long. Stops early when cancelled.
pub async fn play(
    home: &Home,
    environment: &str,
    worlds: &[u64],
    steps: u64,
    cancel: &Cancel,
) -> Result<RunStats> {
    let mut world = home.environments().open(environment).await?;
    let actions = world.spec().actions.clone();
    let mut stats = RunStats::default();
    for &seed in worlds {
        world.reset(seed).await?;
        stats.begin(seed);
        for step in 0..steps {
            if cancel.is_cancelled() {
                return Ok(stats);
            }
            let Some(action) = pick(&actions, seed, step) else { break };
            let outcome = world.step(&action).await?;
            stats.step(false, &outcome.unlocked, outcome.ended.as_ref());
            if outcome.ended.is_some() {
                break;
            }
        }
    }
    Ok(stats)
}

/// The action of a step, a function of the world's seed.
fn pick(actions: &[String], seed: u64, step: u64) -> Option<Action> {
    // 2⁶⁴ draws over some twenty actions: the remainder's bias is far below what any number of episodes could show.
    let draw = seeds::draw(seed, "random policy", step).checked_rem(actions.len() as u64)?;
    actions.get(usize::try_from(draw).ok()?).cloned().map(Action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_drawn_about_as_often() {
        let actions: Vec<String> = (0..17).map(|number| number.to_string()).collect();
        let mut counts = [0_u32; 17];
        for step in 0..17_000 {
            let Action(name) = pick(&actions, 3, step).unwrap();
            counts[name.parse::<usize>().unwrap()] += 1;
        }
        // 1000 each, give or take five standard deviations.
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(pick(&[], 3, 0), None);
    }
}
