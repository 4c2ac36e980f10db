use chromiumoxide::error::CdpError;

/// Why the browser could not do something.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// There is no browser on this machine, or not where it was said to be.
    #[error("no Chromium was found{}", at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default())]
    Missing {
        /// Where it was looked for, if that was said.
        at: Option<String>,
    },
    /// It does not start.
    #[error("Chromium does not start: {0}")]
    Start(String),
    /// It died, or does not answer any more.
    #[error("Chromium {0}")]
    Gone(&'static str),
    /// A page could not be opened.
    #[error("{url} cannot be opened: {reason}")]
    Open {
        /// The page.
        url: String,
        /// What Chromium says.
        reason: String,
    },
    /// A program that was run on a page threw.
    #[error("the program failed on the page: {0}")]
    Program(String),
    /// Anything else that Chromium refused.
    #[error("Chromium refused: {0}")]
    Refused(String),
}

impl BrowserError {
    /// Whether only a new browser helps.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone(_))
    }

    /// Whether a new browser may help: it died, perhaps while it started.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Start(_))
    }
}

impl From<CdpError> for BrowserError {
    fn from(error: CdpError) -> Self {
        match error {
            CdpError::Timeout => Self::Gone("does not answer any more"),
            CdpError::Ws(_) | CdpError::Io(_) | CdpError::NoResponse | CdpError::ChannelSendError(_) => {
                Self::Gone("has died")
            }
            other => Self::Refused(other.to_string()),
        }
    }
}
