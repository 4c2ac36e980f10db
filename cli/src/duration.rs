//! Durations and dates as people read them.

use std::time::Duration;

/// `4.2 s`, `3 min 05 s`, `2 h 07 min`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `00:03:05`: for columns.
pub fn clock(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-11-23 17:59` in UTC, of milliseconds since 1970.
pub fn date(at_ms: i64) -> String {
    // A run's id is its date, so that there is one calendar in the program.
    let id = sojourn_memory::RunId::new(at_ms, 0);
    let digits = id.as_str();
    match (digits.get(0..4), digits.get(4..6), digits.get(6..8), digits.get(9..11), digits.get(11..13)) {
        (Some(year), Some(month), Some(day), Some(hour), Some(minute)) => {
            format!("{year}-{month}-{day} {hour}:{minute}")
        }
        _ => digits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_at_most_two_units() {
        for (milliseconds, expected) in
            [(4_200, "4.2 s"), (185_000, "3 min 05 s"), (7_620_000, "2 h 07 min"), (0, "0.0 s")]
        {
            assert_eq!(show(Duration::from_millis(milliseconds)), expected);
        }
        assert_eq!(clock(185_900), "00:03:05");
        assert_eq!(date(1_795_456_740_000), "2026-11-23 17:59");
    }
}
