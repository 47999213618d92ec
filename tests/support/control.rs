//! The control socket, asked as often as a test likes without a process for each question.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::PATIENCE;

/// A connection to the control socket of a server.
pub(crate) struct Control(BufReader<UnixStream>);

impl Control {
    /// Connects.
    pub(crate) fn connect(socket: &Path) -> Control {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Control(BufReader::new(stream))
    }

    /// Asks, and returns what is answered; an error fails.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.0.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{request}: {answer}");
        answer["done"].clone()
    }

    /// How the plugins are.
    #[track_caller]
    pub(crate) fn plugins(&mut self) -> Value {
        self.ask(&json!({ "ask": "plugins" }))
    }
}
