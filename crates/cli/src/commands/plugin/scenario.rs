//! A conversation of a client with the server, written down, and played.
//!
//! The lines are those of the transcripts that the server's own tests play: `> LINE` is sent,
//! `< LINE` has to come, `{any}` stands for anything; `passive` opens a data connection, and
//! `data: send` and `data: expect` use it. Over loopback, and with the machine's clock.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Who logs in.
pub(super) const USER: &str = "alice";

/// With what password.
pub(super) const PASSWORD: &str = "secret";

/// How long the server may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stands for anything in a line that has to come.
const ANY: &str = "{any}";

/// A conversation, line by line.
#[derive(Debug)]
pub(super) struct Scenario {
    /// With the numbers of their lines.
    steps: Vec<(usize, Step)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Login,
    Send(String),
    Expect(String),
    Passive,
    DataSend(Vec<u8>),
    DataExpect(Vec<u8>),
}

/// A line that says nothing sensible.
#[derive(Debug)]
pub(super) struct Mistake {
    line: usize,
    text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text } = self;
        write!(
            f,
            "{line}: not a step: {text}\n  remedy: one of \"> LINE\", \"< LINE\", \"login\", \
             \"passive\", \"data: send TEXT\", \"data: expect TEXT\", the texts in quotation marks"
        )
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// The first line that is no step.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let mut steps = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let step = Step::parse(text).ok_or_else(|| Mistake { line, text: text.to_owned() })?;
            steps.push((line, step));
        }
        Ok(Self { steps })
    }

    /// Plays it against the server at an address.
    ///
    /// # Errors
    ///
    /// Something else came than was expected, or nothing; with the conversation up to there.
    pub(super) fn play(&self, server: SocketAddr) -> Result<()> {
        let mut client = Client::connect(server)?;
        for (line, step) in &self.steps {
            client.take(step).with_context(|| {
                format!("line {line}; the conversation:\n{}", client.said.join("\n"))
            })?;
        }
        Ok(())
    }
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        if let Some(line) = text.strip_prefix("> ") {
            return Some(Self::Send(line.to_owned()));
        }
        if let Some(line) = text.strip_prefix("< ") {
            return Some(Self::Expect(line.to_owned()));
        }
        match text {
            "login" => Some(Self::Login),
            "passive" => Some(Self::Passive),
            _ => {
                let (what, octets) = text.strip_prefix("data: ")?.split_once(' ')?;
                let octets = quoted(octets)?;
                match what {
                    "send" => Some(Self::DataSend(octets)),
                    "expect" => Some(Self::DataExpect(octets)),
                    _ => None,
                }
            }
        }
    }
}

/// The octets in `"..."`, with `\r`, `\n`, `\t`, `\\` and `\"`.
fn quoted(text: &str) -> Option<Vec<u8>> {
    let mut letters = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut octets = String::new();
    while let Some(letter) = letters.next() {
        octets.push(match letter {
            '\\' => match letters.next()? {
                'r' => '\r',
                'n' => '\n',
                't' => '\t',
                same @ ('\\' | '"') => same,
                _ => return None,
            },
            '"' => return None,
            _ => letter,
        });
    }
    Some(octets.into_bytes())
}

struct Client {
    control: BufReader<TcpStream>,
    data: Option<TcpStream>,
    server: SocketAddr,
    said: Vec<String>,
}

impl Client {
    fn connect(server: SocketAddr) -> Result<Self> {
        let stream = connect(server)?;
        let mut client =
            Self { control: BufReader::new(stream), data: None, server, said: Vec::new() };
        client.reply(220)?;
        Ok(client)
    }

    fn take(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Login => {
                self.send(&format!("USER {USER}"))?;
                self.reply(331)?;
                self.send(&format!("PASS {PASSWORD}"))?;
                self.reply(230).map(drop)
            }
            Step::Send(line) => self.send(line),
            Step::Expect(expected) => {
                let line = self.line()?;
                ensure!(fits(expected, &line), "expected: {expected}");
                Ok(())
            }
            Step::Passive => {
                self.send("EPSV")?;
                let reply = self.reply(229)?;
                let port = reply.split('|').nth(3).and_then(|port| port.parse().ok());
                let port = port.with_context(|| format!("no port: {reply}"))?;
                self.data = Some(connect(SocketAddr::new(self.server.ip(), port))?);
                Ok(())
            }
            Step::DataSend(octets) => Ok(self.data()?.write_all(octets)?),
            Step::DataExpect(expected) => {
                let mut octets = Vec::new();
                self.data()?.read_to_end(&mut octets)?;
                let (octets, expected) = (show(&octets), show(expected));
                ensure!(octets == expected, "expected: {expected}\n  came: {octets}");
                Ok(())
            }
        }
    }

    /// The data connection, which is used once.
    fn data(&mut self) -> Result<TcpStream> {
        self.data.take().context("no data connection: \"passive\" opens one")
    }

    fn send(&mut self, line: &str) -> Result<()> {
        self.said.push(format!("> {line}"));
        Ok(self.control.get_mut().write_all(format!("{line}\r\n").as_bytes())?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.control.read_until(b'\n', &mut line).context("nothing came")?;
        if line.is_empty() {
            bail!("the server has ended the conversation");
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        self.said.push(format!("< {line}"));
        Ok(line)
    }

    /// Reads a reply of a code, to its last line.
    fn reply(&mut self, code: u16) -> Result<String> {
        loop {
            let line = self.line()?;
            if line.get(3..4) == Some(" ") && line.get(..3).is_some_and(|c| c.parse() == Ok(code)) {
                return Ok(line);
            }
            let goes_on = line.starts_with(' ') || line.get(3..4) == Some("-");
            ensure!(goes_on, "expected a reply of code: {code}");
        }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| address.to_string())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn show(octets: &[u8]) -> String {
    format!("\"{}\"", octets.escape_ascii())
}

/// Whether a line is the expected one.
fn fits(expected: &str, line: &str) -> bool {
    let mut parts = expected.split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stands_for_anything() {
        assert!(fits("211 a", "211 a"));
        assert!(!fits("211 a", "211 ab"));
        assert!(fits("150 {any}", "150 "));
        assert!(fits("227 {any}({any})", "227 Go (1,2)"));
        assert!(!fits("227 {any}({any})", "227 Go"));
    }

    #[test]
    fn steps_are_read_with_their_texts() {
        assert_eq!(Step::parse("> NOOP"), Some(Step::Send("NOOP".to_owned())));
        assert_eq!(Step::parse("data: send \"a\\n\""), Some(Step::DataSend(b"a\n".to_vec())));
        let mistake = Scenario::parse("login\n\ndata: send a").unwrap_err();
        assert!(mistake.to_string().starts_with("3: not a step: data: send a"), "{mistake}");
    }
}
