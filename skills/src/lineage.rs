//! The call graph of skills, and which skills a change affects.

use crate::{Entry, LibraryState};
use std::collections::BTreeSet;

impl LibraryState {
    /// Active skills whose admission used callee versions that are no longer active, each with the first such
    /// callee. They need a retest.
    pub fn stale(&self) -> Vec<(&Entry, &str)> {
        self.all_active().filter_map(|entry| Some((entry, self.stale_callee(entry)?))).collect()
    }

    /// The first callee of `entry` that is not the version used in its trial.
    pub fn stale_callee<'a>(&'a self, entry: &'a Entry) -> Option<&'a str> {
        let tried = &entry.report.as_ref()?.prerequisites;
        let active = |name: &str| self.active_in(name, entry.environment());
        self.callees(entry).find(|name| active(name).is_none_or(|active| !tried.contains(active.id())))
    }

    /// Names of the library skills that a version calls.
    pub fn callees<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a str> {
        let names = entry.skill.manifest.calls.iter().map(String::as_str);
        names.filter(|name| self.knows(name, entry.environment()))
    }

    /// Active skills that call `name` or one of its aliases.
    pub fn callers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.all_active().filter(move |entry| {
            let resolve = |name| self.resolve_in(name, entry.environment());
            self.callees(entry).any(|callee| resolve(callee) == resolve(name))
        })
    }

    /// Whether a call of `from` in `environment` can lead to a call of `target`.
    pub(crate) fn reaches(&self, from: &str, target: &str, environment: &str) -> bool {
        let (mut open, mut seen) = (vec![from], BTreeSet::new());
        while let Some(name) = open.pop() {
            let name = self.resolve_in(name, environment);
            if name == target {
                return true;
            }
            if seen.insert(name)
                && let Some(entry) = self.active_in(name, environment)
            {
                open.extend(entry.skill.manifest.calls.iter().map(String::as_str));
            }
        }
        false
    }
}
