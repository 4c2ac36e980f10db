//! The way to the browser's DevTools: two pipes that only the browser and its owner have, so that no port leads to them.
//!
//! The driver speaks WebSocket over TCP alone. So this process carries its messages: it listens for one connection, which must
//! name a path that is a secret of this process.

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, accept_hdr_async_with_config};
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use async_tungstenite::tungstenite::http::StatusCode;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures_util::StreamExt as _;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::{JoinHandle, JoinSet};

/// Ends each message in the pipes.
const END: u8 = 0;
/// Limit on the length of a message of the browser, in bytes.
const MAX_MESSAGE: u64 = 1 << 28;
/// Time limit for the driver to connect, and for each client to say which path it wants.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Limit on clients that have not said it yet.
const MAX_CLIENTS: usize = 64;

/// The connection of the driver.
type Client = WebSocketStream<TokioAdapter<TcpStream>>;

/// The pipes of a browser that was started with `--remote-debugging-pipe`.
pub(crate) struct Devtools {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Devtools {
    pub fn new(commands: ChildStdin, answers: ChildStdout) -> Self {
        Self { commands, answers: BufReader::new(answers) }
    }

    /// Waits until the browser answers.
    ///
    /// # Errors
    /// It closes its pipes before.
    pub async fn opened(&mut self) -> io::Result<()> {
        // The driver counts its commands from 0.
        self.commands.write_all(b"{\"id\":2147483647,\"method\":\"Browser.getVersion\"}\0").await?;
        match message(&mut self.answers).await? {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Serves the driver. Returns the URL for it, which is a secret, and the task.
    ///
    /// # Errors
    /// There is no port, or the system has no random numbers.
    pub async fn serve(self) -> io::Result<(String, JoinHandle<()>)> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let path = format!("/{:032x}", u128::from_ne_bytes(key));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("ws://{}{path}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            if let Ok(Some(client)) = tokio::time::timeout(TIMEOUT, driver(listener, &path)).await {
                self.carry(client).await;
            }
        });
        Ok((url, task))
    }

    /// Carries messages both ways. Ends with the browser or with its owner; both notice by themselves.
    async fn carry(self, client: Client) {
        let Self { mut commands, mut answers } = self;
        let (mut sender, mut receiver) = client.split();
        let to_browser = async {
            while let Some(Ok(message)) = receiver.next().await {
                match message {
                    Message::Text(text) => {
                        let line = [text.as_str().as_bytes(), &[END]].concat();
                        if commands.write_all(&line).await.is_err() {
                            break;
                        }
                    }
                    Message::Close(_) => break,
                    _ => {}
                }
            }
        };
        let to_driver = async {
            while let Ok(Some(message)) = message(&mut answers).await {
                if sender.send(Message::text(message)).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = to_browser => {}
            () = to_driver => {}
        }
    }
}

/// The first client that names `path`. Later ones are refused.
async fn driver(listener: TcpListener, path: &str) -> Option<Client> {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => {
                let (stream, _) = accepted.ok()?;
                clients.spawn(greet(stream, path.to_owned()));
            }
            Some(greeted) = clients.join_next() => {
                if let Ok(Some(client)) = greeted {
                    return Some(client);
                }
            }
        }
    }
}

/// The connection of a client that names `path`; others are refused.
#[allow(clippy::result_large_err, reason = "the crate's type of a refusal")]
async fn greet(stream: TcpStream, path: String) -> Option<Client> {
    let check = |request: &Request, response: Response| {
        if request.uri().path() == path {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        Err(refusal)
    };
    stream.set_nodelay(true).ok()?;
    // Lengths are bounded where messages of the browser are read.
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let greeted =
        tokio::time::timeout(TIMEOUT / 4, accept_hdr_async_with_config(stream, check, Some(config))).await;
    greeted.ok()?.ok()
}

/// The next message of the browser; `None` where it has closed the pipe.
async fn message(answers: &mut BufReader<ChildStdout>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    answers.take(MAX_MESSAGE).read_until(END, &mut bytes).await?;
    if bytes.pop() != Some(END) {
        return Ok(None);
    }
    let lossy = |error: std::string::FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    Ok(Some(String::from_utf8(bytes).unwrap_or_else(lossy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use tokio::process::Command;

    /// A program that answers each message with itself, in place of a browser.
    fn echo() -> (tokio::process::Child, Devtools) {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let devtools = Devtools::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        (child, devtools)
    }

    #[tokio::test]
    async fn only_who_knows_the_path_drives_the_browser() {
        let (_child, mut devtools) = echo();
        devtools.opened().await.unwrap();
        let (url, task) = devtools.serve().await.unwrap();
        let (address, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
        assert!(path.len() == 32 && path.bytes().all(|byte| byte.is_ascii_hexdigit()), "{path}");
        // A silent client does not keep others out.
        let _silent = TcpStream::connect(address).await.unwrap();
        for wrong in ["", "devtools/browser", &path[..31], "json/version"] {
            let refused = async_tungstenite::tokio::connect_async(format!("ws://{address}/{wrong}")).await;
            assert!(refused.is_err(), "{wrong}");
        }
        let (mut driver, _) = async_tungstenite::tokio::connect_async(&url).await.unwrap();
        for text in ["{\"id\":1}", "ä".repeat(1 << 17).as_str()] {
            driver.send(Message::text(text.to_owned())).await.unwrap();
            assert_eq!(driver.next().await.unwrap().unwrap(), Message::text(text.to_owned()));
        }
        assert!(TcpStream::connect(address).await.is_err(), "later clients are refused");
        drop(driver);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn the_end_of_a_browser_ends_its_connection() {
        let (mut child, devtools) = echo();
        let (url, task) = devtools.serve().await.unwrap();
        let (mut driver, _) = async_tungstenite::tokio::connect_async(&url).await.unwrap();
        child.kill().await.unwrap();
        task.await.unwrap();
        assert!(!matches!(driver.next().await, Some(Ok(_))));
    }
}
