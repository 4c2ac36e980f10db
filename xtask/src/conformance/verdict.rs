//! The verdicts in the suite's summary, one for each scenario.

/// The side under test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// The verdict on one scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    version: &'static str,
    side: Side,
    /// Name of the scenario.
    pub scenario: String,
    passed: bool,
    /// Numbers of passed and failed checks, in the suite's words.
    checks: String,
    /// Why the scenario is not required, in the suite's word.
    excused: Option<String>,
}

impl Verdict {
    /// Whether a required scenario failed.
    pub fn fails(&self) -> bool {
        !self.passed && self.excused.is_none()
    }
}

/// The verdicts in the suite's output: `✓ NAME: 3 passed, 0 failed`, and `  ✗ NAME (REASON)` for scenarios that are not required.
pub fn read(output: &str, version: &'static str, side: Side) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for line in output.lines() {
        let Some((mark @ ("✓" | "✗"), rest)) = line.trim_start().split_once(' ') else { continue };
        if let Some((scenario, reason)) = rest.strip_suffix(')').and_then(|rest| rest.split_once(" (")) {
            let known = verdicts.iter_mut().find(|verdict| verdict.scenario == scenario);
            if let Some(verdict) = known.filter(|_| line.starts_with("  ")) {
                verdict.excused = Some(reason.to_owned());
            }
        } else if let Some((scenario, checks)) = rest.split_once(": ") {
            verdicts.push(Verdict {
                version,
                side,
                scenario: scenario.to_owned(),
                // Some scenarios of the suite check nothing yet.
                passed: mark == "✓" && !checks.starts_with("0 passed"),
                checks: checks.to_owned(),
                excused: None,
            });
        }
    }
    verdicts
}

/// Prints the table and the numbers of passed scenarios.
#[allow(clippy::print_stdout, reason = "it is what the command is for")]
pub fn print(verdicts: &[Verdict]) {
    let wide = verdicts.iter().map(|verdict| verdict.scenario.len()).max().unwrap_or(0);
    let mut groups: Vec<(&str, Side)> =
        verdicts.iter().map(|verdict| (verdict.version, verdict.side)).collect();
    groups.dedup();
    for verdict in verdicts {
        let mark = if verdict.passed { "✓" } else { "✗" };
        let excused = verdict.excused.as_ref().map(|why| format!(" (not required: {why})"));
        println!(
            "{mark} {:14} {:6} {:wide$}  {}{}",
            verdict.version,
            verdict.side.name(),
            verdict.scenario,
            verdict.checks,
            excused.unwrap_or_default()
        );
    }
    println!();
    for (version, side) in groups {
        let group = verdicts.iter().filter(|verdict| (verdict.version, verdict.side) == (version, side));
        let (mut required, mut others) = ((0, 0), (0, 0));
        for verdict in group {
            let count = if verdict.excused.is_some() { &mut others } else { &mut required };
            count.0 += usize::from(verdict.passed);
            count.1 += 1;
        }
        let others = if others.1 == 0 {
            String::new()
        } else {
            format!(", and {} of {} that are not", others.0, others.1)
        };
        println!("{version:14} {:6} {} of {} required pass{others}", side.name(), required.0, required.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read() {
        let output = "[x] ✓ no\n✓ a/b: 3 passed, 0 failed\n✗ c: 1 passed, 0 failed, 2 warnings\n✗ d: 0 passed, 4 failed\n✓ e: 0 passed, 0 failed\n\
                      \nTotal: 4 passed, 4 failed\nNot scored for 2026-07-28: 1\n  ✗ d (extension)\n";
        let verdicts = read(output, "1", Side::Client);
        let said: Vec<(&str, bool)> =
            verdicts.iter().map(|verdict| (verdict.scenario.as_str(), verdict.fails())).collect();
        assert_eq!(said, [("a/b", false), ("c", true), ("d", false), ("e", true)]);
    }
}
