//! The program that becomes a browser in a network of its own. On Linux, `namespace` says how.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Environment variable with the path of the socket to the parent, in the process that becomes a browser.
pub(crate) const SOCKET_VARIABLE: &str = "SOJOURN_BROWSER_SOCKET";

/// The helper of this program, if it has one.
static REGISTERED: OnceLock<Helper> = OnceLock::new();

/// A program that calls [`helper_main`] when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Helper {
    /// A program with these arguments.
    pub fn new(program: impl Into<PathBuf>, arguments: Vec<String>) -> Self {
        Self { program: program.into(), arguments }
    }

    /// The helper that [`helper_main`] registered.
    pub(crate) fn registered() -> Option<Self> {
        REGISTERED.get().cloned()
    }
}

/// To be called first by a program whose browsers shall have networks of their own. In a process that is to become a browser it
/// does not return; in any other it registers the program as the helper of [`Settings`](crate::Settings).
///
/// # Errors
/// The process should have become a browser and cannot. It should end at once with this error.
pub fn helper_main() -> io::Result<()> {
    let Some(socket) = std::env::var_os(SOCKET_VARIABLE) else {
        if let Ok(program) = std::env::current_exe() {
            // A second call changes nothing.
            let _ = REGISTERED.set(Helper::new(program, Vec::new()));
        }
        return Ok(());
    };
    #[cfg(target_os = "linux")]
    return Err(crate::namespace::become_browser(socket.as_ref()));
    #[cfg(not(target_os = "linux"))]
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("{} is for Linux", socket.display())))
}
