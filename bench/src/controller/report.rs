//! The results of the measurements.

use anyhow::Result;
use serde::Serialize;
use sojourn_cli::{output, table};

/// All measurements of one invocation.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub model: String,
    pub threads: u32,
    /// The number of concurrent runs.
    pub runs: u32,
    /// The number of repetitions.
    pub repeated: u32,
    /// The version of the peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<String>,
    pub measures: Vec<Measure>,
}

/// The machine of the measurement.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
}

impl Machine {
    pub fn this() -> Self {
        let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// One figure, measured several times, each time beside the figure that it is compared with.
#[derive(Debug, Serialize)]
pub struct Measure {
    pub what: &'static str,
    pub unit: &'static str,
    pub ours: Vec<f64>,
    pub against: &'static str,
    pub theirs: Vec<f64>,
    /// The ratio of each pair: here over there.
    pub ratios: Vec<f64>,
    pub goal: Goal,
}

/// The goal of the ratio.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Measure {
    pub fn at_least(what: &'static str, unit: &'static str, against: &'static str, ratio: f64) -> Self {
        Self::new(what, unit, against, Goal::AtLeast(ratio))
    }

    pub fn at_most(what: &'static str, unit: &'static str, against: &'static str, ratio: f64) -> Self {
        Self::new(what, unit, against, Goal::AtMost(ratio))
    }

    fn new(what: &'static str, unit: &'static str, against: &'static str, goal: Goal) -> Self {
        Self { what, unit, ours: Vec::new(), against, theirs: Vec::new(), ratios: Vec::new(), goal }
    }

    pub fn add(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
        self.ratios.push(if theirs > 0.0 { ours / theirs } else { f64::NAN });
    }

    /// Adds a figure without a comparison.
    pub fn add_alone(&mut self, ours: f64) {
        self.ours.push(ours);
    }

    pub fn is_empty(&self) -> bool {
        self.ours.is_empty()
    }

    fn reached(&self) -> Option<bool> {
        let ratio = median(&self.ratios)?;
        Some(match self.goal {
            Goal::AtLeast(goal) => ratio >= goal,
            Goal::AtMost(goal) => ratio <= goal,
        })
    }
}

impl Report {
    pub fn print(&self) -> Result<()> {
        output::line(format!(
            "{} with {} threads on {} ({} cores); {} runs at once; medians of {}, least to most",
            self.model, self.threads, self.machine.processor, self.machine.cores, self.runs, self.repeated
        ))?;
        if let Some(peers) = &self.peers {
            output::line(format!("llama.cpp: {peers}"))?;
        }
        let mut rows = table::new(["what", "", "here", "against", "there", "ratio", "goal"]);
        for measure in &self.measures {
            let goal = match measure.goal {
                _ if measure.ratios.is_empty() => String::new(),
                Goal::AtLeast(goal) => format!("≥ {goal}"),
                Goal::AtMost(goal) => format!("≤ {goal}"),
            };
            let goal = match measure.reached() {
                Some(true) => format!("{goal} ✓"),
                Some(false) => format!("{goal} missed"),
                None => goal,
            };
            let against = if measure.theirs.is_empty() { "" } else { measure.against };
            rows.add_row([
                measure.what.to_owned(),
                measure.unit.to_owned(),
                spread(&measure.ours, 1),
                against.to_owned(),
                spread(&measure.theirs, 1),
                spread(&measure.ratios, 3),
                goal,
            ]);
        }
        Ok(table::print(&rows)?)
    }
}

/// The median, the minimum and the maximum.
fn spread(values: &[f64], digits: usize) -> String {
    let Some(middle) = median(values) else { return String::new() };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.len() == 1 {
        return format!("{middle:.digits$}");
    }
    format!("{middle:.digits$} ({least:.digits$}–{most:.digits$})")
}

/// The median; `None` for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_pairs_and_goals_of_their_median() {
        let mut faster = Measure::at_least("x", "tokens/s", "y", 1.0);
        for (ours, theirs) in [(10.0, 10.0), (30.0, 20.0), (5.0, 10.0)] {
            faster.add(ours, theirs);
        }
        assert_eq!(faster.ratios, [1.0, 1.5, 0.5]);
        assert_eq!(faster.reached(), Some(true));
        let mut slower = Measure::at_most("x", "ms", "y", 0.1);
        slower.add(2.0, 10.0);
        assert_eq!(slower.reached(), Some(false));
        let mut alone = Measure::at_most("x", "ms", "y", 0.1);
        alone.add_alone(2.0);
        assert_eq!(alone.reached(), None);
    }

    #[test]
    fn a_median_is_printed_with_its_spread() {
        assert_eq!(spread(&[3.0, 1.0, 2.0], 1), "2.0 (1.0–3.0)");
        assert_eq!(spread(&[3.0, 1.0], 1), "2.0 (1.0–3.0)");
        assert_eq!(spread(&[3.0], 2), "3.00");
        assert_eq!(spread(&[], 2), "");
    }
}
