//! Measurement, and the table of results.

use serde_json::{Value, json};
use std::fmt;
use std::time::Instant;

const ROUNDS: usize = 5;

/// A distribution of times, in microseconds.
pub struct Sample {
    pub p50: f64,
    pub p99: f64,
    /// The lowest and highest median of a round.
    pub spread: (f64, f64),
    pub count: usize,
}

/// Measures `work` `per_round` times in every round, after a tenth as many calls to warm up.
pub fn sample(per_round: usize, mut work: impl FnMut()) -> Sample {
    for _ in 0..per_round.div_ceil(10) {
        work();
    }
    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut times: Vec<f64> = (0..per_round)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        medians.push(times[per_round / 2]);
        tails.push(times[(per_round * 99 / 100).min(per_round - 1)]);
    }
    medians.sort_by(f64::total_cmp);
    tails.sort_by(f64::total_cmp);
    Sample {
        p50: medians[ROUNDS / 2],
        p99: tails[ROUNDS / 2],
        spread: (medians[0], medians[ROUNDS - 1]),
        count: ROUNDS * per_round,
    }
}

/// One line of the table.
struct Row {
    what: &'static str,
    figure: String,
    aim: String,
    reached: Option<bool>,
    json: Value,
}

/// All lines, in order of measurement.
pub struct Table(Vec<Row>);

impl Table {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// A time; the aim, and the most that its median and its 99th percentile may be.
    pub fn time(&mut self, what: &'static str, sample: &Sample, aim: Option<(&str, f64, f64)>) {
        let Sample { p50, p99, spread: (low, high), count } = sample;
        self.0.push(Row {
            what,
            figure: format!("p50 {p50:.1} µs ({low:.1}–{high:.1}), p99 {p99:.1} µs"),
            aim: aim.map(|(aim, ..)| aim.to_owned()).unwrap_or_default(),
            reached: aim.map(|(_, median, tail)| *p50 <= median && *p99 <= tail),
            json: json!({"p50_us": p50, "p99_us": p99, "p50_lowest_us": low, "p50_highest_us": high,
                "measured": count}),
        });
    }

    pub fn ratio(&mut self, what: &'static str, ratio: f64, at_least: f64) {
        self.0.push(Row {
            what,
            figure: format!("{ratio:.1} ×"),
            aim: format!("≥ {at_least} ×"),
            reached: Some(ratio >= at_least),
            json: json!({"ratio": ratio}),
        });
    }

    pub fn at_most(&mut self, what: &'static str, figure: f64, unit: &str, most: f64) {
        self.0.push(Row {
            what,
            figure: format!("{figure:.0} {unit}"),
            aim: format!("≤ {most} {unit}"),
            reached: Some(figure <= most),
            json: json!({unit: figure}),
        });
    }

    pub fn absent(&mut self, what: &'static str, why: &str) {
        self.0.push(Row {
            what,
            figure: format!("not measured: {why}"),
            aim: String::new(),
            reached: None,
            json: json!({"not_measured": why}),
        });
    }

    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .0
            .iter()
            .map(|row| json!({"what": row.what.trim(), "figure": row.json, "aim": row.aim, "reached": row.reached}))
            .collect();
        json!({"load": load(), "rows": rows})
    }
}

/// The load average of the last minute, where the system has one.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(load) = load() {
            writeln!(f, "load average {load}, of which this is 1\n")?;
        }
        for Row { what, figure, aim, reached, .. } in &self.0 {
            let mark = match reached {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "",
            };
            writeln!(f, "{what:<46} {figure:<48} {aim:<28} {mark}")?;
        }
        Ok(())
    }
}
