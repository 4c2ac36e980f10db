//! An HTTP server that misbehaves as it is told.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    /// The first byte wanted, where only a range is.
    pub from: Option<usize>,
    pub if_range: Option<String>,
}

/// How it answers.
#[derive(Clone, Default)]
pub struct Answer {
    /// The file.
    pub body: Vec<u8>,
    /// The file's version.
    pub etag: Option<&'static str>,
    /// Ranges are ignored.
    pub whole_only: bool,
    /// After so many bytes of the body nothing more is sent.
    pub stop_after: Option<usize>,
    /// Then the connection stays open.
    pub hang: bool,
    /// Nothing but this status.
    pub status: Option<&'static str>,
    /// The file's length is not said.
    pub no_length: bool,
}

impl Answer {
    pub fn with(body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..Self::default() }
    }
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers what `answer` says to each request, given how many came before.
    pub fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                thread::spawn(move || {
                    let Some(request) = read_request(&stream) else { return };
                    let before = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(request.clone());
                        kept.len() - 1
                    };
                    // The client may go away at any time.
                    let _ = respond(&stream, &request, &answer(before, &request));
                });
            }
        });
        Self { url, requests }
    }

    /// Always serves `body` as a good server does.
    pub fn good(body: &[u8]) -> Self {
        let answer = Answer::with(body);
        Self::start(move |_, _| answer.clone())
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut request = Request { path: first.split(' ').nth(1)?.to_owned(), from: None, if_range: None };
    loop {
        let line = lines.next()?.ok()?;
        let Some((name, value)) = line.split_once(':') else { return Some(request) };
        match name.to_lowercase().as_str() {
            "range" => request.from = value.trim().strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok(),
            "if-range" => request.if_range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
}

fn respond(mut stream: &TcpStream, request: &Request, answer: &Answer) -> std::io::Result<()> {
    if let Some(status) = answer.status {
        return write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let same_version = request.if_range.is_none() || request.if_range.as_deref() == answer.etag;
    let from = request.from.filter(|_| same_version && !answer.whole_only);
    let total = answer.body.len();
    let mut head = match from {
        Some(from) if from >= total => {
            return write!(
                stream,
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Some(from) => {
            format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\n", total - 1)
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    let rest = &answer.body[from.unwrap_or(0)..];
    if !answer.no_length {
        let _ = write!(head, "Content-Length: {}\r\n", rest.len());
    }
    if let Some(etag) = answer.etag {
        let _ = write!(head, "ETag: {etag}\r\n");
    }
    write!(stream, "{head}Connection: close\r\n\r\n")?;
    stream.write_all(&rest[..answer.stop_after.unwrap_or(rest.len()).min(rest.len())])?;
    stream.flush()?;
    if answer.hang {
        thread::sleep(Duration::from_mins(1));
    }
    Ok(())
}
