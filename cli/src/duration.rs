//! Lengths of time as people write and read them.

use std::time::Duration;

/// Reads `90s`, `10m`, `1h30m`, `250ms`; a number alone counts seconds.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a length of time: write it like `90s`, `10m` or `1h30m`");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let milliseconds = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        let part = number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(bad)?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = tail;
    }
    Ok(total)
}

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
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1d", 86_400_000),
            (" 5min ", 300_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "m", "10 minutes", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_shown_in_two_units_at_most() {
        for (milliseconds, expected) in
            [(4_200, "4.2 s"), (185_000, "3 min 05 s"), (7_620_000, "2 h 07 min"), (0, "0.0 s")]
        {
            assert_eq!(show(Duration::from_millis(milliseconds)), expected);
        }
        assert_eq!(clock(185_900), "00:03:05");
        assert_eq!(date(1_795_456_740_000), "2026-11-23 17:59");
    }
}
