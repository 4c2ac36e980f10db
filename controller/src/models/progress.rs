use std::sync::Arc;

/// What a pull is doing; [`Models::pull`](super::Models::pull) reports it as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another process is pulling the same model, and this one waits for it.
    Waiting,
    /// Fetching begins.
    Started {
        /// How much there is to fetch in all, where it is known beforehand.
        bytes: Option<u64>,
    },
    /// A source is being asked.
    Source {
        /// Which: "Hugging Face", "Python packages", or an address.
        name: String,
    },
    /// A source did not work out, and the next one is asked, if there is one.
    SourceFailed {
        /// Which.
        name: String,
        /// Why, for people to read.
        reason: String,
    },
    /// Something has arrived.
    Advanced {
        /// How much is here in all, what an earlier pull left included. It falls back when something has to be
        /// fetched anew.
        bytes: u64,
    },
    /// The hash of what has arrived is being computed.
    Verifying,
    /// What has arrived is being made into the model file.
    Converting,
    /// The model is in its place.
    Done,
}

/// Where progress goes.
pub(super) type Report = Arc<dyn Fn(Progress) + Send + Sync>;
