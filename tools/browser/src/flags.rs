//! Chromium's command line and preferences.
//!
//! Everything of Chromium that contacts hosts by itself is off: what a page can cause past the interceptor (speculation
//! rules, sign-in by identity providers, reports, WebRTC, name lookups), and what the browser does for itself. The network
//! proxy refuses what is left.

use crate::Settings;
use crate::network_proxy::ProxyAddresses;
use serde_json::{Value, json};
use std::path::Path;

/// Switches for a browser that a program drives: no questions to a person, no throttling of tabs without a viewer.
const AUTOMATION: [&str; 22] = [
    "--disable-backgrounding-occluded-windows",
    "--disable-background-timer-throttling",
    "--disable-breakpad",
    "--disable-component-extensions-with-background-pages",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-renderer-backgrounding",
    "--disable-search-engine-choice-screen",
    "--enable-automation",
    "--force-color-profile=srgb",
    "--lang=en_US",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
    "--use-mock-keychain",
];

/// Switches that leave the proxy as the only way to the network.
const NETWORK: [&str; 15] = [
    // Loopback hosts go through the proxy, too.
    "--proxy-bypass-list=<-loopback>",
    // The proxy looks names up. The browser itself cannot, so a page cannot send data to a name server as a name.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    // WebRTC uses no UDP, which cannot pass the proxy.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    // HTTP/2 would carry WebSockets and what `103 Early Hints` preload within connections of pages, past the interceptor.
    "--disable-http2",
    // Hyperlink auditing.
    "--no-pings",
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-field-trial-config",
    "--disable-speech-api",
    "--disable-remote-playback-api",
    "--disable-sync",
    "--metrics-recording-only",
];

/// Features that send requests which no page's loader makes, so that the interceptor might not see them.
const FEATURES: [&str; 31] = [
    // By pages: prerendering, identity providers, reports, sessions bound to a device, advertising.
    "Prerender2",
    "FedCm",
    "Reporting",
    "NetworkErrorLogging",
    "DocumentReporting",
    "CrashReporting",
    "DeviceBoundSessions",
    "PersistDeviceBoundSessions",
    "EnableBoundSessionCredentials",
    "AttributionReporting",
    "BrowsingTopics",
    "InterestGroupStorage",
    "EnableEarlyHintsOnHttp11",
    "WebPayments",
    "PrivateAggregationApi",
    "BackgroundFetch",
    // By the browser: devices nearby, name servers, services of its vendor.
    "MediaRouter",
    "WebRtcHideLocalIpsWithMdns",
    "DialMediaRouteProvider",
    "CastMediaRouteProvider",
    "AsyncDns",
    "DnsOverHttps",
    "UseDnsHttpsSvcb",
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "InterestFeedContentSuggestions",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "OptimizationGuideModelDownloading",
    "Translate",
    "TranslateUI",
];

/// The same, of the rendering engine.
const ENGINE_FEATURES: [&str; 13] = [
    "AdInterestGroupAPI",
    "AttributionReporting",
    "BackgroundFetch",
    "DirectSockets",
    "FedCm",
    "FencedFrames",
    "FetchLaterAPI",
    "Fledge",
    "PaymentRequest",
    "PeriodicBackgroundSync",
    "Prerender2",
    "PrivateStateTokens",
    "SharedStorageAPI",
];

/// The arguments of a browser with `profile`, whose proxy is at these addresses.
///
/// Chromium sends `WebSocket`s to the fallback proxy (`socks=`, of whichever kind), and never over a connection that has another
/// proxy, such as that of a page.
pub(crate) fn arguments(
    settings: &Settings,
    profile: &Path,
    ProxyAddresses { pages, sockets }: ProxyAddresses,
    sandboxed: bool,
) -> Vec<String> {
    let (width, height) = settings.window;
    let mut arguments: Vec<String> = AUTOMATION.iter().chain(&NETWORK).map(|&flag| flag.to_owned()).collect();
    arguments.extend([
        format!("--disable-features={}", FEATURES.join(",")),
        format!("--disable-blink-features={}", ENGINE_FEATURES.join(",")),
        format!("--proxy-server=http={pages};https={pages};socks=http://{sockets}"),
        format!("--user-data-dir={}", profile.display()),
        format!("--window-size={width},{height}"),
        "--remote-debugging-pipe".to_owned(),
    ]);
    if settings.visible {
        // The window of the first page is the only one that a person sees.
        arguments.push("--no-startup-window".to_owned());
    } else {
        arguments.extend(["--headless=new", "--hide-scrollbars", "--mute-audio"].map(str::to_owned));
    }
    if settings.files {
        arguments.push("--allow-file-access-from-files".to_owned());
    }
    if !sandboxed {
        arguments.extend(["--no-sandbox", "--disable-setuid-sandbox"].map(str::to_owned));
    }
    arguments
}

/// Preferences of a new profile, by file. They turn off preloading of pages, for which there is no switch.
pub(crate) fn preferences() -> [(&'static str, Value); 2] {
    let profile = json!({
        "net": {"network_prediction_options": 2},
        "webrtc": {"ip_handling_policy": "disable_non_proxied_udp"},
        "search": {"suggest_enabled": false},
        "safebrowsing": {"enabled": false},
        "alternate_error_pages": {"enabled": false},
        "signin": {"allowed": false},
        // Chromium offers no way past a warning of a certificate.
        "ssl": {"error_override_allowed": false},
    });
    let browser = json!({"dns_over_https": {"mode": "off"}});
    [("Default/Preferences", profile), ("Local State", browser)]
}
