//! Tools that are not the environment's, as the run meets them: looked at before every step of the loop, asked by the controller.

use super::toolkit::{self, Use};
use super::{DriveError, Driver, Recollection};
use crate::event::Event;
use sojourn_tools::{ToolCall, ToolSpec};

impl Driver {
    /// As [`interjected`](Self::interjected), and says it in the log if tools came or went.
    pub(super) async fn look_at_tools(&mut self) -> Result<Option<i64>, DriveError> {
        let seen = self.interjected().await?;
        let Some(toolkit) = self.toolkit.clone() else { return Ok(seen) };
        if let Some(toolbox) = toolkit.toolbox() {
            let mut journal = self.journal.lock().await;
            if !journal.replaying()
                && journal.writes()
                && let Some(change) = toolkit::change(self.core.tools(), toolbox).await
            {
                journal.interject(self.redactor.any(change)).await?;
            }
        }
        let changed = self.interjected().await?;
        toolkit.knows(self.core.tools());
        Ok(changed.or(seen))
    }

    /// A tool's answer to the controller.
    pub(super) async fn use_tool(&self, call: &ToolCall, untrusted: bool) -> Result<Event, DriveError> {
        let Some(toolkit) = &self.toolkit else {
            return Err(DriveError::Unusable("this run has no tools of its own".to_owned()));
        };
        let outcome_of = |payload| match serde_json::from_value(payload) {
            Ok(Event::ToolAnswered { outcome, .. }) => Some(outcome),
            _ => None,
        };
        let wanted = Use { call, untrusted, recorded_as: "tool_answered", outcome_of };
        let outcome = toolkit.answer(&wanted).await?;
        Ok(Event::ToolAnswered { outcome, trusted: toolkit.trusts(&call.name) })
    }

    /// The names of at most `most` tools that fit `query`, best first.
    pub(super) async fn fitting_tools(&self, query: &str, most: usize) -> Result<Vec<String>, DriveError> {
        if let Some(names) = self.recollection.as_ref().and_then(Recollection::fitting) {
            return Ok(names);
        }
        let specs: Vec<&ToolSpec> = self.core.tools().values().collect();
        let texts: Vec<String> =
            specs.iter().map(|spec| format!("{}: {}", spec.name, spec.description)).collect();
        let ranked = match &self.recollection {
            Some(recollection) => recollection.rank(query, &texts).await?,
            None => None,
        };
        let order = ranked.unwrap_or_else(|| toolkit::by_words(query, &texts));
        Ok(order.into_iter().take(most).map(|place| specs[place].name.clone()).collect())
    }
}
