//! Handler of calls to tools that do not belong to the environment, and the choice of tools to offer.

use super::toolkit::{self, ToolRequest};
use super::{DriveError, Driver, RunMemory, Step};
use crate::model::{Event, RecordKind};
use sojourn_tools::{ToolCall, ToolSpec};

impl Driver {
    /// Applies the control records at this place of the log, and appends one if the tools have changed. Returns the
    /// time of the last resume or fork among them.
    pub(super) async fn update_tools(&mut self) -> Result<Option<i64>, DriveError> {
        let resumed_ms = self.apply_controls().await?;
        let Some(toolkit) = self.toolkit.clone() else { return Ok(resumed_ms) };
        if let Some(toolbox) = toolkit.toolbox() {
            let mut journal = self.journal.lock().await;
            if !journal.replaying() && journal.writes() {
                let change = if self.tool_changes.allow(journal.record_index().now()) {
                    toolkit::change(self.core.tools(), toolbox, &toolkit, &self.redactor).await?
                } else {
                    toolkit::notices(&toolkit, &self.redactor, self.tool_changes.notice()).await?
                };
                if let Some(change) = change {
                    journal.append_control(change).await?;
                }
            }
        }
        let resumed_later_ms = self.apply_controls().await?;
        toolkit.set_specs(self.core.tools());
        Ok(resumed_later_ms.or(resumed_ms))
    }

    pub(super) async fn call_tool(&mut self, call: &ToolCall, untrusted: bool) -> Result<Step, DriveError> {
        let limit = self.time_limit().await?;
        let Some(toolkit) = &self.toolkit else {
            return Err(DriveError::Unusable("this run has no tools of its own".to_owned()));
        };
        let toolkit = toolkit.within(limit);
        let request = ToolRequest { call, untrusted, answered_by: RecordKind::ToolAnswered };
        let outcome = toolkit.answer(&request).await?;
        let event = Event::ToolAnswered { outcome, trusted: toolkit.trusts(&call.name) };
        let step = self.derived(event).await?;
        self.commit().await?;
        Ok(step)
    }

    /// The names of at most `most` tools that fit `query`, best first.
    pub(super) async fn fitting_tools(&self, query: &str, most: usize) -> Result<Vec<String>, DriveError> {
        if let Some(names) = self.memory.as_ref().and_then(RunMemory::recorded_tools) {
            return Ok(names);
        }
        let specs: Vec<&ToolSpec> = self.core.tools().values().collect();
        let texts: Vec<String> =
            specs.iter().map(|spec| format!("{}: {}", spec.name, spec.description)).collect();
        let ranked = match &self.memory {
            Some(memory) => memory.rank(query, &texts).await?,
            None => None,
        };
        let order = ranked.unwrap_or_else(|| toolkit::by_words(query, &texts));
        Ok(order.into_iter().take(most).map(|index| specs[index].name.clone()).collect())
    }
}
