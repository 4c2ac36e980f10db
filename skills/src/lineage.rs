//! Which skill calls which, and what a change of one means for the others.

use crate::{Entry, LibraryState};
use std::collections::BTreeSet;

impl LibraryState {
    /// Active skills that were admitted with versions of their callees that are no longer active, each with the
    /// first such callee: they have to be tried again.
    pub fn stale(&self) -> Vec<(&Entry, &str)> {
        self.all_active().filter_map(|entry| Some((entry, self.stale_callee(entry)?))).collect()
    }

    /// The first skill called by `entry` that is not the one it was tried with, if it is in use and there is one.
    pub fn stale_callee<'a>(&'a self, entry: &'a Entry) -> Option<&'a str> {
        let called = entry.skill.manifest.calls.iter().filter(|name| self.skills.contains_key(*name));
        let tried = &entry.report.as_ref()?.prerequisites;
        called
            .map(String::as_str)
            .find(|name| self.active(name).is_none_or(|active| !tried.contains(active.id())))
    }

    /// The names of the library's skills that a version calls.
    pub fn callees<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a str> {
        let names = entry.skill.manifest.calls.iter().map(String::as_str);
        names.filter(|name| self.skills.contains_key(*name))
    }

    /// The active skills that call `name`, by this name or an alias of it.
    pub fn callers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        let name = self.resolve(name);
        self.all_active().filter(move |entry| self.callees(entry).any(|callee| self.resolve(callee) == name))
    }

    /// Whether a call of `from` can come to call `target`.
    pub(crate) fn reaches(&self, from: &str, target: &str) -> bool {
        let (mut open, mut seen) = (vec![from], BTreeSet::new());
        while let Some(name) = open.pop() {
            let name = self.resolve(name);
            if name == target {
                return true;
            }
            if seen.insert(name)
                && let Some(entry) = self.active(name)
            {
                open.extend(entry.skill.manifest.calls.iter().map(String::as_str));
            }
        }
        false
    }
}
