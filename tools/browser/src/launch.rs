//! The start of a browser with its proxy: in a network of its own where the system allows one, otherwise in that of its owner.

use crate::browser_process::BrowserProcess;
use crate::flags;
use crate::helper::Helper;
#[cfg(target_os = "linux")]
use crate::namespace::{OwnNetwork, Preparation};
use crate::network_proxy::{NetworkProxy, ProxyRules};
use crate::profile::Profile;
use crate::{BrowserError, Settings};
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// Whether this process has said that a browser has no network of its own.
static WARNED: AtomicBool = AtomicBool::new(false);

/// A browser that has opened its DevTools.
pub(crate) struct Launched {
    pub process: BrowserProcess,
    pub proxy: NetworkProxy,
    /// URL at which this process serves the DevTools to the driver.
    pub devtools: String,
    /// Serves them.
    pub bridge: JoinHandle<()>,
    /// Whether the browser is in a network of its own.
    pub own_network: bool,
}

/// Starts `program`, whose traffic is subject to `rules`.
///
/// # Errors
/// The browser does not start, or settings demand a network of its own that it cannot have.
pub(crate) async fn launch(
    settings: &Settings,
    program: &Path,
    rules: ProxyRules,
) -> Result<Launched, BrowserError> {
    let reason = match own_network(settings).await {
        Ok(network) => return network.launch(settings, program, rules).await,
        Err(reason) => reason,
    };
    if settings.own_network {
        return Err(BrowserError::Start(format!(
            "`own_network` demands a network of its own, and it has none: {reason}"
        )));
    }
    // Who registers no helper wants none.
    if settings.helper.is_some() && !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the browser has no network of its own, so only its flags and the proxy keep it from other hosts: {reason}"
        );
    }
    let profile = profile()?;
    let proxy = NetworkProxy::open(rules).await.map_err(broken)?;
    let mut command = Command::new(program);
    command.args(flags::arguments(settings, profile.path(), proxy.addresses(), is_sandboxed()));
    let mut process = BrowserProcess::spawn(command, profile, None).await?;
    let (devtools, bridge) = process.devtools().await?.serve().await.map_err(broken)?;
    proxy.protect();
    Ok(Launched { process, proxy, devtools, bridge, own_network: false })
}

/// Whether a browser of this program would start in a network of its own; the error says why it would not.
///
/// # Errors
/// The system allows no network namespace, this is not Linux, or the program has not called `helper_main`.
pub async fn check_own_network() -> Result<(), String> {
    own_network(&Settings::default()).await.map(|_| ())
}

/// A network for the browser; the error says why there is none. Each launch tries again: a full table of processes, a busy
/// machine or a full disk is no reason to do without it for ever.
async fn own_network(settings: &Settings) -> Result<Prepared, String> {
    let helper = settings.helper.as_ref().ok_or("this program has registered no helper that makes one")?;
    if needs_network_for_window(settings) {
        return Err("its window is shown over the network".to_owned());
    }
    prepare(helper).await
}

#[cfg(not(target_os = "linux"))]
struct Prepared;

#[cfg(not(target_os = "linux"))]
async fn prepare(_: &Helper) -> Result<Prepared, String> {
    Err("only Linux has network namespaces".to_owned())
}

#[cfg(not(target_os = "linux"))]
impl Prepared {
    async fn launch(self, _: &Settings, _: &Path, _: ProxyRules) -> Result<Launched, BrowserError> {
        Err(BrowserError::Start("only Linux has network namespaces".to_owned()))
    }
}

/// A helper in a network of its own, which waits to become the browser.
#[cfg(target_os = "linux")]
struct Prepared {
    process: BrowserProcess,
    directory: PathBuf,
    network: OwnNetwork,
}

#[cfg(target_os = "linux")]
async fn prepare(helper: &Helper) -> Result<Prepared, String> {
    let profile = profile().map_err(|error| error.to_string())?;
    let directory = profile.path().to_owned();
    let mut preparation = Preparation::new(helper, &directory)?;
    let command = std::mem::replace(&mut preparation.command, Command::new("unshare"));
    let environment = Preparation::environment(&directory);
    let started = BrowserProcess::spawn(command, profile, Some(environment)).await;
    let mut process = started.map_err(|error| format!("`unshare` does not start: {error}"))?;
    let id = process.id().ok_or("`unshare` ended at once")?;
    let network = tokio::select! {
        network = preparation.sockets(id) => network.map_err(|error| error.to_string()),
        () = process.ended() => Err("`unshare` could make no network namespace".to_owned()),
    };
    Ok(Prepared { network: network?, process, directory })
}

#[cfg(target_os = "linux")]
impl Prepared {
    /// Lets the helper become the browser.
    async fn launch(
        self,
        settings: &Settings,
        program: &Path,
        rules: ProxyRules,
    ) -> Result<Launched, BrowserError> {
        let Self { mut process, directory, network } = self;
        let proxy = NetworkProxy::serve_on(network.listeners().map_err(broken)?, rules).map_err(broken)?;
        // The proxy connects from outside, where its listener cannot be reached.
        proxy.protect_nothing();
        let arguments = flags::arguments(settings, &directory, proxy.addresses(), is_sandboxed());
        network.start(program, arguments)?;
        let (devtools, bridge) = process.devtools().await?.serve().await.map_err(broken)?;
        Ok(Launched { process, proxy, devtools, bridge, own_network: true })
    }
}

/// Whether the window is shown by a server that is reached over the network, such as an X server behind SSH.
fn needs_network_for_window(settings: &Settings) -> bool {
    let display = std::env::var("DISPLAY").unwrap_or_default();
    settings.visible && !display.is_empty() && !display.starts_with(':') && !display.starts_with("unix:")
}

fn profile() -> Result<Profile, BrowserError> {
    Profile::create().map_err(|error| BrowserError::Start(format!("no profile can be made: {error}")))
}

/// Chromium's sandbox does not work for the superuser.
fn is_sandboxed() -> bool {
    !rustix::process::geteuid().is_root()
}

#[allow(clippy::needless_pass_by_value, reason = "it is used as a function on errors")]
fn broken(error: std::io::Error) -> BrowserError {
    BrowserError::Start(error.to_string())
}
