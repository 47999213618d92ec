//! Transcripts as they are read: `tests/transcripts/README.md` tells the form.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::text::{Pattern, unescape};

/// One transcript.
pub struct Script {
    pub name: String,
    pub path: PathBuf,
    /// Why it only makes sense over memory, if so.
    pub memory_only: Option<String>,
    /// What is there before the conversation begins.
    pub setup: Vec<(usize, Setup)>,
    pub steps: Vec<(usize, Step)>,
}

/// What is there before the conversation begins.
pub enum Setup {
    /// `address: ipv4 | ipv6 | v4-mapped`
    Address(String),
    /// `setting: NAME = VALUE`
    Setting(String, String),
    /// `account: NAME [KEY=VALUE]...`
    Account(String),
    /// `guard: delay DURATION | locked out`
    Guard(String),
    /// `file: NAME CONTENTS`
    File(Vec<u8>, String),
    /// `directory: NAME`
    Directory(Vec<u8>),
    /// `symlink: NAME -> TARGET`
    Symlink(String, String),
    /// `hook: RULE`
    Hook(String),
}

/// One step of a conversation.
pub enum Step {
    /// `login: NAME`: the greeting, USER, PASS
    Login(String),
    /// `passive`, `passive: NAME`: EPSV, and connecting to the port
    Passive(String),
    /// `> LINE`
    Send(Vec<u8>),
    /// `flood: LINE`: again and again, until the server takes no more
    Flood(Vec<u8>),
    /// `transferred: NUMBER`: STAT, until it tells so many octets
    Transferred(u64),
    /// `raw: "OCTETS"`
    Raw(Vec<u8>),
    /// `urgent: "OCTETS"`: the last one as TCP's urgent data
    Urgent(Vec<u8>),
    /// `< LINE`
    Reply(Pattern),
    /// `half-close`, `disconnect`, `reset`, `eof`
    Ending(Ending),
    /// `session: NAME [from stranger]`
    Session { name: String, stranger: bool },
    /// `data: ACTION`, or `NAME: ACTION` with another name
    Data { name: String, action: DataAction },
    /// `check: CLAIM`
    Check(String),
    /// `count: NAME = NUMBER`
    Count(String, u64),
    /// `event: PATTERN`
    Event(Pattern),
    /// `saw: PATTERN`, or `saw nothing`
    Saw(Option<Pattern>),
    /// `hook: RULE`, or `hook: none`
    Hook(String),
    /// `reload: NAME = VALUE`
    Reload(String, String),
    /// `server: drain DURATION | stop now | stopped`
    Server(String),
    /// `wait: DURATION`
    Wait(Duration),
    /// `clock: DURATION`
    Clock(Duration),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    HalfClose,
    Disconnect,
    Reset,
    Eof,
}

/// What happens to a data connection.
pub enum DataAction {
    Connect {
        stranger: bool,
    },
    ConnectRefused,
    Listen,
    /// An address where nobody answers, as behind a firewall.
    ListenSilently,
    /// An address where nobody listens.
    ListenNowhere,
    Accept,
    Send {
        contents: String,
        deflated: bool,
    },
    Shutdown,
    Close,
    Reset,
    Expect(String),
    /// What is there to the end is a zlib stream of this.
    ExpectDeflated(String),
    Eof,
    /// It has ended by now, without waiting.
    HasEnded,
    /// It ends or breaks, whatever was still in it.
    Gone,
    /// Lines in any order, to the end.
    Lines {
        lines: Vec<Pattern>,
        deflated: bool,
    },
}

impl Script {
    pub fn load(path: &Path) -> Script {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut script =
            Script { name, path: path.to_owned(), memory_only: None, setup: vec![], steps: vec![] };
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line)).peekable();
        while let Some((number, line)) = lines.next() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut listed = Vec::new();
            while let Some((_, entry)) = lines.next_if(|(_, line)| line.starts_with("  | ")) {
                listed.push(Pattern::parse(&entry[4..]));
            }
            script.read_line(number, line, listed);
        }
        script
    }

    fn read_line(&mut self, number: usize, line: &str, listed: Vec<Pattern>) {
        if let Some(reason) = line.strip_prefix("memory only: ") {
            self.memory_only = Some(reason.to_owned());
        } else if self.steps.is_empty()
            && let Some(setup) = setup(line)
        {
            self.setup.push((number, setup));
        } else {
            let step = step(line, listed);
            let step = step.unwrap_or_else(|| self.fail(number, &format!("not a step: {line}")));
            self.steps.push((number, step));
        }
    }

    /// Ends the test, with file and line.
    pub fn fail(&self, number: usize, what: &str) -> ! {
        panic!("{}:{number}: {what}", self.path.display())
    }

    /// The lines that the client sends, and the reply that follows each at once.
    pub fn exchanges(&self) -> impl Iterator<Item = (&[u8], Option<&Pattern>)> {
        self.steps.iter().enumerate().filter_map(|(index, (_, step))| match step {
            Step::Send(line) => match self.steps.get(index + 1) {
                Some((_, Step::Reply(reply))) => Some((&**line, Some(reply))),
                _ => Some((&**line, None)),
            },
            _ => None,
        })
    }
}

fn setup(line: &str) -> Option<Setup> {
    let (keyword, rest) = line.split_once(": ")?;
    Some(match keyword {
        "address" => Setup::Address(rest.to_owned()),
        "setting" => {
            let (name, value) = assignment(rest)?;
            Setup::Setting(name, value)
        }
        "account" => Setup::Account(rest.to_owned()),
        "guard" => Setup::Guard(rest.to_owned()),
        "file" => {
            let (name, contents) = name_and_rest(rest)?;
            Setup::File(name, contents.to_owned())
        }
        "directory" => Setup::Directory(name(rest)),
        "symlink" => {
            let (name, target) = rest.split_once(" -> ")?;
            Setup::Symlink(name.to_owned(), target.to_owned())
        }
        "hook" => Setup::Hook(rest.to_owned()),
        _ => return None,
    })
}

fn step(line: &str, listed: Vec<Pattern>) -> Option<Step> {
    if let Some(sent) = line.strip_prefix("> ") {
        return Some(Step::Send(unescape(sent)));
    }
    if let Some(reply) = line.strip_prefix("< ") {
        return Some(Step::Reply(Pattern::parse(reply)));
    }
    match line {
        "half-close" => return Some(Step::Ending(Ending::HalfClose)),
        "disconnect" => return Some(Step::Ending(Ending::Disconnect)),
        "reset" => return Some(Step::Ending(Ending::Reset)),
        "eof" => return Some(Step::Ending(Ending::Eof)),
        "passive" => return Some(Step::Passive("data".to_owned())),
        "saw nothing" => return Some(Step::Saw(None)),
        _ => {}
    }
    let (keyword, rest) = line.split_once(": ")?;
    Some(match keyword {
        "login" => Step::Login(rest.to_owned()),
        "passive" => Step::Passive(rest.to_owned()),
        "flood" => Step::Flood(unescape(rest)),
        "transferred" => Step::Transferred(rest.parse().ok()?),
        "raw" => Step::Raw(unescape(super::text::quoted(rest)?)),
        "urgent" => Step::Urgent(unescape(super::text::quoted(rest)?)),
        "session" => match rest.strip_suffix(" from stranger") {
            Some(name) => Step::Session { name: name.to_owned(), stranger: true },
            None => Step::Session { name: rest.to_owned(), stranger: false },
        },
        "check" => Step::Check(rest.to_owned()),
        "count" => {
            let (name, number) = assignment(rest)?;
            Step::Count(name, number.parse().ok()?)
        }
        "event" => Step::Event(Pattern::parse(rest)),
        "saw" => Step::Saw(Some(Pattern::parse(rest))),
        "hook" => Step::Hook(rest.to_owned()),
        "reload" => {
            let (name, value) = assignment(rest)?;
            Step::Reload(name, value)
        }
        "server" => Step::Server(rest.to_owned()),
        "wait" => Step::Wait(duration(rest)),
        "clock" => Step::Clock(duration(rest)),
        name => {
            let name = name.strip_prefix("data ").unwrap_or(name).to_owned();
            Step::Data { name, action: data_action(rest, listed)? }
        }
    })
}

fn data_action(text: &str, lines: Vec<Pattern>) -> Option<DataAction> {
    Some(match text {
        "connect" => DataAction::Connect { stranger: false },
        "connect from stranger" => DataAction::Connect { stranger: true },
        "connect refused" => DataAction::ConnectRefused,
        "listen" => DataAction::Listen,
        "listen silently" => DataAction::ListenSilently,
        "listen nowhere" => DataAction::ListenNowhere,
        "accept" => DataAction::Accept,
        "shutdown" => DataAction::Shutdown,
        "close" => DataAction::Close,
        "reset" => DataAction::Reset,
        "eof" => DataAction::Eof,
        "has ended" => DataAction::HasEnded,
        "gone" => DataAction::Gone,
        "lines" => DataAction::Lines { lines, deflated: false },
        "deflated lines" => DataAction::Lines { lines, deflated: true },
        _ => match text.split_once(' ')? {
            ("send", rest) => match rest.strip_prefix("deflated ") {
                Some(rest) => DataAction::Send { contents: rest.to_owned(), deflated: true },
                None => DataAction::Send { contents: rest.to_owned(), deflated: false },
            },
            ("expect", rest) => match rest.strip_prefix("deflated ") {
                Some(rest) => DataAction::ExpectDeflated(rest.to_owned()),
                None => DataAction::Expect(rest.to_owned()),
            },
            _ => return None,
        },
    })
}

fn assignment(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(" = ")?;
    Some((name.to_owned(), value.to_owned()))
}

/// A name, in quotation marks or not.
pub fn name(text: &str) -> Vec<u8> {
    unescape(super::text::quoted(text).unwrap_or(text))
}

/// A name, in quotation marks if it has spaces, and what stands behind it.
pub fn name_and_rest(text: &str) -> Option<(Vec<u8>, &str)> {
    if let Some(inner) = text.strip_prefix('"') {
        let end = inner.match_indices('"').find(|(at, _)| !inner[..*at].ends_with('\\'))?.0;
        return Some((unescape(&inner[..end]), inner[end + 1..].strip_prefix(' ')?));
    }
    let (name, rest) = text.split_once(' ')?;
    Some((unescape(name), rest))
}

/// `90s`, `10m`, `1m 30s`, `20ms`.
pub fn duration(text: &str) -> Duration {
    let part = |part: &str| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = part.split_at(digits);
        let number: u64 = number.parse().unwrap_or_else(|_| panic!("not a duration: {text}"));
        match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(60 * number),
            "h" => Duration::from_secs(3600 * number),
            _ => panic!("not a duration: {text}"),
        }
    };
    text.split(' ').map(part).sum()
}
