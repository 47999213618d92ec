//! Texts with variables: `no {verb} for {user}`.

use std::str::FromStr;

use crate::{Command, Reply, Session, closest};

/// Replies that clients take apart: their texts may be added to, not replaced.
const READ_BY_CLIENTS: [u16; 10] = [125, 150, 211, 212, 213, 227, 228, 229, 234, 257];

/// Octets that a text shows of what a client has made up.
const SHOWN_BYTES_MAX: usize = 512;

/// The text of a reply with variables, as an operator writes it: `{user}`, `{verb}`, `{arg}`,
/// `{remote_ip}`, `{listener}`, `{cwd}`, `{code}`, and `{original}` for the text that is replaced.
/// A doubled brace stands for itself, a line end begins another line of the reply. Of `{user}`,
/// `{arg}` and `{cwd}`, whose length is the client's, the first 512 octets are shown.
///
/// ```
/// use waft_plugin_sdk::testing::TestSession;
/// use waft_plugin_sdk::{Command, Moment, Template};
///
/// let session = TestSession::new().user("alice");
/// let command = Command::new("DELE", "a.txt");
/// let moment =
///     Moment { session: session.session(), command: &command, code: 550, original: None };
/// let text: Template = "{user} may not delete {arg}".parse().unwrap();
/// assert_eq!(text.reply(moment).lines, ["alice may not delete a.txt"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// What a variable stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    User,
    Verb,
    Arg,
    RemoteIp,
    Listener,
    Cwd,
    Code,
    /// The text that is being replaced, with all its lines.
    Original,
}

impl Variable {
    const ALL: [(&'static str, Self); 8] = [
        ("user", Self::User),
        ("verb", Self::Verb),
        ("arg", Self::Arg),
        ("remote_ip", Self::RemoteIp),
        ("listener", Self::Listener),
        ("cwd", Self::Cwd),
        ("code", Self::Code),
        ("original", Self::Original),
    ];
}

/// The moment that a text is for.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The session that gets the reply.
    pub session: Session<'a>,
    /// The command that it answers.
    pub command: &'a Command,
    /// Its code.
    pub code: u16,
    /// The reply that the text replaces, where there is one.
    pub original: Option<&'a Reply>,
}

impl Template {
    /// Reads a text for all replies with a code.
    ///
    /// # Errors
    /// What is wrong with it; among others, that clients take such replies apart, and the text
    /// lacks `{original}`.
    pub fn for_code(code: u16, text: &str) -> Result<Self, String> {
        let text: Self = text.parse()?;
        if READ_BY_CLIENTS.contains(&code) && !text.keeps_original() {
            return Err("clients read this reply: its text must hold {original}".to_owned());
        }
        Ok(text)
    }

    /// Whether the text holds that of the reply it replaces.
    pub fn keeps_original(&self) -> bool {
        self.0.contains(&Part::Variable(Variable::Original))
    }

    /// Makes the reply of a moment.
    pub fn reply(&self, moment: Moment<'_>) -> Reply {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(variable) => variable.value(moment),
        });
        Reply::new(moment.code, parts.collect::<String>())
    }
}

impl FromStr for Template {
    type Err = String;

    /// Reads a text. A doubled brace stands for itself; `\n` begins another line.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(from.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, after) = inner.ok_or("a brace that belongs to nothing; double it")?;
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Variable(variable(name)?));
            rest = after;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        parts.retain(|part| *part != Part::Text(String::new()));
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(unprintable))) {
            return Err("control characters other than line ends".to_owned());
        }
        Ok(Self(parts))
    }
}

fn variable(name: &str) -> Result<Variable, String> {
    let found = Variable::ALL.iter().find(|(known, _)| *known == name);
    let suggestion = || closest(name, Variable::ALL.map(|(known, _)| known));
    found.map(|&(_, variable)| variable).ok_or_else(|| match suggestion() {
        Some(known) => format!("unknown variable, did you mean {{{known}}}: {{{name}}}"),
        None => format!("unknown variable: {{{name}}}"),
    })
}

fn unprintable(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

impl Variable {
    fn value(self, moment: Moment<'_>) -> String {
        let Moment { session, command, code, original } = moment;
        match self {
            Self::User => tame(&session.user().unwrap_or_default()),
            Self::Verb => tame(&command.verb),
            Self::Arg => tame(command.arg.as_deref().unwrap_or_default()),
            Self::RemoteIp => session.remote_ip(),
            Self::Listener => session.listener(),
            Self::Cwd => tame(&session.cwd()),
            Self::Code => code.to_string(),
            Self::Original => original.map(|reply| reply.lines.join("\n")).unwrap_or_default(),
        }
    }
}

/// What a client has made up must neither add lines to a reply nor make it too long to be sent.
fn tame(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    let (shown, rest) = text.split_at(end);
    let mut shown = shown.replace(char::is_control, "?");
    if !rest.is_empty() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use crate::testing::TestSession;

    use super::*;

    fn lines(text: &str, original: Option<&Reply>) -> Vec<String> {
        let session = TestSession::new().user("al\nice").remote_ip("192.0.2.7").cwd("/pub");
        let command = Command::new("STOR", "a\r\nb");
        let moment = Moment { session: session.session(), command: &command, code: 550, original };
        text.parse::<Template>().unwrap().reply(moment).lines
    }

    #[test]
    fn variables_stand_for_what_is_known() {
        assert_eq!(lines("no {verb} from {remote_ip}", None), ["no STOR from 192.0.2.7"]);
        assert_eq!(lines("{code} in {cwd} on {listener}", None), ["550 in /pub on 127.0.0.1:21"]);
        assert_eq!(lines("plain", None), ["plain"]);
        assert_eq!(lines("", None), [""]);
    }

    #[test]
    fn what_a_client_sent_cannot_add_lines() {
        assert_eq!(lines("{user}: {arg}", None), ["al?ice: a??b"]);
    }

    #[test]
    fn what_a_client_sent_is_shown_only_so_long() {
        let session = TestSession::new().user("alice").cwd(&"/ä".repeat(2000));
        let arg = "é".repeat(4000);
        let command = Command::new("DELE", &*arg);
        let moment =
            Moment { session: session.session(), command: &command, code: 550, original: None };
        let said = "{arg}|{cwd}".parse::<Template>().unwrap().reply(moment).lines.remove(0);
        let (arg, cwd) = said.split_once('|').unwrap();
        assert_eq!(arg, format!("{}...", "é".repeat(256)));
        assert_eq!(cwd, format!("{}/...", "/ä".repeat(170)));
    }

    #[test]
    fn line_ends_in_the_text_make_lines() {
        assert_eq!(lines("one\ntwo {verb}", None), ["one", "two STOR"]);
    }

    #[test]
    fn the_original_keeps_its_lines() {
        let original = Reply { code: 550, lines: vec!["no".into(), "not today".into()] };
        assert_eq!(lines("{original}\nsorry", Some(&original)), ["no", "not today", "sorry"]);
        assert!("a {original}".parse::<Template>().unwrap().keeps_original());
        assert!(!"original".parse::<Template>().unwrap().keeps_original());
    }

    #[test]
    fn doubled_braces_stand_for_themselves() {
        assert_eq!(lines("{{verb}} is {verb}", None), ["{verb} is STOR"]);
    }

    #[test]
    fn mistakes_are_named() {
        let mistake = |text: &str| text.parse::<Template>().unwrap_err();
        assert_eq!(mistake("{usr}"), "unknown variable, did you mean {user}: {usr}");
        assert_eq!(mistake("{password}"), "unknown variable: {password}");
        assert!(mistake("open { brace").contains("double it"));
        assert!(mistake("closed } brace").contains("double it"));
        assert!(mistake("bell \u{7}").contains("control"));
    }
}
