//! The names of skills, which library events refer to by id.

use sojourn_core::{Effect, LogRecord};
use sojourn_skills::{LibraryEvent, SkillId};
use std::collections::BTreeMap;

/// The names of the skills that the records so far brought.
#[derive(Debug, Clone, Default)]
pub struct SkillNames(BTreeMap<SkillId, String>);

impl SkillNames {
    /// Takes the names from a record that brings skills.
    pub fn learn(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Started(started) => {
                for entry in started.library.all_active() {
                    let manifest = &entry.skill.manifest;
                    self.0.insert(manifest.id.clone(), manifest.name.clone());
                }
            }
            LogRecord::Effect(effect) => {
                if let Effect::ChangeLibrary { change } = &**effect {
                    self.learn_from(change);
                }
            }
            _ => {}
        }
    }

    fn learn_from(&mut self, change: &LibraryEvent) {
        match change {
            LibraryEvent::Drafted { skill } => {
                let manifest = &skill.manifest;
                self.0.insert(manifest.id.clone(), manifest.name.clone());
            }
            LibraryEvent::SetAside { event, .. } => self.learn_from(event),
            _ => {}
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.values().map(String::as_str)
    }

    /// The name of the skill that a library event is about; `None` where no record brought it.
    pub fn of(&self, change: &LibraryEvent) -> Option<String> {
        match change {
            LibraryEvent::RolledBack { name, .. }
            | LibraryEvent::Merged { name, .. }
            | LibraryEvent::Switched { name, .. } => Some(name.clone()),
            LibraryEvent::SetAside { event, .. } => self.of(event),
            change => change.id().and_then(|id| self.0.get(id)).cloned(),
        }
    }
}
