//! One library serves many environments. A name may have versions of several: two worlds that document nothing both have the
//! task `succeed`. A version is of the environment that it was learned in, and is in use there only.

use crate::{Entry, History, LibraryState, Status};

impl History {
    /// The version called by this name in `environment`: the latest admitted one of it.
    pub fn active_in(&self, environment: &str) -> Option<&Entry> {
        self.versions
            .iter()
            .rfind(|entry| entry.status == Status::Admitted && entry.environment() == environment)
    }

    /// Whether the version is the one that a call in its environment runs.
    pub fn is_in_use(&self, entry: &Entry) -> bool {
        self.active_in(entry.environment()).is_some_and(|active| active.id() == entry.id())
    }

    fn has_version_of(&self, environment: &str) -> bool {
        self.versions.iter().any(|entry| entry.environment() == environment)
    }
}

impl LibraryState {
    /// The library as a run in `environment` starts with it: the versions of other environments are out of use. All of them
    /// keep their places, so that a version has the same number here and in the whole library.
    #[must_use]
    pub fn of_environment(&self, environment: &str) -> Self {
        let mut own = self.clone();
        for history in own.skills.values_mut() {
            for entry in &mut history.versions {
                if entry.environment() != environment {
                    entry.status = Status::Retired;
                }
            }
            let target = history.alias.take().filter(|_| history.active_in(environment).is_none());
            history.alias = target
                .filter(|target| self.active_in(target, environment).is_some_and(|entry| !entry.is_reflex()));
        }
        own
    }

    /// The version that a call of `name` runs in `environment`; `name` may be an alias.
    pub fn active_in(&self, name: &str, environment: &str) -> Option<&Entry> {
        let own = self.skills.get(name).and_then(|history| history.active_in(environment));
        own.or_else(|| self.skills.get(self.resolve(name))?.active_in(environment))
    }

    /// The environments in which a version of `name` is in use, that of the latest version first.
    pub fn environments_of(&self, name: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for entry in
            self.skills.get(self.resolve(name)).iter().flat_map(|history| history.versions.iter().rev())
        {
            if entry.status == Status::Admitted && !found.contains(&entry.environment()) {
                found.push(entry.environment());
            }
        }
        found
    }

    /// Whether `name` is a skill of `environment`, in use or not, or an alias.
    pub(crate) fn knows(&self, name: &str, environment: &str) -> bool {
        let has_one =
            |name: &str| self.skills.get(name).is_some_and(|history| history.has_version_of(environment));
        has_one(name) || has_one(self.resolve(name))
    }
}
