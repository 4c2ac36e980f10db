//! Receives the browser's redirect on a loopback port (RFC 8252, section 7.3).

use super::SignInError;
use reqwest::Url;
use rmcp::transport::auth::AuthorizationCallback;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Time limit for the user to sign in.
pub const SIGN_IN_TIMEOUT: Duration = Duration::from_mins(5);
/// Time limit for a browser to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Size limit of a request head, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const PATH: &str = "/callback";

/// A loopback listener for one redirect.
pub struct Loopback {
    listener: TcpListener,
    address: String,
}

impl Loopback {
    /// Listens on `port`, or on any free port.
    pub async fn open(port: Option<u16>) -> Result<Self, SignInError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).await?;
        let address = format!("http://127.0.0.1:{}{PATH}", listener.local_addr()?.port());
        Ok(Self { listener, address })
    }

    /// Redirect URI for the authorization request.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for the redirect that belongs to the authorization page `page`. Other requests get status 404.
    pub async fn answer(self, page: &str) -> Result<AuthorizationCallback, SignInError> {
        let state = parameter(page, "state").unwrap_or_default();
        let timed_out = SignInError::TimedOut { minutes: SIGN_IN_TIMEOUT.as_secs() / 60 };
        let waiting = async {
            loop {
                let (mut stream, _) = self.listener.accept().await?;
                let Ok(Some(target)) = tokio::time::timeout(REQUEST_TIMEOUT, target(&mut stream)).await
                else {
                    continue;
                };
                let address = format!("http://127.0.0.1{target}");
                // Only the opened page knows `state`; other local processes may guess the port.
                if !target.starts_with(PATH) || parameter(&address, "state").as_ref() != Some(&state) {
                    respond(&mut stream, "404 Not Found", "There is nothing here.").await;
                    continue;
                }
                if let Some(error) = parameter(&address, "error") {
                    respond(&mut stream, "200 OK", "You are not signed in. You can close this page.").await;
                    let more = parameter(&address, "error_description").unwrap_or_default();
                    return Err(SignInError::Refused { reason: sanitize(&format!("{error} {more}")) });
                }
                respond(&mut stream, "200 OK", "You can close this page and go back to the terminal.").await;
                return Ok(AuthorizationCallback::from_redirect_url(&address)?);
            }
        };
        tokio::time::timeout(SIGN_IN_TIMEOUT, waiting).await.map_err(|_| timed_out)?
    }
}

/// A query parameter of `address`.
fn parameter(address: &str, name: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Untrusted text, shortened and without control characters.
fn sanitize(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Request target of a GET request.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD_BYTES || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    (words.next()? == "GET").then_some(())?;
    words.next().filter(|target| target.starts_with('/')).map(str::to_owned)
}

/// Sends a response; a failure to send it has no consequences.
async fn respond(stream: &mut TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_redirect_with_another_state_is_rejected() {
        let port = Loopback::open(None).await.unwrap();
        let back = port.address().to_owned();
        let waiting = tokio::spawn(port.answer("http://as.example/authorize?state=right"));
        for (query, status) in
            [("state=wrong&code=evil", 404), ("state=right&code=good&iss=http://as.example", 200)]
        {
            let answer = reqwest::get(format!("{back}?{query}")).await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
        }
        let callback = waiting.await.unwrap().unwrap();
        assert_eq!((callback.code.as_str(), callback.issuer.as_deref()), ("good", Some("http://as.example")));
    }

    #[tokio::test]
    async fn a_refusal_is_reported_without_control_characters() {
        let port = Loopback::open(None).await.unwrap();
        let back = port.address().to_owned();
        let waiting = tokio::spawn(port.answer("http://as.example/authorize?state=s"));
        reqwest::get(format!("{back}?state=s&error=access_denied&error_description=no%0Away")).await.unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "signing in was refused: access_denied noway");
    }
}
