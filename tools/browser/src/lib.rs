//! Web pages as an environment: Chromium, driven over the DevTools protocol.
//!
//! - [`Chromium`] is a browser process with a temporary profile. It reaches the network through a proxy that
//!   connects to allowed hosts only, and its requests are checked against [`RequestGrants`].
//! - [`Page`] is one tab. It is observed as a list of elements with short ids, and operated by real mouse and
//!   keyboard events.
//! - [`WebEnvironment`] turns pages into an environment; a [`Site`] defines how an episode starts and ends.
//! - [`WebSettings`] is the site of an agent file: start page, hosts, and tasks with a success expression.
//!
//! ```
//! use sojourn_browser::HostPattern;
//!
//! let docs = HostPattern::new("*.example.org");
//! assert!(docs.allows("docs.example.org", 443));
//! assert!(!docs.allows("example.org.evil.net", 443));
//! ```

mod accessibility;
mod act;
mod browser_process;
mod calls;
mod chromium;
mod devtools;
mod environment;
mod episode;
mod error;
mod flags;
mod helper;
mod host_pattern;
mod interceptor;
mod keys;
mod launch;
mod launcher;
mod memory_limit;
#[cfg(target_os = "linux")]
mod namespace;
mod network_proxy;
mod page;
mod page_actions;
mod page_events;
mod page_tools;
mod profile;
mod proxy_head;
mod reader;
mod recorder;
mod request_grants;
mod secret_text;
mod site;
mod tunnel;
mod view;

pub use accessibility::AccessibleElement;
pub use act::{PageAction, Target};
pub use chromium::{Chromium, PROGRAM_VARIABLE, find_chromium, require};
pub use environment::WebEnvironment;
pub use episode::{EpisodeGoal, EpisodeStatus, Site};
pub use error::{BrowserError, GoneCause};
pub use helper::{Helper, helper_main};
pub use host_pattern::HostPattern;
pub use launch::check_own_network;
pub use launcher::Launcher;
pub use page::Page;
pub use page_actions::ActionOutcome;
pub use page_tools::{exploration, tools};
pub use recorder::{MAX_RECORDED_STEPS, RecordedAction, Recorder};
pub use request_grants::RequestGrants;
pub use secret_text::{SecretTexts, WebSecret, secret_named};
pub use site::{WebSettings, WebTask};
pub use view::{View, render};

use std::path::PathBuf;
use std::time::Duration;

/// How to start a browser.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Path of the browser. Default: [`find_chromium`].
    pub program: Option<PathBuf>,
    /// Hosts that the browser may connect to: `example.org`, `*.example.org`, `127.0.0.1:8700`.
    pub hosts: Vec<String>,
    /// Ranges of addresses that are not public (`10.0.0.0/8`, `127.0.0.1`), to which the names in `hosts` may resolve. An
    /// address in `hosts`, and `localhost`, need none.
    pub private_ranges: Vec<String>,
    /// The program that starts the browser in a network of its own, where the system allows one. Default: this program, if
    /// it calls [`helper_main`].
    pub helper: Option<Helper>,
    /// Demands a network of its own: a browser that has none does not start. Default: false, and a warning says so.
    pub own_network: bool,
    /// Limit on the memory of all of its processes together, in MiB; a browser that takes more is ended. Measured on Linux only.
    pub memory_mib: u64,
    /// Allowed requests; `None` allows all.
    pub grants: Option<RequestGrants>,
    /// Allows pages from local files.
    pub files: bool,
    /// Shows the browser window.
    pub visible: bool,
    /// Width and height of the window, in pixels.
    pub window: (u32, u32),
    /// Time limit of one DevTools command; beyond it the browser counts as dead.
    pub command_timeout: Duration,
    /// Time limit of a navigation. Beyond it a page is used as far as it has come.
    pub load_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            program: None,
            hosts: Vec::new(),
            private_ranges: Vec::new(),
            helper: Helper::registered(),
            own_network: false,
            memory_mib: 4096,
            grants: None,
            files: false,
            visible: false,
            window: (1000, 750),
            command_timeout: Duration::from_mins(1),
            load_timeout: page::LOAD_TIMEOUT,
        }
    }
}
