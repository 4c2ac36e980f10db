//! The policies that bound a run, and its taint by origin. They only ever become stricter.

use super::DriveError;
use crate::model::{ControlRecord, TimedControl};
use serde_json::{Map, Value};
use sojourn_tools::{ActionRules, AllowsPart, Decision, Policies, PolicyFile, PolicyVerdict, ToolSpec};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A handle on the restrictions of one run.
#[derive(Clone, Default)]
pub(super) struct Restrictions(Arc<RwLock<Inner>>);

#[derive(Default)]
struct Inner {
    /// The policy that the run was started with, and those that were added when it was resumed or forked.
    policies: Policies,
    /// Whether the run was recorded elsewhere, so that content from outside may have caused every call.
    tainted: bool,
}

impl Restrictions {
    /// Adds a policy: from now on the strictest decides.
    pub fn restrict(&self, policy: &PolicyFile) -> Result<(), DriveError> {
        let added = self.write().policies.add(policy);
        added.map(|_| ()).map_err(|error| DriveError::Unusable(format!("policy: {error}")))
    }

    /// Takes over what control records say about policies. Doing so again changes nothing.
    pub fn heed(&self, controls: &[TimedControl]) -> Result<(), DriveError> {
        for control in controls {
            match &control.record {
                ControlRecord::Resumed { policy, untrusted, .. } => {
                    if let Some(policy) = policy {
                        self.restrict(policy)?;
                    }
                    self.write().tainted |= untrusted;
                }
                ControlRecord::Forked { changes, .. } => {
                    let tools = changes.config.as_ref().and_then(|config| config.tools.as_ref());
                    if let Some(tools) = tools {
                        self.restrict(&tools.policy)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether every policy trusts a tool's content like the user's own words.
    pub fn trusts(&self, name: &str) -> bool {
        self.read().policies.trusts(name)
    }

    /// The decision about a call of a tool that does not belong to the world.
    pub fn judge(&self, spec: &ToolSpec, args: &Map<String, Value>, untrusted: bool) -> Decision {
        let inner = self.read();
        inner.policies.decide(spec, args, untrusted || inner.tainted)
    }

    /// What says whether a part of a call, on which the decision was `whole`, may be reached.
    pub fn parts_of(&self, spec: &ToolSpec, whole: PolicyVerdict) -> AllowsPart {
        let (own, spec) = (self.clone(), spec.clone());
        Arc::new(move |part| own.read().policies.allow_part(&spec, part, whole))
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActionRules for Restrictions {
    fn refusal(&self, spec: &ToolSpec, own_name: Option<&str>, args: &Map<String, Value>) -> Option<String> {
        self.read().policies.refusal(spec, own_name, args)
    }
}
