use std::sync::Arc;

/// Progress of [`Models::pull`](super::Models::pull).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another process is pulling the same model; this one waits.
    Waiting,
    /// The download starts.
    Started {
        /// Total length in bytes, if known.
        bytes: Option<u64>,
    },
    /// A source is being tried.
    Source {
        /// Name of the source: "Hugging Face", "Python packages", or a URL.
        name: String,
    },
    /// A source failed; the next one is tried, if there is one.
    SourceFailed {
        /// Name of the source.
        name: String,
        /// Description of the failure for the user.
        reason: String,
    },
    /// More data arrived.
    Advanced {
        /// Total length so far in bytes, including an earlier partial download. It decreases when a part must
        /// be downloaded again.
        bytes: u64,
    },
    /// The hash is being computed.
    Verifying,
    /// The downloaded files are being converted.
    Converting,
    /// The model is ready.
    Done,
}

/// Callback that receives progress.
pub(super) type Report = Arc<dyn Fn(Progress) + Send + Sync>;
