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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
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

/// Answers requests until the other side closes the connection.
fn converse(mut stream: &TcpStream, respond: &dyn Fn(&Request) -> Option<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        let body = respond(&request).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
    }
}

/// The next request of a connection; `None` when there are no more.
fn read(reader: &mut impl BufRead) -> Option<Request> {
    let (mut path, mut length) = (None, 0);
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
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path: path?, body })
}
