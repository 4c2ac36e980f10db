//! A page that tries every way out of the browser: what it contacts, and what it makes the browser request.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::chromium;
use crate::support::sockets::{Socket, argument, processes_with, sockets_of};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, Uri, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::json;
use sojourn_browser::{Chromium, Helper, Launcher, RequestGrants, Settings};
use sojourn_testkit::eventually;
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

type Requests = Arc<Mutex<BTreeSet<String>>>;

/// A server of the hostile pages, and the hosts that a page must not reach.
pub(super) struct Hostile {
    pub(super) address: SocketAddr,
    /// Method and path of each request that arrived.
    requests: Requests,
    /// A host that is not listed, for every protocol: it answers nothing and counts.
    udp: UdpSocket,
    tcp: std::net::TcpListener,
}

impl Hostile {
    pub(super) async fn start() -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Requests::default();
        let (sink, stream) = (udp.local_addr().unwrap().port(), tcp.local_addr().unwrap().port());
        let pages = [
            ("/contacts", CONTACTS),
            ("/requests", REQUESTS),
            ("/framed", FRAMED),
            ("/sw.js", SERVICE_WORKER),
            ("/shared.js", SHARED),
        ]
        .map(|(path, text)| {
            let text = text.replace("SINK", &sink.to_string()).replace("STREAM", &stream.to_string());
            (path, text.replace("SERVER", &address.to_string()))
        });
        let serve = move |State(requests): State<Requests>, method: Method, uri: Uri, _: Bytes| {
            let page = pages.iter().find(|(path, _)| *path == uri.path()).map(|(_, text)| text.clone());
            requests.lock().unwrap().insert(format!("{method} {}", uri.path()));
            std::future::ready(response(uri.path(), page))
        };
        let routes = Router::new().fallback(serve).with_state(Arc::clone(&requests));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, requests, udp, tcp }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().cloned().collect()
    }

    /// What arrived at the host that is not listed.
    fn arrived(&self) -> (usize, usize) {
        let packets = std::iter::from_fn(|| self.udp.recv_from(&mut [0; 2048]).ok()).count();
        let connections = std::iter::from_fn(|| self.tcp.accept().ok()).count();
        (packets, connections)
    }
}

fn response(path: &str, page: Option<String>) -> Response {
    match page {
        Some(text) if std::path::Path::new(path).extension().is_some_and(|kind| kind == "js") => (
            [
                (header::CONTENT_TYPE, "text/javascript"),
                (header::HeaderName::from_static("service-worker-allowed"), "/"),
            ],
            text,
        )
            .into_response(),
        Some(text) => (
            [(
                header::HeaderName::from_static("content-security-policy-report-only"),
                "script-src-elem 'none'; report-uri /sent/report",
            )],
            Html(text),
        )
            .into_response(),
        None => Html("<p>ok</p>").into_response(),
    }
}

/// Contacts hosts in every way that a page has.
const CONTACTS: &str = include_str!("../../pages/contacts.html");

/// Requests forbidden URLs, and sends to URLs without a grant, from every place that a page has.
const REQUESTS: &str = include_str!("../../pages/requests.html");

/// A page with frames whose documents are refused: at once, and after another document.
const FRAMED: &str = r#"<iframe src="/logout"></iframe>
<iframe srcdoc="<form id=f method=post action='http://SERVER/sent'></form><script>f.submit()</script>"></iframe>"#;

const SERVICE_WORKER: &str = include_str!("../../pages/service_worker.js");

const SHARED: &str = include_str!("../../pages/shared_worker.js");

/// Opens a hostile page, and watches the browser's sockets until the page has tried everything.
async fn attack(browser: &Arc<Chromium>, url: &str) -> BTreeSet<Socket> {
    let main = browser.process().unwrap();
    let profile = argument(main, "--user-data-dir=");
    // `http=ADDRESS;https=ADDRESS;socks=http://ADDRESS`
    let listed = argument(main, "--proxy-server=");
    let proxy: Vec<SocketAddr> =
        listed.split(';').map(|one| one.rsplit(['=', '/']).next().unwrap().parse().unwrap()).collect();
    let mut page = browser.page().await.unwrap();
    page.open(url).await.unwrap();
    let mut others = BTreeSet::new();
    eventually("the page has tried everything", async || {
        others.extend(sockets_of(&processes_with(&profile)));
        (page.evaluate("document.title").await.unwrap() == json!("done")).then_some(())
    })
    .await;
    // Something may leave the browser only when the page does.
    page.open("about:blank").await.unwrap();
    page.observe().await.unwrap();
    others.extend(sockets_of(&processes_with(&profile)));
    others.retain(|socket| !proxy.contains(&socket.remote));
    others
}

/// A connected UDP socket to a name server by which browsers learn their own address: connecting it sends nothing. Before it
/// is connected, and where there is no route, it has an address of its own only. What an unconnected socket sends arrives at
/// the sinks or shows in the multicast groups.
fn sends_nothing(socket: &Socket) -> bool {
    if socket.remote.ip().is_unspecified()
        && socket.local.ip().is_unspecified()
        && socket.local.port() != 5353
    {
        return socket.protocol.starts_with("udp");
    }
    let probes =
        ["8.8.8.8", "2001:4860:4860::8888"].map(|address| address.parse::<std::net::IpAddr>().unwrap());
    socket.protocol.starts_with("udp") && probes.contains(&socket.remote.ip())
}

#[tokio::test]
async fn a_page_contacts_nothing_but_the_proxy() {
    let Some(program) = chromium() else { return };
    let hostile = Hostile::start().await;
    let plain =
        Settings { program: Some(program), hosts: vec![hostile.address.to_string()], ..Settings::default() };
    let granted = Settings { grants: Some(RequestGrants::new(&[], &[]).unwrap()), ..plain.clone() };
    let from_files = Settings { files: true, ..plain.clone() };
    let isolated = Settings { helper: Some(helper_of_this_program()), ..granted.clone() };
    // A browser that takes the place of a dead one is no other browser.
    for (settings, browsers) in [(plain, 2), (granted, 1), (from_files, 1), (isolated, 2)] {
        let launcher = Launcher::new(settings.clone());
        for _ in 0..browsers {
            let browser = launcher.browser().await.unwrap();
            if settings.helper.is_some() && !browser.has_own_network() {
                sojourn_testkit::skipped("this system allows no network namespace");
                break;
            }
            let mut others = attack(&browser, &hostile.url("/contacts")).await;
            others.retain(|socket| !sends_nothing(socket));
            assert_eq!(hostile.arrived(), (0, 0), "packets and connections, {settings:?}");
            assert!(others.is_empty(), "{others:?}, {settings:?}");
            crate::support::kill(browser.process().unwrap());
            eventually("the browser is gone", async || browser.is_gone().then_some(())).await;
        }
    }
}

/// Of the other tests: the process that becomes a browser in a network of its own.
#[test]
fn helper() {
    if std::env::var_os("SOJOURN_BROWSER_SOCKET").is_some() {
        sojourn_browser::helper_main().unwrap();
    }
}

fn helper_of_this_program() -> Helper {
    let arguments = ["with_browser::egress::helper", "--exact"].map(str::to_owned);
    Helper::new(std::env::current_exe().unwrap(), arguments.to_vec())
}

#[tokio::test]
async fn no_port_of_the_machine_leads_to_a_browser() {
    let Some(program) = chromium() else { return };
    // Without a network of its own.
    let settings = Settings { program: Some(program), helper: None, ..Settings::default() };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    let mut page = browser.page().await.unwrap();
    page.open("about:blank").await.unwrap();
    let profile = argument(browser.process().unwrap(), "--user-data-dir=");
    let listening = sockets_of(&processes_with(&profile))
        .into_iter()
        .filter(|socket| socket.protocol.starts_with("tcp") && socket.remote.port() == 0)
        .collect::<Vec<_>>();
    assert!(listening.is_empty(), "{listening:?}");
    assert!(!std::path::Path::new(&profile).join("DevToolsActivePort").exists());
}

#[tokio::test]
async fn in_a_network_of_its_own_a_browser_finds_only_the_proxy() {
    let Some(program) = chromium() else { return };
    let hostile = Hostile::start().await;
    let hosts = vec![hostile.address.to_string()];
    let settings = Settings {
        program: Some(program),
        hosts,
        helper: Some(helper_of_this_program()),
        ..Settings::default()
    };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    if !browser.has_own_network() {
        sojourn_testkit::skipped("this system allows no network namespace");
        return;
    }
    let main = browser.process().unwrap();
    let network = |process: u32| std::fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    for process in processes_with(&argument(main, "--user-data-dir=")) {
        assert_ne!(network(process), network(std::process::id()));
    }
    let interfaces = std::fs::read_to_string(format!("/proc/{main}/net/dev")).unwrap();
    let interfaces: Vec<&str> =
        interfaces.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert!(interfaces.iter().all(|name| ["lo", "nowhere"].contains(name)), "{interfaces:?}");
    let routes = std::fs::read_to_string(format!("/proc/{main}/net/route")).unwrap();
    assert_eq!(routes.lines().count(), 1, "{routes}");
    let mut page = browser.page().await.unwrap();
    page.open(&hostile.url("/read/x")).await.unwrap();
    assert_eq!(page.evaluate("navigator.onLine").await.unwrap(), json!(true));
    let refused = page.open("http://127.0.0.1:9009/").await.unwrap_err().to_string();
    assert!(refused.contains("127.0.0.1:9009 is not among the hosts"), "{refused}");
    assert!(hostile.requests().iter().any(|request| request == "GET /read/x"));
}

#[tokio::test]
async fn one_failure_does_not_take_the_network_of_its_own_from_later_browsers() {
    let Some(program) = chromium() else { return };
    let settings = Settings {
        program: Some(program),
        own_network: true,
        helper: Some(helper_of_this_program()),
        ..Settings::default()
    };
    let allowed = Chromium::start(&settings).await.is_ok_and(|browser| browser.has_own_network());
    let broken = Settings { helper: Some(Helper::new("/bin/false", Vec::new())), ..settings.clone() };
    let error = Chromium::start(&broken).await.err().unwrap().to_string();
    assert!(error.contains("`own_network` demands a network of its own"), "{error}");
    assert!(Chromium::start(&Settings { helper: None, ..settings.clone() }).await.is_err());
    let without = Settings { own_network: false, ..broken };
    assert!(!Chromium::start(&without).await.unwrap().has_own_network());
    if !allowed {
        sojourn_testkit::skipped("this system allows no network namespace");
        return;
    }
    assert!(Chromium::start(&settings).await.unwrap().has_own_network(), "after a failure");
}

#[tokio::test]
async fn no_spelling_and_no_feature_of_a_page_passes_the_rules_for_requests() {
    let Some(program) = chromium() else { return };
    let hostile = Hostile::start().await;
    let never = [hostile.url("/logout"), "*/secret/*".to_owned()];
    let grants = RequestGrants::new(&[hostile.url("/granted/*")], &never).unwrap();
    let hosts = vec![hostile.address.to_string()];
    let settings = Settings { program: Some(program), hosts, grants: Some(grants), ..Settings::default() };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    let mut page = browser.page().await.unwrap();
    page.open(&hostile.url("/requests")).await.unwrap();
    eventually("the page has tried everything", async || {
        (page.evaluate("document.title").await.unwrap() == json!("done")).then_some(())
    })
    .await;
    let expected = ["GET /read/z", "GET /requests", "GET /shared.js", "GET /sw.js", "POST /granted/x"];
    // What was granted has arrived, so the page has run.
    for granted in ["GET /requests", "GET /read/z", "POST /granted/x"] {
        assert!(hostile.requests().iter().any(|request| request == granted), "{granted}");
    }
    let mut others = hostile.requests();
    others.retain(|request| !expected.contains(&request.as_str()) && request != "POST /%67ranted/y");
    assert_eq!(others, Vec::<String>::new());
    assert_eq!(hostile.arrived(), (0, 0));
}

#[tokio::test]
async fn what_requests_past_the_interceptor_does_not_exist() {
    let Some(program) = chromium() else { return };
    let hostile = Hostile::start().await;
    let hosts = vec![hostile.address.to_string()];
    let settings = Settings { program: Some(program), hosts, ..Settings::default() };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    let mut page = browser.page().await.unwrap();
    page.open(&hostile.url("/read/x")).await.unwrap();
    assert_eq!(
        page.evaluate("isSecureContext").await.unwrap(),
        json!(true),
        "none is absent for want of that"
    );
    // One for each name of a feature that scripts can see.
    let there = "['PaymentRequest', 'IdentityCredential', 'BackgroundFetchManager', 'PeriodicSyncManager', 'TCPSocket', 'UDPSocket', \
                 'fetchLater', 'HTMLFencedFrameElement', 'sharedStorage', 'ReportingObserver', 'WebTransport'] \
                 .filter((name) => name in globalThis)";
    assert_eq!(
        page.evaluate(there).await.unwrap(),
        json!(["ReportingObserver", "WebTransport"]),
        "one only looks, the other needs UDP"
    );
    let methods = "[navigator.joinAdInterestGroup, navigator.updateAdInterestGroups, navigator.runAdAuction, document.browsingTopics, \
                   document.hasPrivateToken].filter((it) => it)";
    assert_eq!(page.evaluate(methods).await.unwrap(), json!([]));
}

#[tokio::test]
async fn a_page_opens_whose_frames_may_not() {
    let Some(program) = chromium() else { return };
    let hostile = Hostile::start().await;
    let grants = RequestGrants::new(&[], &[hostile.url("/logout")]).unwrap();
    let hosts = vec![hostile.address.to_string()];
    let settings = Settings { program: Some(program), hosts, grants: Some(grants), ..Settings::default() };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    let mut page = browser.page().await.unwrap();
    page.open(&hostile.url("/framed")).await.unwrap();
    let mut refused = hostile.requests();
    refused.retain(|request| request.contains("/logout") || request.contains("/sent"));
    assert_eq!(refused, Vec::<String>::new());
}

#[tokio::test]
async fn a_listed_name_that_resolves_to_this_machine_needs_a_grant_of_its_own() {
    let Some(program) = chromium() else { return };
    let hostile = Hostile::start().await;
    let port = hostile.address.port();
    let settings = |hosts: &[&str], ranges: &[&str]| Settings {
        program: Some(program.clone()),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        private_ranges: ranges.iter().map(|range| (*range).to_owned()).collect(),
        ..Settings::default()
    };
    let url = format!("http://localhost:{port}/read/x");
    for (settings, allowed) in [
        (settings(&["*"], &[]), false),
        (settings(&["*"], &["127.0.0.0/8", "::1"]), true),
        (settings(&["localhost"], &[]), true),
    ] {
        let browser = Arc::new(Chromium::start(&settings).await.unwrap());
        let opened = browser.page().await.unwrap().open(&url).await;
        match opened {
            Ok(()) => assert!(allowed, "{settings:?}"),
            Err(error) => {
                assert!(!allowed && error.to_string().contains("is not a public address"), "{error}");
                assert_eq!(hostile.requests(), Vec::<String>::new());
            }
        }
    }
}
