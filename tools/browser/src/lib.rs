//! The web as an environment: Chromium over its DevTools protocol.
//!
//! [`Chromium`] is a browser's process with a profile of its own, whose way out is a proxy that connects to the hosts it was
//! given and to nothing else, and whose requests are held against [`Grants`] before they leave. [`Page`] is one tab: it is seen as a list of elements with short ids, and acted on by real
//! events of mouse and keyboard. [`WebWorld`] makes an environment of what happens on it; a [`Site`] says how an episode
//! begins and when it is over. [`WebSettings`] is the site of an agent file: a start page, hosts, and tasks that a small
//! program over the document judges.

mod act;
mod chromium;
mod error;
mod gate;
mod keys;
mod page;
mod requests;
mod site;
mod unasked;
mod view;
mod world;

pub use act::{Act, Target, exploration, tools};
pub use chromium::{Chromium, PROGRAM_VARIABLE, find, require};
pub use error::BrowserError;
pub use gate::Host;
pub use page::{Acted, Page};
pub use requests::Grants;
pub use site::{WebSettings, WebTask};
pub use view::{View, words};
pub use world::{Errand, Launcher, Site, Verdict, WebWorld};

use std::path::PathBuf;
use std::time::Duration;

/// How a browser is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program; [`find`] looks for it where it is not given.
    pub program: Option<PathBuf>,
    /// The hosts that may be connected to: `example.org`, `*.example.org`, `127.0.0.1:8700`.
    pub hosts: Vec<String>,
    /// What may be done there; everything where it is `None`.
    pub grants: Option<Grants>,
    /// Whether pages may be files of this machine.
    pub files: bool,
    /// Whether a person sees it.
    pub visible: bool,
    /// Width and height of what is seen, in pixels.
    pub window: (u32, u32),
    /// How long the browser may take for one command before it is taken for dead.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            program: None,
            hosts: Vec::new(),
            grants: None,
            files: false,
            visible: false,
            window: (1000, 750),
            patience: Duration::from_mins(1),
        }
    }
}
