//! An HTTP server with configurable faults.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    /// First requested byte of a range request.
    pub from: Option<usize>,
    pub if_range: Option<String>,
}

/// A response of the server.
#[derive(Clone, Default)]
pub struct Answer {
    /// Content of the file.
    pub body: Vec<u8>,
    /// ETag of the file.
    pub etag: Option<&'static str>,
    /// Whether range requests are ignored.
    pub whole_only: bool,
    /// Number of body bytes after which the server stops sending.
    pub stop_after: Option<usize>,
    /// Whether the connection stays open after that.
    pub hang: bool,
    /// An error status in place of the file.
    pub status: Option<&'static str>,
    /// Whether the length of the file is omitted.
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
    /// Answers each request with the result of `answer`, which gets the number of earlier requests.
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
                    // The client may close the connection at any time.
                    let _ = respond(&stream, &request, &answer(before, &request));
                });
            }
        });
        Self { url, requests }
    }

    /// A server without faults.
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
