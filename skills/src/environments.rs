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

    /// The name that this one stands for in `environment`, where it has no version of its own in use there.
    pub fn alias_in(&self, environment: &str) -> Option<&str> {
        match self.active_in(environment) {
            Some(_) => None,
            None => self.aliases.get(environment).or(self.alias.as_ref()).map(String::as_str),
        }
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
            let is_skill =
                |target: &&str| self.active_in(target, environment).is_some_and(|entry| !entry.is_reflex());
            let target = history.alias_in(environment).filter(is_skill).map(str::to_owned);
            history.alias = None;
            history.aliases = target.into_iter().map(|target| (environment.to_owned(), target)).collect();
        }
        own
    }

    /// The version that a call of `name` runs in `environment`; `name` may be an alias.
    pub fn active_in(&self, name: &str, environment: &str) -> Option<&Entry> {
        self.skills.get(self.resolve_in(name, environment))?.active_in(environment)
    }

    /// The name that `name` stands for in `environment`: itself unless it was merged there.
    pub fn resolve_in<'a>(&'a self, name: &'a str, environment: &str) -> &'a str {
        self.follow(name, |history| history.alias_in(environment))
    }

    /// The environments in which a version of `name` is in use, that of its latest version first and those in which it is an
    /// alias last.
    pub fn environments_of(&self, name: &str) -> Vec<&str> {
        let Some(history) = self.skills.get(name) else { return Vec::new() };
        let target = self.skills.get(self.resolve(name));
        let versions =
            history.versions.iter().rev().chain(target.iter().flat_map(|it| it.versions.iter().rev()));
        let in_use = versions.filter(|entry| entry.status == Status::Admitted).map(Entry::environment);
        let mut found: Vec<&str> = Vec::new();
        for environment in in_use.chain(history.aliases.keys().map(String::as_str)) {
            if !found.contains(&environment) && self.active_in(name, environment).is_some() {
                found.push(environment);
            }
        }
        found
    }

    /// The aliases with their environments and the names that they stand for there.
    pub fn aliases(&self) -> Vec<(&str, &str, &str)> {
        let mut found = Vec::new();
        for (name, history) in &self.skills {
            // An older state has one target for all environments.
            let everywhere =
                history.alias.as_ref().and_then(|target| self.environments_of(target).first().copied());
            for environment in history.aliases.keys().map(String::as_str).chain(everywhere) {
                let target = self.resolve_in(name, environment);
                if target != name {
                    found.push((name.as_str(), environment, target));
                }
            }
        }
        found
    }

    /// Whether `name` is a skill of `environment`, in use or not, or an alias.
    pub(crate) fn knows(&self, name: &str, environment: &str) -> bool {
        let has_one =
            |name: &str| self.skills.get(name).is_some_and(|history| history.has_version_of(environment));
        has_one(name) || has_one(self.resolve_in(name, environment))
    }
}
