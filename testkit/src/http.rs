//! Scripted HTTP servers.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

/// A request as a scripted server sees it.
pub struct Request {
    /// Path and query of the request.
    pub path: String,
    /// Body of the request, as long as its `content-length` says.
    pub body: Vec<u8>,
}

/// Serves `respond` at a free port of this machine until the process ends, each connection in a thread; returns the
/// server's address, `http://127.0.0.1:PORT`. `respond` gives a body of JSON, or nothing for an empty answer.
pub fn serve(respond: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> String {
    serve_at(0, respond)
}

/// As [`serve`], at this port.
pub fn serve_at(port: u16, respond: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let respond = std::sync::Arc::new(respond);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let respond = std::sync::Arc::clone(&respond);
            std::thread::spawn(move || converse(&stream, &*respond));
        }
    });
    address
}

/// A request with its head, as [`serve_raw`] gets it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path and query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The value of the header with this name, which is written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// As [`serve`], with a status: `respond` gives the status, and further lines of the answer's head, each with `\r\n` at its end.
pub fn serve_raw(respond: impl Fn(Received) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let respond = std::sync::Arc::new(respond);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let respond = std::sync::Arc::clone(&respond);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let (request, headers) = read(&mut reader)?;
                let (status, head) = respond(Received { path: request.path, headers, body: request.body });
                let head = format!(
                    "HTTP/1.1 {status} Answer\r\n{head}connection: close\r\ncontent-length: 0\r\n\r\n"
                );
                (&stream).write_all(head.as_bytes()).ok()
            });
        }
    });
    address
}

/// Answers requests until the other side closes the connection.
fn converse(mut stream: &TcpStream, respond: &dyn Fn(&Request) -> Option<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (request, _) = read(&mut reader)?;
        let body = respond(&request).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
    }
}

/// The next request of a connection with its headers; `None` when there are no more.
fn read(reader: &mut impl BufRead) -> Option<(Request, Vec<(String, String)>)> {
    let (mut path, mut length, mut headers) = (None, 0, Vec::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if path.is_none() {
            path = Some(line.split(' ').nth(1)?.to_owned());
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((Request { path: path?, body }, headers))
}
