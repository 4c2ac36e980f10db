//! From what was seen of calls to rules.

use super::beliefs::{Rule, Use};
use super::evidence::{Change, Evidence, Record, Tested};
use crate::discovery::Effect;
use crate::play::{Features, Scalar};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{Amount, Condition, Evidence as Counts, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// Times that an effect must have followed a call.
const SEEN: u32 = 2;
/// An effect follows a call that brings it about this many times as often, in as many steps, as it comes otherwise.
const LIFT: f64 = 2.0;
/// Needs of one rule, at most.
const NEEDS: usize = 5;
/// Smallest number of the remaining failed calls that a need must exclude.
const LAST: usize = 4;
/// Share of the successful calls in which a need must be met, in percent.
const MET: usize = 90;
/// A rule is closed when its call failed this often while its needs were met, and succeeded less than once in this number of failures.
const CONTRADICTED: u32 = 60;
/// Characters of a text that can be a need.
const LONGEST: usize = 40;
/// Times that one waits for a number to fall, at most.
const WAITS: f64 = 60.0;

/// A test of one state.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// The number there is at least this.
    AtLeast(usize, f64),
    /// The field has this value, or the list this member.
    Is(usize, Scalar),
}

impl Test {
    pub(super) fn holds(&self, state: &Features) -> bool {
        match self {
            Self::AtLeast(path, least) => state.get(*path).and_then(Scalar::number).unwrap_or(0.0) >= *least,
            Self::Is(path, value) => state.get(*path) == Some(value),
        }
    }
}

/// A rule with the numbers of its parts, so that it is fast to follow.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub change: Change,
    pub call: usize,
    pub needs: Vec<Test>,
    pub uses: Vec<(usize, f64)>,
    pub rule: Rule,
}

/// The rules that the evidence supports.
pub(super) fn induce(evidence: &Evidence) -> Vec<Known> {
    let mut rules = Vec::new();
    let mut totals: BTreeMap<&Change, (u32, u64)> = BTreeMap::new();
    for (call, tested) in evidence.calls.iter().enumerate() {
        for (change, count) in &tested.counts {
            let seen = if matches!(change, Change::Rose(_)) { SEEN } else { SEEN + 1 };
            if *count < seen || !matters(evidence, change) {
                continue;
            }
            let used = used(evidence, tested, change);
            // A list that gets a member as the agent walks tells where it is. One that gets it for something held is made.
            let made = !used.is_empty();
            let is_walked = match change {
                Change::Gained(_) => !made && evidence.ambient.contains(change),
                _ => evidence.ambient.contains(change),
            };
            let total = *totals.entry(change).or_insert_with(|| evidence.total(change));
            if is_walked || evidence.is_at_start(change) || (!made && !is_caused(tested, *count, total)) {
                continue;
            }
            rules.extend(rule(evidence, call, change, used));
        }
    }
    rules
}

/// Whether an effect of this kind can be a goal.
fn matters(evidence: &Evidence, change: &Change) -> bool {
    match change {
        Change::Rose(path) => evidence.is_counter(*path),
        Change::Gained(_) | Change::Became(..) => true,
        Change::Fell(_) => false,
    }
}

fn is_caused(tested: &Tested, count: u32, (total, steps): (u32, u64)) -> bool {
    let (others, other_steps) = (total - count, steps - tested.steps);
    // One of them may be chance.
    let rate = f64::from(count.saturating_sub(1)) / tested.steps.max(1) as f64;
    rate >= LIFT * f64::from(others) / other_steps.max(1) as f64
}

/// The counters that fall whenever the effect comes, with how much they fall by then.
fn used(evidence: &Evidence, tested: &Tested, change: &Change) -> Vec<(usize, f64)> {
    let worked: Vec<&Record> =
        tested.records.iter().filter(|record| record.change(change).is_some()).collect();
    let mut falls: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for record in &worked {
        for (change, by) in &record.changes {
            if let Change::Fell(path) = change
                && evidence.is_counter(*path)
                // What falls by itself is not used up.
                && evidence.ceiling(*path).is_none()
            {
                falls.entry(*path).or_default().push(*by);
            }
        }
    }
    falls.retain(|_, falls| falls.len() * 100 >= worked.len() * MET);
    let middle = |mut falls: Vec<f64>| {
        falls.sort_by(f64::total_cmp);
        falls[falls.len() / 2]
    };
    falls.into_iter().map(|(path, falls)| (path, middle(falls))).collect()
}

fn rule(evidence: &Evidence, call: usize, change: &Change, used: Vec<(usize, f64)>) -> Option<Known> {
    let tested = &evidence.calls[call];
    let ceiling = match change {
        Change::Rose(path) => evidence.ceiling(*path).map(|ceiling| (*path, ceiling)),
        _ => None,
    };
    // What is full cannot rise: that says nothing about the call.
    let full = |record: &&Record| {
        ceiling.is_some_and(|(path, ceiling)| {
            record.before.get(path).and_then(Scalar::number).is_some_and(|number| number >= ceiling)
        })
    };
    let (worked, failed): (Vec<&Record>, Vec<&Record>) = tested
        .records
        .iter()
        .filter(|record| !full(record))
        .partition(|record| record.change(change).is_some());
    if worked.len() < SEEN as usize {
        return None;
    }
    let tests = needs(evidence, &worked, &failed, &used);
    let met = |record: &&&Record| tests.iter().all(|test| test.holds(&record.before));
    let failed_though_met = failed.iter().filter(met).count();
    let counts = Counts { worked: worked.len() as u32, failed: failed_though_met as u32 };
    let path = |path: usize| evidence.paths.path(path).map(|path| JsonPointer::of(path.names()));
    let condition = |test: &Test| {
        Some(match test {
            Test::AtLeast(at, least) => {
                Condition::AtLeast { path: path(*at)?, value: Amount::Literal(*least) }
            }
            Test::Is(at, value) => match evidence.paths.path(*at)?.holds() {
                Some(member) => Condition::Contains { path: path(*at)?, value: member.into() },
                None => Condition::Equals { path: path(*at)?, value: value.json() },
            },
        })
    };
    let effect = match change {
        Change::Rose(at) => {
            let rises = worked.iter().filter_map(|record| record.change(change));
            Effect::Rises { path: path(*at)?, by: rises.fold(f64::INFINITY, f64::min) }
        }
        Change::Gained(at) => {
            Effect::Gains { path: path(*at)?, member: evidence.paths.path(*at)?.holds()?.to_owned() }
        }
        Change::Became(at, value) => {
            Effect::Becomes { path: path(*at)?, value: serde_json::from_str(value).ok()? }
        }
        Change::Fell(_) => return None,
    };
    let waiting = ceiling.and_then(|(at, below)| {
        let (call, rate) = evidence.waiting(at, below)?;
        let times = (2.0 / rate).ceil().clamp(1.0, WAITS) as u32;
        Some(Waiting { path: path(at)?, below, call: call.clone(), times })
    });
    let rule = Rule {
        effect,
        call: tested.call.clone(),
        needs: tests.iter().filter_map(condition).collect(),
        uses: used.iter().filter_map(|(at, by)| Some(Use { path: path(*at)?, by: *by })).collect(),
        waiting,
        evidence: counts,
        steps: tested.steps as f64 / f64::from(tested.made.max(1)),
        unmet: (failed.len() - failed_though_met) as u32,
        closed: counts.failed >= CONTRADICTED && counts.worked * CONTRADICTED < counts.failed,
    };
    Some(Known { change: change.clone(), call, needs: tests, uses: used, rule })
}

/// Closes a belief of an earlier stage that what was seen since contradicts.
pub(super) fn confront(evidence: &Evidence, known: &mut Known) {
    let records = &evidence.calls[known.call].records;
    let met = records.iter().filter(|record| known.needs.iter().all(|need| need.holds(&record.before)));
    let failed = met.filter(|record| record.change(&known.change).is_none()).count() as u32;
    known.rule.closed |= failed >= CONTRADICTED && known.rule.evidence.worked * CONTRADICTED < failed;
}

/// Beliefs of earlier stages, by the numbers of this one.
pub(super) fn recall(evidence: &mut Evidence, rules: &[Rule]) -> Vec<Known> {
    let mut known = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.closed) {
        let mut test = |need: &Condition| {
            Some(match need {
                Condition::AtLeast { path, value: Amount::Literal(least) } => {
                    Test::AtLeast(evidence.paths.number(path.names(), None)?, *least)
                }
                Condition::Contains { path, value } => {
                    let member = value.as_str()?.to_owned();
                    Test::Is(evidence.paths.number(path.names(), Some(member))?, Scalar::Bool(true))
                }
                Condition::Equals { path, value } => {
                    Test::Is(evidence.paths.number(path.names(), None)?, Scalar::of(value)?)
                }
                _ => return None,
            })
        };
        let Some(needs) = rule.needs.iter().map(&mut test).collect::<Option<Vec<_>>>() else { continue };
        let mut number = |path: &JsonPointer, member: Option<&str>| {
            evidence.paths.number(path.names(), member.map(str::to_owned))
        };
        let uses = rule.uses.iter().map(|used| Some((number(&used.path, None)?, used.by)));
        let Some(uses) = uses.collect::<Option<Vec<_>>>() else { continue };
        let change = match &rule.effect {
            Effect::Rises { path, .. } => number(path, None).map(Change::Rose),
            Effect::Gains { path, member } => number(path, Some(member)).map(Change::Gained),
            Effect::Becomes { path, value } => {
                number(path, None).map(|path| Change::Became(path, value.to_string()))
            }
        };
        let Some(change) = change else { continue };
        known.push(Known { change, call: evidence.number(&rule.call), needs, uses, rule: rule.clone() });
    }
    known
}

/// What the calls that worked have in common and most others lack: what is used up, then the test that excludes most of the calls
/// that failed, and so on.
fn needs(evidence: &Evidence, worked: &[&Record], failed: &[&Record], used: &[(usize, f64)]) -> Vec<Test> {
    let mut needs: Vec<Test> = used.iter().map(|(path, by)| Test::AtLeast(*path, *by)).collect();
    let mut left: Vec<&Record> =
        failed.iter().copied().filter(|record| needs.iter().all(|need| need.holds(&record.before))).collect();
    let mut common = common(evidence, worked);
    let enough = (failed.len() / 20).max(1);
    while needs.len() < NEEDS && !left.is_empty() {
        let excluded = |test: &Test| left.iter().filter(|record| !test.holds(&record.before)).count();
        let best = common
            .iter()
            .enumerate()
            .map(|(at, test)| (excluded(test), matches!(test, Test::Is(..)), std::cmp::Reverse(at)))
            .max();
        let Some((count, _, std::cmp::Reverse(at))) = best else { break };
        // What excludes a few of many is chance, unless it excludes three times as many of the last ones as chance would of those
        // that worked (rule of succession).
        let violated = worked.iter().filter(|record| !common[at].holds(&record.before)).count();
        let is_telling = count >= LAST
            && count * 5 >= left.len()
            && count * (worked.len() + 2) >= 3 * (violated + 1) * left.len();
        if count * 10 < left.len() || (count < enough && !is_telling) {
            break;
        }
        let test = common.remove(at);
        left.retain(|record| test.holds(&record.before));
        needs.push(test);
    }
    needs
}

/// The tests that nearly all of these calls pass.
fn common(evidence: &Evidence, worked: &[&Record]) -> Vec<Test> {
    let mut counts: BTreeMap<(usize, String), (usize, Scalar)> = BTreeMap::new();
    let mut least: BTreeMap<usize, f64> = BTreeMap::new();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    for record in worked {
        for (path, value) in record.before.iter() {
            match value {
                Scalar::Number(number) if evidence.is_counter(path) => {
                    seen.insert(path);
                    let least = least.entry(path).or_insert(*number);
                    *least = least.min(*number);
                }
                Scalar::Text(text) if text.chars().nth(LONGEST).is_some() => {}
                Scalar::Bool(_) | Scalar::Text(_) if !value.is_prose() => {
                    let (count, _) =
                        counts.entry((path, value.json().to_string())).or_insert((0, value.clone()));
                    *count += 1;
                }
                _ => {}
            }
        }
    }
    let is = counts
        .into_iter()
        .filter(|(_, (count, _))| count * 100 >= worked.len() * MET)
        .map(|((path, _), (_, value))| Test::Is(path, value));
    let at_least = seen.into_iter().filter_map(|path| {
        let everywhere = worked.iter().all(|record| record.before.get(path).is_some());
        let least = *least.get(&path).filter(|_| everywhere)?;
        (least > 0.0).then_some(Test::AtLeast(path, least))
    });
    is.chain(at_least).collect()
}
