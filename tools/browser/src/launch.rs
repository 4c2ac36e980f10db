//! The start of a browser with its proxy: in a network of its own where the system allows one, otherwise in that of its owner.

use crate::browser_process::BrowserProcess;
use crate::flags;
use crate::helper::Helper;
#[cfg(target_os = "linux")]
use crate::namespace::{OwnNetwork, Preparation};
use crate::network_proxy::{NetworkProxy, ProxyRules};
use crate::profile::Profile;
use crate::{BrowserError, Settings};
use std::net::SocketAddr;
use std::path::Path;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// A browser that has opened its DevTools.
pub(crate) struct Launched {
    pub process: BrowserProcess,
    pub proxy: NetworkProxy,
    /// URL of the DevTools, as this process reaches them.
    pub devtools: String,
    /// Carries the DevTools out of the browser's own network.
    pub bridge: Option<JoinHandle<()>>,
}

/// Starts `program`, whose traffic is subject to `rules`.
///
/// # Errors
/// The browser does not start.
pub(crate) async fn launch(
    settings: &Settings,
    program: &Path,
    rules: ProxyRules,
) -> Result<Launched, BrowserError> {
    if let Some(helper) = &settings.helper
        && !needs_network_for_window(settings)
        && let Some(launched) = in_own_network(helper, settings, program, rules.clone()).await?
    {
        return Ok(launched);
    }
    let profile = profile()?;
    let proxy = NetworkProxy::open(rules).await.map_err(broken)?;
    let mut command = Command::new(program);
    command.args(flags::arguments(settings, profile.path(), proxy.address(), is_sandboxed()));
    let mut process = BrowserProcess::spawn(command, profile, None).await?;
    let devtools = process.devtools().await?;
    proxy.protect(devtools_address(&devtools));
    Ok(Launched { process, proxy, devtools, bridge: None })
}

/// The same in a network namespace, which only Linux has.
#[cfg(not(target_os = "linux"))]
async fn in_own_network(
    _: &Helper,
    _: &Settings,
    _: &Path,
    _: ProxyRules,
) -> Result<Option<Launched>, BrowserError> {
    Ok(None)
}

/// The same in a network namespace; `None` if the system allows none.
#[cfg(target_os = "linux")]
async fn in_own_network(
    helper: &Helper,
    settings: &Settings,
    program: &Path,
    rules: ProxyRules,
) -> Result<Option<Launched>, BrowserError> {
    let profile = profile()?;
    let directory = profile.path().to_owned();
    let Some(mut preparation) = Preparation::new(helper, &directory) else { return Ok(None) };
    let command = std::mem::replace(&mut preparation.command, Command::new("unshare"));
    let environment = Preparation::environment(&directory);
    let Ok(mut process) = BrowserProcess::spawn(command, profile, Some(environment)).await else {
        return Ok(unavailable());
    };
    let Some(id) = process.id() else { return Ok(unavailable()) };
    let network = tokio::select! {
        network = preparation.sockets(id) => network,
        () = process.ended() => Err(std::io::ErrorKind::PermissionDenied.into()),
    };
    let Ok(network) = network else { return Ok(unavailable()) };
    let proxy = NetworkProxy::serve_on(network.proxy().map_err(broken)?, rules).map_err(broken)?;
    // The proxy connects from outside, where neither its listener nor the DevTools can be reached.
    proxy.protect_nothing();
    let socket =
        network.start(program, flags::arguments(settings, &directory, proxy.address(), is_sandboxed()))?;
    let inside = process.devtools().await?;
    let address = devtools_address(&inside)
        .ok_or_else(|| BrowserError::Start(format!("its DevTools are at an unknown address: {inside}")))?;
    let (outside, bridge) = socket.bridge(address).await.map_err(broken)?;
    let devtools = inside.replacen(&address.to_string(), &outside.to_string(), 1);
    Ok(Some(Launched { process, proxy, devtools, bridge: Some(bridge) }))
}

#[cfg(target_os = "linux")]
fn unavailable() -> Option<Launched> {
    OwnNetwork::unavailable();
    None
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

/// Address of the DevTools at a URL.
fn devtools_address(url: &str) -> Option<SocketAddr> {
    url.strip_prefix("ws://")?.split('/').next()?.parse().ok()
}

#[allow(clippy::needless_pass_by_value, reason = "it is used as a function on errors")]
fn broken(error: std::io::Error) -> BrowserError {
    BrowserError::Start(error.to_string())
}
