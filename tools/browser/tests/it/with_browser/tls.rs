//! Encrypted connections: what they may carry, and what a false certificate ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::egress::Hostile;
use crate::support::{act, chromium};
use serde_json::json;
use sojourn_browser::{Chromium, RequestGrants, Settings};
use sojourn_testkit::{Running, eventually, skipped};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt as _;

/// The first bytes of each connection to a host that never answers, until the test ends.
async fn first_bytes() -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                bytes.truncate(count);
                // The browser connects ahead of what it may need.
                if count > 0 {
                    kept.lock().unwrap().push(bytes);
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn an_encrypted_connection_of_a_page_cannot_carry_a_socket() {
    let Some(program) = chromium() else { return };
    let (host, seen) = first_bytes().await;
    let hostile = Hostile::start().await;
    let hosts = vec![hostile.address.to_string(), host.to_string()];
    let try_socket = format!(
        "new Promise(done => {{ const socket = new WebSocket('wss://{host}/live'); socket.onerror = () => done('error'); \
         socket.onopen = () => done('open'); }})"
    );
    for (send, arrives) in [(vec![], false), (vec![format!("https://{host}/live")], true)] {
        let grants = Some(RequestGrants::new(&send, &[]).unwrap());
        let settings =
            Settings { program: Some(program.clone()), hosts: hosts.clone(), grants, ..Settings::default() };
        let browser = Arc::new(Chromium::start(&settings).await.unwrap());
        let mut page = browser.page().await.unwrap();
        // A page's connection gets through, and offers nothing that a socket could be hidden in (RFC 8441).
        page.open(&format!("https://{host}/")).await.unwrap_err();
        let hellos = std::mem::take(&mut *seen.lock().unwrap());
        assert!(!hellos.is_empty());
        for hello in &hellos {
            let offers = |name: &[u8]| hello.windows(name.len()).any(|window| window == name);
            assert!(offers(b"\x08http/1.1") && !offers(b"\x02h2"), "{hello:?}");
        }
        page.open(&hostile.url("/read/x")).await.unwrap();
        assert_eq!(page.evaluate(&try_socket).await.unwrap(), json!("error"), "nobody answers it");
        assert_eq!(!seen.lock().unwrap().is_empty(), arrives, "{send:?}");
        seen.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn a_warning_of_a_certificate_cannot_be_clicked_through() {
    let Some(program) = chromium() else { return };
    let Some((address, _server)) = falsely_certified() else { return };
    let hostile = Hostile::start().await;
    let hosts = vec![hostile.address.to_string(), address.to_string()];
    let settings = Settings { program: Some(program), hosts, ..Settings::default() };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    let mut page = browser.page().await.unwrap();
    page.open(&hostile.url("/read/x")).await.unwrap();
    // As a link does it: the tab shows the browser's warning.
    page.evaluate(&format!("location.href = 'https://{address}/'")).await.unwrap();
    eventually("the warning is shown", async || {
        let view = page.observe().await.unwrap();
        let told = view.events.iter().any(|event| event.contains("its certificate is not valid"));
        assert_eq!(told, view.state["elements"] == json!([]) && view.url().is_empty(), "{view:?}");
        told.then_some(())
    })
    .await;
    for call in ["click(\"Advanced\")", "press(\"t\")", "read()", "scroll(10)"] {
        let outcome = page.act(&act(call)).await.unwrap();
        assert!(!outcome.ok && outcome.message.contains("an error of its own"), "{call}: {outcome:?}");
    }
    // Not even whoever gets at the page itself: the browser does not offer it.
    for id in ["details-button", "proceed-link"] {
        let click = format!("document.getElementById('{id}')?.click()");
        page.evaluate(&click).await.unwrap();
    }
    page.open(&hostile.url("/read/y")).await.unwrap();
    let error = page.open(&format!("https://{address}/")).await.unwrap_err().to_string();
    assert!(error.contains("ERR_CERT"), "{error}");
}

/// A server whose certificate no authority signed; `None` where `openssl` is missing.
fn falsely_certified() -> Option<(SocketAddr, Running)> {
    let place = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
                .split(' '),
        )
        .current_dir(place.path())
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        skipped("there is no openssl");
        return None;
    }
    let mut command = sojourn_testkit::command("python3");
    command.args(["-u", "-c", FALSE_SERVER]).current_dir(place.path());
    let mut server = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    Some((format!("127.0.0.1:{}", port.trim()).parse().unwrap(), server))
}

const FALSE_SERVER: &str = "import http.server, ssl
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port)
server.serve_forever()";
