use crate::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Id of a run. Ids that [`RunId::new`] makes are short, readable, and sort by creation time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Makes an id like `20261123-175900-ab3f` from a UTC time, in milliseconds since 1970, and 16 random
    /// bits.
    ///
    /// Times outside the years 0 to 9999 are clamped to that range.
    pub fn new(at_ms: i64, entropy: u16) -> Self {
        const YEAR_0: i64 = -62_167_219_200;
        const YEAR_9999_END: i64 = 253_402_300_799;
        let seconds = at_ms.div_euclid(1000).clamp(YEAR_0, YEAR_9999_END);
        let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = date(days);
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        Self(format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{entropy:04x}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Converts a day number (0 is 1970-01-01) to year, month and day. The 400-year cycles start on a 1st of
/// March, so that the leap day is the last day of a year.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let cycle = days.div_euclid(146_097);
    let day_of_cycle = days.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day)
}

impl FromStr for RunId {
    type Err = Error;

    /// Parses 1 to 64 of `a-z`, `0-9` and `-`, starting with a letter or digit: every id is a safe file name.
    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 64 || text.starts_with('-') || !text.bytes().all(allowed) {
            let text = text.chars().take(80).collect();
            return Err(Error::BadRunId { text });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Sequence number of a record in its run: 1, 2, 3 … without gaps. 0 means "before the first record".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

impl EventSeq {
    /// The following sequence number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn id_starts_with_date_and_time() {
        for (at_ms, expected) in [
            (0, "19700101-000000-0000"),
            (951_782_400_000, "20000229-000000-0000"),
            (1_795_456_740_999, "20261123-175900-0000"),
            (-1, "19691231-235959-0000"),
            (i64::MAX, "99991231-235959-0000"),
            (i64::MIN, "00000101-000000-0000"),
        ] {
            assert_eq!(RunId::new(at_ms, 0).as_str(), expected);
        }
        assert_eq!(RunId::new(0, 0xab3f).as_str(), "19700101-000000-ab3f");
    }

    #[test]
    fn only_safe_file_names_parse() {
        for bad in ["", "-a", "a/b", "..", "A", "a b", "é", &"a".repeat(65)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ids_parse_and_sort_by_time(a in any::<i64>(), b in any::<i64>(), entropy in any::<u16>()) {
            let (id_a, id_b) = (RunId::new(a, entropy), RunId::new(b, entropy));
            prop_assert_eq!(id_a.as_str().parse::<RunId>().unwrap(), id_a.clone());
            if a <= b {
                prop_assert!(id_a <= id_b);
            }
        }
    }
}
