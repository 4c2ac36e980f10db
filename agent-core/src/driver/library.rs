//! The skill library of a run: changes of the library on disk, and the skills and reflexes ready to run.

use super::executor::LiveReflex;
use super::journal::Noted;
use super::loaded_skills::{load_program, load_skills};
use super::{DriveError, Driver};
use sojourn_skills::{Kind, LibraryEvent};
use std::sync::Arc;

impl Driver {
    /// Applies a change to the library on disk, once, and loads the skills that are new.
    pub(super) async fn change_library(
        &mut self,
        change: &LibraryEvent,
        noted: Noted,
    ) -> Result<(), DriveError> {
        if self.library.is_some() {
            // The library must never have a change that the log could still lose.
            self.commit().await?;
        }
        if let Some(library) = &mut self.library {
            let at_ms = u64::try_from(noted.at_ms).unwrap_or(0);
            library.apply_once(change, at_ms, &format!("{}/{}", self.run, noted.seq)).await?;
        }
        self.load_library()
    }

    /// From now on, no reflex that the run has so far acts.
    pub(super) fn disown_reflexes(&mut self) -> Result<(), DriveError> {
        self.given.clear();
        let learned = self.core.library().reflexes().into_iter().map(|entry| entry.skill.manifest.id.clone());
        self.disowned.extend(learned);
        self.load_library()
    }

    /// Loads the skills and reflexes of the core's library that are not loaded yet.
    pub(super) fn load_library(&mut self) -> Result<(), DriveError> {
        let rules = self.core.config().rules;
        self.skills = Arc::new(load_skills(
            &self.sandbox,
            self.core.library(),
            rules,
            self.confined,
            &mut self.programs,
        )?);
        let before = std::mem::take(&mut self.reflexes);
        self.reflexes.clone_from(&self.given);
        for entry in self.core.library().reflexes() {
            let manifest = &entry.skill.manifest;
            if self.disowned.contains(&manifest.id) {
                continue;
            }
            let Kind::Reflex { cooldown, .. } = manifest.kind else { continue };
            let program = load_program(&self.sandbox, entry, &mut self.programs)?;
            self.reflexes.push(if manifest.calls.is_empty() {
                let reflex = self.sandbox.reflex(&program, &self.core.config().actor.tick_limits());
                LiveReflex::new(&manifest.name, reflex, cooldown)
            } else {
                let grants = manifest.calls.iter().cloned().collect();
                LiveReflex::habit(&manifest.name, program, grants, cooldown)
            });
        }
        // Reflexes that were loaded before keep their cooldown.
        for reflex in &mut self.reflexes {
            if let Some(known) = before.iter().find(|known| known.name == reflex.name) {
                *reflex = known.clone();
            }
        }
        Ok(())
    }
}
