//! What `log show` says of tried candidates.

use crate::logbook::size;
use sojourn_core::log::summary::short;
use sojourn_core::{CandidateTrial, Failure};
use std::fmt::Write as _;

/// The longest state that is printed as it is, in bytes.
const LONGEST: usize = 400;
/// How a folded value is shown.
pub const FOLDED: &str = "; --full";

fn fold(bytes: usize) -> String {
    format!("… ({bytes} bytes{FOLDED})")
}

/// Tells what came of candidates: the cause first, then the worlds; candidates with the same results once.
pub fn tell(trials: &[CandidateTrial], text: &mut String) {
    let mut told: Vec<(&CandidateTrial, Vec<usize>)> = Vec::new();
    for (index, trial) in trials.iter().enumerate() {
        match told.iter_mut().find(|(other, _)| alike(other, trial)) {
            Some((_, places)) => places.push(index + 1),
            None => told.push((trial, vec![index + 1])),
        }
    }
    for (trial, places) in told {
        let names: Vec<String> = places.iter().map(usize::to_string).collect();
        let which = match places.len() {
            1 => format!("candidate {}", names[0]),
            count => format!("candidates {} ({count} with the same results)", names.join(", ")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "── {which}: passed in {} of {} worlds",
            trial.report.passes(),
            trial.report.worlds.len()
        );
        one(trial, text);
        text.push('\n');
    }
}

/// Whether two candidates came to the same, whatever their code is.
fn alike(left: &CandidateTrial, right: &CandidateTrial) -> bool {
    (&left.compile_error, &left.report, &left.failure, &left.alike)
        == (&right.compile_error, &right.report, &right.failure, &right.alike)
}

fn one(trial: &CandidateTrial, text: &mut String) {
    if let Some(cause) = trial.cause() {
        let _ = writeln!(text, "cause: {cause}");
    }
    if let Some(Failure { call, before, after, .. }) = &trial.failure {
        let _ = writeln!(text, "in the call: {call}");
        for (when, state) in [("before", before), ("after", after)] {
            let bytes = size(state);
            let shown = if bytes > LONGEST { fold(bytes) } else { state.to_string() };
            let _ = writeln!(text, "state {when}: {shown}");
        }
    }
    if !trial.report.worlds.is_empty() {
        worlds(trial, text);
    }
    for (what, count) in [
        ("cases of the repaired version", trial.report.regressions.len()),
        ("results in cases of skills with the same post-condition", trial.alike.len()),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{what}: {count}; --full");
        }
    }
    if let Some(wasm) = &trial.wasm {
        let bytes = serde_json::to_value(wasm).map_or(0, |wasm| size(&wasm));
        let _ = writeln!(text, "module: {}", fold(bytes));
    }
}

/// The result in each world, as a table.
fn worlds(trial: &CandidateTrial, text: &mut String) {
    let mut table = crate::table::new(["world", "result", "steps", "harm", "why"]);
    crate::table::numbers(&mut table, [2, 3]);
    for world in &trial.report.worlds {
        let result = match (world.passed(), world.died, world.returned, world.verified) {
            (true, ..) => "passed",
            (_, true, ..) => "died",
            (_, _, false, _) => "stopped",
            (_, _, _, false) => "not done",
            _ => "failed",
        };
        let why = world.error.as_deref().filter(|_| !world.passed()).unwrap_or_default();
        table.add_row([
            world.seed.to_string(),
            result.to_owned(),
            world.steps.to_string(),
            format!("{:.0}", world.harm + 0.0),
            short(why),
        ]);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logbook::folded;
    use serde_json::json;

    #[test]
    fn equal_candidates_are_told_once() {
        let broken = |error: &str| CandidateTrial {
            compile_error: Some(error.to_owned()),
            wasm: None,
            report: serde_json::from_value(json!({"worlds": []})).unwrap(),
            failure: None,
            alike: Vec::new(),
            untrusted: false,
        };
        let mut text = String::new();
        tell(
            &[broken("a brace is missing"), broken("`x` is no name"), broken("a brace is missing")],
            &mut text,
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn modules_and_states_are_folded() {
        let long = "0061736d".repeat(100);
        let told =
            folded(json!({"trials": [{"wasm": long, "source": long, "before": {"health": 9}}]}), FOLDED);
        let expected = json!({"wasm": "… (800 bytes; --full)", "source": long, "before": {"health": 9}});
        assert_eq!(told["trials"][0], expected);
    }
}
