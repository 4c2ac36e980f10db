//! Selecting records of an outline, and counting them in buckets.

use super::{flag, kind_index};
use serde::Serialize;

/// Selects records by what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// One bit for each kind that is wanted; `None` for all.
    kinds: Option<u128>,
    /// The [`flag`]s of which a record must have one; 0 for all records.
    flags: u8,
}

impl Filter {
    /// Selects records of these kinds, and of these only. A name that is no kind selects nothing.
    #[must_use]
    pub fn kinds<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut mask = self.kinds.unwrap_or(0);
        for name in names {
            mask |= 1_u128.checked_shl(kind_index(name).into()).unwrap_or(0);
        }
        Self { kinds: Some(mask), ..self }
    }

    /// Selects records with one of these [`flag`]s.
    #[must_use]
    pub fn flags(self, flags: u8) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// Whether every record matches.
    pub fn is_all(self) -> bool {
        self.kinds.is_none() && self.flags == 0
    }

    pub(super) fn matches(self, kind: u8, flags: u8) -> bool {
        (self.flags == 0 || flags & self.flags != 0)
            && self.kinds.is_none_or(|mask| 1_u128.checked_shl(kind.into()).unwrap_or(0) & mask != 0)
    }

    pub(super) fn all<'a>(self, kinds: &'a [u8], flags: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        let both = (1..).zip(kinds.iter().zip(flags));
        both.filter(move |(_, (kind, flags))| self.matches(**kind, **flags)).map(|(seq, _)| seq)
    }

    pub(super) fn next(self, kinds: &[u8], flags: &[u8], seq: u64, backwards: bool) -> Option<u64> {
        let matches = |index: &usize| self.matches(kinds[*index], flags[*index]);
        // The record `seq` has the index `seq - 1`.
        let at = usize::try_from(seq).unwrap_or(usize::MAX);
        let found = if backwards {
            (0..at.saturating_sub(1).min(kinds.len())).rev().find(matches)
        } else {
            (at.min(kinds.len())..kinds.len()).find(matches)
        };
        found.map(|index| index as u64 + 1)
    }
}

/// Consecutive records, counted by what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// The first record.
    pub first: u64,
    /// The last record.
    pub last: u64,
    /// Failures.
    #[serde(skip_serializing_if = "is_none")]
    pub failures: u32,
    /// Achievements that the run did not have before.
    #[serde(skip_serializing_if = "is_none")]
    pub achievements: u32,
    /// Deaths.
    #[serde(skip_serializing_if = "is_none")]
    pub deaths: u32,
    /// Lessons.
    #[serde(skip_serializing_if = "is_none")]
    pub lessons: u32,
    /// Skills and reflexes that were admitted.
    #[serde(skip_serializing_if = "is_none")]
    pub skills: u32,
    /// Records that cannot be read.
    #[serde(skip_serializing_if = "is_none")]
    pub damaged: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_none(count: &u32) -> bool {
    *count == 0
}

pub(super) fn buckets(flags: &[u8], first: u64, last: u64, count: usize) -> Vec<Bucket> {
    let first = first.max(1);
    let last = last.min(flags.len() as u64);
    if last < first {
        return Vec::new();
    }
    let records = last - first + 1;
    let count = (count.max(1) as u64).min(records);
    (0..count)
        .map(|number| {
            let from = first + number * records / count;
            let to = first + (number + 1) * records / count - 1;
            let mut bucket = Bucket { first: from, last: to, ..Bucket::default() };
            for flags in &flags[(from - 1) as usize..to as usize] {
                let has = |bit: u8| u32::from(flags & bit != 0);
                bucket.failures += has(flag::FAILURE);
                bucket.achievements += has(flag::ACHIEVEMENT);
                bucket.deaths += has(flag::DEATH);
                bucket.lessons += has(flag::LESSON);
                bucket.skills += has(flag::SKILL);
                bucket.damaged += has(flag::DAMAGED);
            }
            bucket
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_every_record_once() {
        let flags = [1, 0, 2, 4, 1 | 4, 8, 16];
        for count in 1..10 {
            let buckets = buckets(&flags, 1, 99, count);
            assert_eq!(buckets.len(), count.min(7));
            assert_eq!((buckets[0].first, buckets.last().unwrap().last), (1, 7));
            assert!(buckets.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
            assert_eq!(buckets.iter().map(|bucket| bucket.failures).sum::<u32>(), 2);
            assert_eq!(buckets.iter().map(|bucket| bucket.deaths).sum::<u32>(), 2);
        }
        assert_eq!(buckets(&flags, 5, 4, 3), []);
        assert_eq!(buckets(&[], 1, 4, 3), []);
    }

    #[test]
    fn the_next_match_is_found_in_both_directions() {
        let (kinds, flags) = ([0, 1, 0, 255], [0, 1, 1, 64]);
        let failures = Filter::default().flags(flag::FAILURE);
        let next = |seq, backwards| failures.next(&kinds, &flags, seq, backwards);
        assert_eq!([next(0, false), next(2, false), next(3, false)], [Some(2), Some(3), None]);
        assert_eq!(
            [next(9, true), next(3, true), next(2, true), next(0, true)],
            [Some(3), Some(2), None, None]
        );
        let last = |seq| Filter::default().next(&kinds, &flags, seq, true);
        assert_eq!(
            [last(4), last(5), last(u64::MAX)],
            [Some(3), Some(4), Some(4)],
            "also from beyond the end"
        );
        assert_eq!(Filter::default().all(&kinds, &flags).count(), 4);
        let nothing = Filter::default().kinds(["thought"]);
        assert_eq!(nothing.all(&kinds, &flags).count(), 0);
    }
}
