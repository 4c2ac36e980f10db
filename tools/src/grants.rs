use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The tools and skills that one caller may call. Empty by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(BTreeSet<String>);

impl Grants {
    /// The empty set.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether the caller may call `name`.
    pub fn allow(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The granted names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The intersection: a callee never has more rights than its caller.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }
}

impl<S: Into<String>> FromIterator<S> for Grants {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}
