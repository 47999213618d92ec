//! Reading scenarios: one line, one step. Lines that begin with two spaces, a bar and a space belong
//! to the one before them.

use std::fmt;
use std::time::{Duration, SystemTime};

use waft_plugin_host::{Fault, WebResponse};

use super::text::{Pattern, inner, octets, unescaped};
use super::{Answer, Outcome, PASSWORD, Scenario, Stage, Step, USER};

/// What the lines begin with that belong to the one before.
const MORE: &str = "  | ";

/// A line that says nothing sensible.
#[derive(Debug)]
pub(in super::super) struct Mistake {
    pub(in super::super) line: usize,
    pub(in super::super) text: String,
    pub(in super::super) remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text, remedy } = self;
        write!(f, "{line}: not a step: {text}\n  remedy: {remedy}")
    }
}

/// A line with those that belong to it.
struct Entry<'a> {
    line: usize,
    text: &'a str,
    more: Vec<&'a str>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// The first line that is no step, or comes where it must not.
    pub(in super::super) fn parse(text: &str) -> Result<Self, Mistake> {
        let mut scenario = Self::default();
        for entry in entries(text)? {
            let wrong =
                |remedy: String| Mistake { line: entry.line, text: entry.text.to_owned(), remedy };
            match scenario.stage.set(&entry) {
                Some(done) => {
                    done.ok_or_else(|| wrong(remedy(entry.text)))?;
                    if !scenario.steps.is_empty() {
                        return Err(wrong("move it before the first step".to_owned()));
                    }
                }
                None => {
                    let step = Step::parse(&entry).ok_or_else(|| wrong(remedy(entry.text)))?;
                    // What web services answer may be said at any time.
                    let is_stage = matches!(step, Step::Answer(_)) && scenario.steps.is_empty();
                    match step {
                        Step::Answer(answer) if is_stage => scenario.stage.answers.push(answer),
                        step => scenario.steps.push((entry.line, step)),
                    }
                }
            }
        }
        let uses_tls = |(_, step): &(usize, Step)| {
            matches!(step, Step::Tls | Step::Protect | Step::Session { is_implicit: true, .. })
        };
        scenario.stage.has_tls = scenario.stage.server.lines().any(|line| line.trim() == "[tls]")
            || scenario.steps.iter().any(uses_tls);
        Ok(scenario)
    }

    /// Whether nothing is done or expected in it.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

fn entries(text: &str) -> Result<Vec<Entry<'_>>, Mistake> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let bar = text.trim_end() == MORE.trim_end();
        if let Some(more) = text.strip_prefix(MORE).or(bar.then_some("")) {
            let Some(entry) = entries.last_mut() else {
                let remedy = "put it behind the line that it belongs to".to_owned();
                return Err(Mistake { line, text: text.to_owned(), remedy });
            };
            entry.more.push(more);
        } else if !text.trim().is_empty() && !text.starts_with('#') {
            entries.push(Entry { line, text: text.trim_end(), more: Vec::new() });
        }
    }
    Ok(entries)
}

/// The forms of lines, by what they begin with.
const FORMS: [(&str, &str); 28] = [
    (">", "> LINE"),
    ("<", "< LINE"),
    ("plugin", "plugin: and below it lines of TOML, each behind \"  | \""),
    ("server", "server: and below it lines of TOML, each behind \"  | \""),
    ("account", "account: NAME, or account: NAME list,read"),
    ("file", "file: NAME \"OCTETS\""),
    ("directory", "directory: NAME"),
    ("secret", "secret: NAME \"OCTETS\""),
    ("clock", "clock: 20260131120000"),
    ("session", "session: NAME, and implicit, from ADDRESS or both in this order behind it"),
    ("login", "login, login: NAME, or login: NAME PASSWORD"),
    ("eof", "eof"),
    ("disconnect", "disconnect"),
    ("tls", "tls"),
    ("protect", "protect"),
    ("passive", "passive"),
    ("active", "active"),
    ("listen", "listen PORT, such as listen 51210"),
    ("data", "data: send \"OCTETS\", data: expect \"OCTETS\", data: lines, or data: gone"),
    ("advance", "advance 60s (also ms, m, h, d)"),
    ("http: expect", "http: expect METHOD URL, and \"BODY\" behind it"),
    ("http", "http: METHOD URL -> STATUS \"BODY\", or -> timeout, or -> fails \"REASON\""),
    ("kv: set", "kv: set KEY \"OCTETS\""),
    ("kv", "kv: expect KEY \"OCTETS\", or kv: expect KEY nothing"),
    ("inject", "inject: trap HOOK, or inject: timeout HOOK"),
    ("event", "event: NAME"),
    ("log", "log: TEXT"),
    ("check", "check: NAME holds \"OCTETS\", or check: no NAME"),
];

fn remedy(text: &str) -> String {
    match FORMS.iter().find(|(begin, _)| text.starts_with(begin)) {
        Some((_, form)) => format!("write {form}"),
        None => "see docs/plugins/testing.md, or waft plugin test --help".to_owned(),
    }
}

impl Stage {
    /// Takes a line about what is there before; `None` where the line is none, the inner one where
    /// it makes no sense.
    fn set(&mut self, entry: &Entry<'_>) -> Option<Option<()>> {
        let (key, value) = entry.text.split_once(':')?;
        let value = value.trim();
        Some(match key {
            "plugin" if value.is_empty() => {
                self.plugin = Some(entry.more.join("\n"));
                Some(())
            }
            "server" if value.is_empty() => {
                self.server.push_str(&entry.more.join("\n"));
                self.server.push('\n');
                Some(())
            }
            "account" => {
                let (name, may) = named(value);
                self.accounts.push((name.to_owned(), may.map(str::to_owned)));
                Some(())
            }
            "file" => pair(value).map(|pair| self.files.push(pair)),
            "directory" => path(value).map(|name| self.directories.push(name)),
            "secret" => pair(value).map(|pair| self.secrets.push(pair)),
            "kv" => {
                let set = value.strip_prefix("set ")?;
                pair(set).map(|pair| self.stored.push(pair))
            }
            "clock" => {
                let seconds = waft_proto::time::parse_time_val(value.as_bytes())
                    .ok()
                    .and_then(|time| u64::try_from(time.seconds).ok());
                let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                seconds.map(|seconds| self.clock = Some(time(seconds)))
            }
            _ => return None,
        })
    }
}

/// `NAME "OCTETS"`.
fn pair(text: &str) -> Option<(String, Vec<u8>)> {
    let (name, value) = text.split_once(' ')?;
    Some((path(name)?, octets(value)?))
}

/// A name beneath a directory.
fn path(name: &str) -> Option<String> {
    let is_beneath =
        !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | ".." | "."));
    is_beneath.then(|| name.to_owned())
}

/// A word, and what is behind it.
fn named(text: &str) -> (&str, Option<&str>) {
    match text.split_once(' ') {
        Some((name, more)) => (name, Some(more.trim())),
        None => (text, None),
    }
}

impl Step {
    fn parse(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text;
        if let Some(line) = text.strip_prefix("> ") {
            return Some(Self::Send(unescaped(line)?));
        }
        if let Some(line) = text.strip_prefix("< ") {
            return Some(Self::Expect(Pattern::parse(line)?));
        }
        if let Some(time) = text.strip_prefix("advance ") {
            return Some(Self::Advance(duration(time)?));
        }
        if let Some(port) = text.strip_prefix("listen ") {
            return Some(Self::Listen(port.parse().ok()?));
        }
        let Some((key, value)) = text.split_once(": ") else { return Self::word(entry) };
        Some(match key {
            "session" => {
                let (name, from) = match value.split_once(" from ") {
                    Some((name, from)) => (name, Some(from.parse().ok()?)),
                    None => (value, None),
                };
                let implicit = name.strip_suffix(" implicit");
                let is_implicit = implicit.is_some();
                Self::Session { name: implicit.unwrap_or(name).to_owned(), from, is_implicit }
            }
            "login" => {
                let (name, password) = named(value);
                let password = password.unwrap_or(PASSWORD).to_owned();
                Self::Login { name: name.to_owned(), password }
            }
            "data" => Self::data(entry, value)?,
            "http" => match value.strip_prefix("expect ") {
                Some(asked) => asked_for(asked)?,
                None => Self::Answer(answer(entry, value)?),
            },
            "kv" => stored(value)?,
            "inject" => {
                let (fault, hook) = value.split_once(' ')?;
                let fault = match fault {
                    "trap" => Fault::Trap,
                    "timeout" => Fault::Timeout,
                    _ => return None,
                };
                Self::Inject { hook: hook.to_owned(), fault }
            }
            "event" => Self::Event(value.to_owned()),
            "log" => Self::Logged(value.to_owned()),
            "check" => match value.strip_prefix("no ") {
                Some(name) => Self::Check { name: path(name)?, holds: None },
                None => {
                    let (name, holds) = value.split_once(" holds ")?;
                    Self::Check { name: path(name)?, holds: Some(octets(holds)?) }
                }
            },
            _ => return None,
        })
    }

    /// Lines that are one word.
    fn word(entry: &Entry<'_>) -> Option<Self> {
        Some(match entry.text {
            "login" => Self::Login { name: USER.to_owned(), password: PASSWORD.to_owned() },
            "tls" => Self::Tls,
            "protect" => Self::Protect,
            "passive" => Self::Passive,
            "active" => Self::Active,
            "eof" => Self::Eof,
            "disconnect" => Self::Disconnect,
            _ => return None,
        })
    }

    fn data(entry: &Entry<'_>, value: &str) -> Option<Self> {
        Some(match named(value) {
            ("send", Some(what)) => Self::DataSend(octets(what)?),
            ("expect", Some(what)) => Self::DataExpect(octets(what)?),
            ("lines", None) => {
                let lines = entry.more.iter().map(|line| Pattern::parse(line));
                Self::DataLines(lines.collect::<Option<_>>()?)
            }
            ("gone", None) => Self::DataGone,
            _ => return None,
        })
    }
}

/// `[always] METHOD URL -> STATUS "BODY"`, with the headers below.
fn answer(entry: &Entry<'_>, text: &str) -> Option<Answer> {
    let (request, outcome) = text.split_once(" -> ")?;
    let (always, request) = match request.strip_prefix("always ") {
        Some(request) => (true, request),
        None => (false, request),
    };
    let (method, url) = request.split_once(' ')?;
    let (word, more) = named(outcome);
    let outcome = match (word, more) {
        ("timeout", None) => Outcome::Timeout,
        ("fails", Some(reason)) => Outcome::Failure(inner(reason)?.to_owned()),
        (status, body) => {
            let header = |line: &&str| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_owned(), value.trim().to_owned()))
            };
            Outcome::Response(WebResponse {
                status: status.parse().ok().filter(|status| (200..1000).contains(status))?,
                headers: entry.more.iter().map(header).collect::<Option<_>>()?,
                body: body.map_or(Some(Vec::new()), octets)?,
            })
        }
    };
    let (method, url) = (method.to_owned(), Pattern::parse(url)?);
    Some(Answer { line: entry.line, method, url, always, outcome })
}

/// `METHOD URL ["BODY"]`.
fn asked_for(text: &str) -> Option<Step> {
    let (method, rest) = text.split_once(' ')?;
    let (url, body) = named(rest);
    let body = match body {
        Some(body) => Some(Pattern::parse(inner(body)?)?),
        None => None,
    };
    Some(Step::Asked { method: method.to_owned(), url: Pattern::parse(url)?, body })
}

/// `expect KEY "OCTETS"`, `expect KEY nothing`.
fn stored(text: &str) -> Option<Step> {
    let (key, value) = text.strip_prefix("expect ")?.split_once(' ')?;
    let value = match value {
        "nothing" => None,
        value => Some(Pattern::parse(inner(value)?)?),
    };
    Some(Step::Stored { key: key.to_owned(), value })
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(ms)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_what_is_there_before_and_steps() {
        let scenario = Scenario::parse(
            "# What it shows\nplugin:\n  | [plugin.config]\n  |\n  | a = 1\nkv: set n \"7\"\n\
             http: always POST https://a.example/{any} -> 204\n\nlogin\n> NOOP\n< 200 {any}\n\
             advance 60s\ndata: send 1 KiB\nkv: expect n nothing\ninject: trap command-filter\n",
        )
        .unwrap();
        let Stage { plugin, stored, answers, .. } = scenario.stage;
        assert_eq!(plugin.unwrap(), "[plugin.config]\n\na = 1");
        assert_eq!(stored, [("n".to_owned(), b"7".to_vec())]);
        assert!(answers[0].always && answers[0].line == 7);
        let lines: Vec<_> = scenario.steps.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [9, 10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn a_line_that_is_no_step_is_told_with_the_form_it_should_have() {
        let told = |text: &str| Scenario::parse(text).unwrap_err().to_string();
        assert_eq!(
            told("login\n\ndata: send a"),
            "3: not a step: data: send a\n  remedy: write data: send \"OCTETS\", data: expect \
             \"OCTETS\", data: lines, or data: gone"
        );
        assert_eq!(
            told("login\naccount: bob"),
            "2: not a step: account: bob\n  remedy: move it before the first step"
        );
        assert!(told("hello").ends_with("or waft plugin test --help"));
        assert!(told("file: ../a \"\"").starts_with("1: not a step"));
        assert!(told("advance soon").ends_with("(also ms, m, h, d)"));
        assert!(told("  | a").starts_with("1: not a step:   | a"));
    }

    #[test]
    fn a_server_has_tls_where_the_scenario_uses_it() {
        let has_tls = |text: &str| Scenario::parse(text).unwrap().stage.has_tls;
        assert!(!has_tls("session: a from 192.0.2.9\n> AUTH TLS\nactive\nlisten 51210\n"));
        for text in ["tls", "protect", "session: a implicit", "session: a implicit from ::1"] {
            assert!(has_tls(text), "{text}");
        }
        assert!(has_tls("server:\n  | [tls]\n  | data_connections = \"private\"\nlogin\n"));
        assert!(Scenario::parse("listen 66000").is_err());
    }

    #[test]
    fn times_are_numbers_with_a_unit() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        assert_eq!((duration("5"), duration("s"), duration("1w")), (None, None, None));
    }
}
