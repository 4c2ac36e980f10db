//! The way back from the browser: a port on this machine that waits for one answer (RFC 8252, 7.3).

use super::SignInError;
use reqwest::Url;
use rmcp::transport::auth::AuthorizationCallback;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a person may take to sign in.
pub const PATIENCE: Duration = Duration::from_mins(5);
/// How long a browser may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;
const PATH: &str = "/callback";

/// A port that waits.
pub struct Loopback {
    listener: TcpListener,
    address: String,
}

impl Loopback {
    /// Listens, at any port without one.
    pub async fn open(port: Option<u16>) -> Result<Self, SignInError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).await?;
        let address = format!("http://127.0.0.1:{}{PATH}", listener.local_addr()?.port());
        Ok(Self { listener, address })
    }

    /// Where the browser is to be sent.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits until the browser comes back from `page`. Whoever else comes is sent away.
    pub async fn answer(self, page: &str) -> Result<AuthorizationCallback, SignInError> {
        let state = parameter(page, "state").unwrap_or_default();
        let slow = SignInError::Slow { minutes: PATIENCE.as_secs() / 60 };
        let waiting = async {
            loop {
                let (mut stream, _) = self.listener.accept().await?;
                let Ok(Some(target)) = tokio::time::timeout(REQUEST, target(&mut stream)).await else {
                    continue;
                };
                let address = format!("http://127.0.0.1{target}");
                // Only the page that was opened knows the state; others on this machine may guess the port.
                if !target.starts_with(PATH) || parameter(&address, "state").as_ref() != Some(&state) {
                    say(&mut stream, "404 Not Found", "There is nothing here.").await;
                    continue;
                }
                if let Some(error) = parameter(&address, "error") {
                    say(&mut stream, "200 OK", "You are not signed in. You can close this page.").await;
                    let more = parameter(&address, "error_description").unwrap_or_default();
                    return Err(SignInError::Refused { reason: plain(&format!("{error} {more}")) });
                }
                say(&mut stream, "200 OK", "You can close this page and go back to the terminal.").await;
                return Ok(AuthorizationCallback::from_redirect_url(&address)?);
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| slow)?
    }
}

/// A query parameter of an address.
fn parameter(address: &str, name: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Others' words, short and without anything that moves a cursor.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What a request is for, if it is one.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() >= HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    (words.next()? == "GET").then_some(())?;
    words.next().filter(|target| target.starts_with('/')).map(str::to_owned)
}

/// Answers; whether it arrives changes nothing.
async fn say(stream: &mut TcpStream, status: &str, text: &str) {
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
    async fn only_the_page_that_was_opened_is_heard() {
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
    async fn a_refusal_is_told() {
        let port = Loopback::open(None).await.unwrap();
        let back = port.address().to_owned();
        let waiting = tokio::spawn(port.answer("http://as.example/authorize?state=s"));
        reqwest::get(format!("{back}?state=s&error=access_denied&error_description=no%0Away")).await.unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "signing in was refused: access_denied noway");
    }
}
