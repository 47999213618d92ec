//! A web service on this machine, which answers as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;

/// What it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The first line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The header of that name; nothing where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = headers.find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// The body, which is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The service, for as long as the test runs.
pub(crate) struct Web {
    address: SocketAddr,
    requests: Mutex<Receiver<Request>>,
}

impl Web {
    /// Answers each request with the status and the body that `answer` finds for it.
    pub(crate) fn serve(answer: impl Fn(&Request) -> (u16, String) + Send + 'static) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, requests) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let mut reader = BufReader::new(stream);
                let Some(request) = request(&mut reader) else { continue };
                let (status, body) = answer(&request);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} Whatever\r\nconnection: close\r\n\
                     content-length: {length}\r\n\r\n{body}"
                );
                // Who asked may have lost patience.
                let _ = reader.get_mut().write_all(answer.as_bytes());
                if told.send(request).is_err() {
                    return;
                }
            }
        });
        Web { address, requests: Mutex::new(requests) }
    }

    /// Its URL, with that path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits for the next request that it has answered.
    pub(crate) fn next(&self) -> Request {
        self.next_within(PATIENCE)
    }

    /// The same with another patience.
    pub(crate) fn next_within(&self, patience: Duration) -> Request {
        self.requests.lock().unwrap().recv_timeout(patience).expect("a request")
    }

    /// The requests that it has answered since the last that was looked at.
    pub(crate) fn so_far(&self) -> Vec<Request> {
        self.requests.lock().unwrap().try_iter().collect()
    }
}

/// Reads a request; `None` if it ends before.
fn request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut request = Request { head, body: Vec::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
