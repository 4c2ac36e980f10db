//! The next call towards a change, decided anew after each call.

use super::evidence::{Change, Evidence};
use super::induction::{Known, Test};
use crate::play::{Features, Scalar};
use std::collections::{BTreeMap, BTreeSet};

/// What was tried in vain on the way, in the episode under way.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// A call that should have brought about a state with this, and did not.
    failed: Option<Test>,
    /// What the last call should bring about.
    wanted: Option<Test>,
    /// The last call, where it was made to look for something.
    looking: Option<usize>,
    /// For each call that looked for something, how often, and how often what was looked for was found next.
    looked: BTreeMap<usize, (u32, u32)>,
}

impl Way {
    /// The next call; `None` where no way is known.
    pub(super) fn next(
        &mut self,
        goal: usize,
        known: &[Known],
        evidence: &Evidence,
        state: &Features,
        options: &[usize],
    ) -> Option<usize> {
        let number = |path: usize| state.get(path).and_then(Scalar::number).unwrap_or(0.0);
        let mut visited = BTreeSet::new();
        let mut at = goal;
        loop {
            if !visited.insert(at) {
                return None;
            }
            let step = known.get(at)?;
            let makers = |test: &Test| maker(test, known, evidence);
            let missing: Vec<&Test> =
                step.needs.iter().filter(|need| matches!(need, Test::Is(..)) && !need.holds(state)).collect();
            // What is needed in all, also for what must be made first.
            let mut amounts: BTreeMap<usize, f64> = BTreeMap::new();
            for need in &step.needs {
                if let Test::AtLeast(path, least) = need {
                    let amount = amounts.entry(*path).or_default();
                    *amount = amount.max(*least);
                }
            }
            for test in &missing {
                for (path, by) in makers(test).map(|at| known[at].uses.as_slice()).unwrap_or_default() {
                    *amounts.entry(*path).or_default() += by;
                }
            }
            if let Some((path, _)) = amounts.iter().find(|(path, amount)| number(**path) < **amount) {
                at = best(known, |at, one| one.change == Change::Rose(*path) && !visited.contains(&at))?;
                continue;
            }
            let Some(test) = missing.first() else {
                return options.contains(&step.call).then_some(step.call);
            };
            let maker = makers(test).filter(|at| !visited.contains(at));
            if self.failed.as_ref() == Some(*test) {
                match maker {
                    Some(maker) => {
                        at = maker;
                        continue;
                    }
                    None => return self.look(evidence, options),
                }
            }
            match bringer(test, evidence, options) {
                Some(call) => {
                    self.wanted = Some((*test).clone());
                    return Some(call);
                }
                None => match maker {
                    Some(maker) => at = maker,
                    None => return self.look(evidence, options),
                },
            }
        }
    }

    /// Notes what came of the call.
    pub(super) fn made(&mut self, call: usize, after: &Features) {
        if self.looking == Some(call) {
            // The next attempt shows whether it helped.
            self.failed = None;
            return;
        }
        if let Some(wanted) = self.wanted.take() {
            let found = wanted.holds(after);
            if let Some(looked) = self.looking.take() {
                let (times, successes) = self.looked.entry(looked).or_default();
                *times += 1;
                *successes += u32::from(found);
            }
            self.failed = (!found).then_some(wanted);
        }
    }

    /// A call that may lead to where the missing thing is: one that needs no argument, rather one that helped before.
    fn look(&mut self, evidence: &Evidence, options: &[usize]) -> Option<usize> {
        let bare = |call: &&usize| evidence.calls[**call].call.args.values().all(|value| !value.is_string());
        let all: Vec<usize> = match options.iter().filter(bare).copied().collect::<Vec<_>>() {
            none if none.is_empty() => options.to_vec(),
            some => some,
        };
        let worth = |call: &usize| {
            let (times, successes) = self.looked.get(call).copied().unwrap_or_default();
            // What changes more of the state shows more of the world.
            let tested = &evidence.calls[*call];
            let changes = tested.counts.values().sum::<u32>();
            let shown = f64::from(changes) / f64::from(tested.made.max(1));
            (f64::from(successes) + 1.0) / (f64::from(times) + 2.0) * (1.0 + shown)
        };
        let best = all.into_iter().max_by(|a, b| worth(a).total_cmp(&worth(b)))?;
        self.looking = Some(best);
        Some(best)
    }
}

/// The best rule of these.
fn best(known: &[Known], is: impl Fn(usize, &Known) -> bool) -> Option<usize> {
    let fitting = known.iter().enumerate().filter(|(at, one)| !one.rule.closed && is(*at, one));
    fitting.min_by(|a, b| a.1.rule.expected_steps().total_cmp(&b.1.rule.expected_steps())).map(|(at, _)| at)
}

/// The rule that makes what the test is about.
fn maker(test: &Test, known: &[Known], evidence: &Evidence) -> Option<usize> {
    let change = change(test, evidence)?;
    best(known, |_, one| one.change == change && !one.uses.is_empty())
}

/// The change after which a test holds.
fn change(test: &Test, evidence: &Evidence) -> Option<Change> {
    let Test::Is(path, value) = test else { return None };
    let is_member = evidence.paths.path(*path)?.is_membership();
    Some(if is_member { Change::Gained(*path) } else { Change::Became(*path, value.json().to_string()) })
}

/// The call after which the test holds most often, rather one that names what is wanted.
fn bringer(test: &Test, evidence: &Evidence, options: &[usize]) -> Option<usize> {
    let change = change(test, evidence)?;
    let Test::Is(path, value) = test else { return None };
    let wanted = match evidence.paths.path(*path).and_then(|path| path.holds()) {
        Some(member) => Some(member),
        None => match value {
            Scalar::Text(text) => Some(text.as_str()),
            _ => None,
        },
    };
    let worth = |call: &usize| {
        let tested = &evidence.calls[*call];
        let names = wanted
            .is_some_and(|wanted| tested.call.args.values().any(|value| value.as_str() == Some(wanted)));
        let count = tested.counts.get(&change).copied().unwrap_or(0);
        (f64::from(count) + f64::from(u8::from(names))) / (f64::from(tested.made) + 3.0)
    };
    let best = options.iter().copied().max_by(|a, b| worth(a).total_cmp(&worth(b)))?;
    (worth(&best) > 0.0).then_some(best)
}
