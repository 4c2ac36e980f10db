use chromiumoxide::error::CdpError;

/// Why a browser operation failed.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// No browser is installed, or none is at the configured path.
    #[error("no Chromium was found{}", at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default())]
    Missing {
        /// The configured path.
        at: Option<String>,
    },
    /// The browser does not start.
    #[error("Chromium does not start: {0}")]
    Start(String),
    /// The browser or the page is gone.
    #[error("Chromium {0}")]
    Gone(GoneCause),
    /// A page could not be opened.
    #[error("cannot open {url}: {reason}")]
    Open {
        /// URL of the page.
        url: String,
        /// Reason given by Chromium.
        reason: String,
    },
    /// JavaScript that was run on a page threw an exception.
    #[error("the script failed on the page: {0}")]
    Program(String),
    /// Chromium rejected a command.
    #[error("Chromium refused: {0}")]
    Refused(String),
}

/// Why a browser or page is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GoneCause {
    /// The process or its connection ended.
    #[error("has died")]
    Died,
    /// Its processes took more memory than the settings allow, and were ended.
    #[error("took more memory than `memory_mib` allows and was ended")]
    TooLarge,
    /// A command exceeded the time limit.
    #[error("does not answer any more")]
    Unresponsive,
    /// The tab crashed or was closed.
    #[error("lost the page")]
    PageLost,
}

impl BrowserError {
    /// Whether a new browser or tab is needed.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone(_))
    }

    /// Whether a restart may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Gone(_) | Self::Start(_) => true,
            // An interface appeared or vanished, such as that of a new network namespace.
            Self::Open { reason, .. } => reason.contains("ERR_NETWORK_CHANGED"),
            _ => false,
        }
    }
}

impl From<CdpError> for BrowserError {
    fn from(error: CdpError) -> Self {
        match error {
            CdpError::Timeout => Self::Gone(GoneCause::Unresponsive),
            CdpError::Ws(_) | CdpError::Io(_) | CdpError::NoResponse | CdpError::ChannelSendError(_) => {
                Self::Gone(GoneCause::Died)
            }
            other => Self::Refused(other.to_string()),
        }
    }
}
