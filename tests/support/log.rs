//! What the program writes to stderr: its log, a JSON object a line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// What it says, where it is JSON.
    json: Value,
}

impl Line {
    fn new(text: String) -> Line {
        let json = serde_json::from_str(&text).unwrap_or_default();
        Line { text, json }
    }

    /// The message.
    pub(crate) fn message(&self) -> &str {
        self.field("message")
    }

    /// A text among the fields; nothing where there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }

    /// A field of any kind.
    pub(crate) fn value(&self, name: &str) -> &Value {
        &self.json[name]
    }

    /// The span that it was written in.
    pub(crate) fn span(&self) -> &Value {
        &self.json["span"]
    }

    /// Whether `WARN` or `ERROR` is its level.
    pub(crate) fn is_alarming(&self) -> bool {
        matches!(self.field("level"), "WARN" | "ERROR")
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json.is_object()
    }
}

/// All lines so far.
#[derive(Clone)]
pub(crate) struct Log(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    lines: Vec<Line>,
    ended: bool,
}

/// A place in the log, to look only at what comes behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Log {
    /// Collects what is read until it ends.
    pub(crate) fn collect(from: impl Read + Send + 'static) -> Log {
        let log = Log(Arc::default());
        let collected = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                let line = Line::new(String::from_utf8_lossy(&line).into_owned());
                collected.0.0.lock().unwrap().lines.push(line);
                collected.0.1.notify_all();
            }
            collected.0.0.lock().unwrap().ended = true;
            collected.0.1.notify_all();
        });
        log
    }

    /// The place behind the last line.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.0.0.lock().unwrap().lines.len())
    }

    /// The lines behind `mark`.
    pub(crate) fn since(&self, mark: Mark) -> Vec<Line> {
        self.0.0.lock().unwrap().lines[mark.0..].to_vec()
    }

    /// All lines.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.since(Mark(0))
    }

    /// Waits for a line behind `mark`; `what` tells what was missing if it does not come.
    pub(crate) fn wait_since(&self, mark: Mark, what: &str, is: impl Fn(&Line) -> bool) -> Line {
        self.wait_longer(PATIENCE, mark, what, is)
    }

    /// The same for what may take longer than anything else.
    pub(crate) fn wait_longer(
        &self,
        patience: Duration,
        mark: Mark,
        what: &str,
        is: impl Fn(&Line) -> bool,
    ) -> Line {
        let deadline = Instant::now() + patience;
        let (lines, changed) = &*self.0;
        let mut lines = lines.lock().unwrap();
        let mut at = mark.0;
        loop {
            if let Some(line) = lines.lines[at..].iter().find(|line| is(line)) {
                return line.clone();
            }
            at = lines.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.ended || left.is_zero() {
                let text: Vec<_> = lines.lines.iter().map(|line| line.text.clone()).collect();
                drop(lines);
                panic!("the log does not tell: {what}\n{}", text.join("\n"));
            }
            lines = changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits for a line, wherever it stands.
    pub(crate) fn wait(&self, what: &str, is: impl Fn(&Line) -> bool) -> Line {
        self.wait_since(Mark(0), what, is)
    }

    /// Waits until there will be no more lines.
    pub(crate) fn wait_for_end(&self) {
        let (lines, changed) = &*self.0;
        let lines = lines.lock().unwrap();
        let (lines, waited) =
            changed.wait_timeout_while(lines, PATIENCE, |lines| !lines.ended).unwrap();
        assert!(!waited.timed_out(), "the log does not end: {} lines", lines.lines.len());
    }

    /// Everything, for whoever reads why a test failed.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines();
        lines.iter().map(|line| &*line.text).collect::<Vec<_>>().join("\n")
    }
}
