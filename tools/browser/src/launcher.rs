//! Starts and restarts the browser process that environments share.

use crate::chromium::Chromium;
use crate::{BrowserError, Settings};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Starts the browser on demand and restarts it after its death. Environments that share a launcher share the
/// process but not their tabs.
pub struct Launcher {
    pub(crate) settings: Settings,
    running: Mutex<Option<Arc<Chromium>>>,
}

impl Launcher {
    /// A launcher that has not started anything.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, running: Mutex::new(None) })
    }

    /// The running browser, started if necessary.
    ///
    /// # Errors
    /// No browser is installed, or it does not start.
    pub async fn browser(&self) -> Result<Arc<Chromium>, BrowserError> {
        let mut running = self.running.lock().await;
        if let Some(browser) = running.as_ref().filter(|browser| !browser.is_gone()) {
            return Ok(Arc::clone(browser));
        }
        let browser = Arc::new(Chromium::start(&self.settings).await?);
        *running = Some(Arc::clone(&browser));
        Ok(browser)
    }

    /// Kills a browser that does not answer. Other users of the launcher then find it dead.
    pub(crate) async fn kill(&self, browser: &Arc<Chromium>) {
        let mut running = self.running.lock().await;
        if running.as_ref().is_some_and(|own| Arc::ptr_eq(own, browser)) {
            *running = None;
        }
        browser.kill();
    }
}
