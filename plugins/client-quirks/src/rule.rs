//! Rules of the operator's own: lines with stars for commands, codes and texts for replies.

use waft_plugin_sdk::{Command, Moment, Reply, Section, Session, Template};

use crate::client::Wanted;

/// Verbs that move the state of a session, or whose argument is secret: the server lets no plugin
/// change them, nor change others into them, nor answer them but with a refusal.
const HELD: [&str; 24] = [
    "ACCT", "ADAT", "AUTH", "CCC", "CONF", "ENC", "EPRT", "EPSV", "HOST", "LPRT", "LPSV", "MIC",
    "MODE", "PASS", "PASV", "PBSZ", "PORT", "PROT", "RANG", "REIN", "REST", "STRU", "TYPE", "USER",
];

/// Verbs with a data connection, of which the server alone can say that all went well.
const TRANSFERS: [&str; 7] = ["APPE", "LIST", "MLSD", "NLST", "RETR", "STOR", "STOU"];

/// Verbs that are answered, not changed.
const ANSWERED: [&str; 5] = ["FEAT", "OPTS", "SITE", "SMNT", "STAT"];

/// Verbs that go on whatever is said about them.
const NOT_ANSWERED: [&str; 2] = ["ABOR", "QUIT"];

/// The code of a reply with which the session ends.
const CLOSING: u16 = 421;

/// Codes, besides all of 1yz and 3yz, that client and server go by: the server lets none of them come
/// or go.
const EXACT: [u16; 3] = [232, 234, CLOSING];

/// A command, and what becomes of it.
#[derive(Debug)]
pub(crate) struct CommandRule {
    name: String,
    from: Line,
    becomes: Becomes,
}

#[derive(Debug)]
enum Becomes {
    /// Another command: what the stars stood for goes where its stars are.
    Line(Line),
    /// An answer.
    Answer(u16, Template),
}

/// What becomes of one command.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    Command(Command),
    Answer(u16, &'a Template),
}

/// A verb and an argument in which stars stand for anything; without an argument for none.
#[derive(Debug)]
struct Line {
    verb: String,
    arg: Option<String>,
}

impl CommandRule {
    /// Reads a rule; mistakes are noted in the section.
    pub(crate) fn read(section: &Section<'_>) -> Option<Self> {
        let from = line(section, "from");
        if from.is_none() && section.text("from").is_none() {
            section.mistake("from", "is missing; a command such as \"CWD /old/*\"");
        }
        let (to, answer) = (line(section, "to"), answer(section));
        let name = section.text("name");
        if section.text("to").is_some() == section.text("answer").is_some() {
            section.mistake_here("one of to and answer is wanted");
        }
        let from = from?;
        let name = name.unwrap_or_else(|| format!("rule {}", from.verb));
        let becomes = match (to, answer) {
            (Some(to), _) => Becomes::Line(changed(section, &from, to)?),
            (None, Some((code, text))) => Becomes::Answer(code, text),
            (None, None) => return None,
        };
        let verb = from.verb.as_str();
        if NOT_ANSWERED.contains(&verb) {
            section.mistake("from", format_args!("{verb} goes on whatever is said"));
        }
        let is_refused_only = HELD.contains(&verb) || TRANSFERS.contains(&verb);
        if is_refused_only && matches!(becomes, Becomes::Answer(..=399, _)) {
            let what = "is refused, with a code from 400 to 599, or left to the server";
            section.mistake("answer", format_args!("{verb} {what}"));
        }
        Some(Self { name, from, becomes })
    }

    pub(crate) fn verb(&self) -> &str {
        &self.from.verb
    }

    /// The rule's name and what it makes of a command, if it is about it.
    pub(crate) fn apply(&self, command: &Command) -> Option<(&str, Outcome<'_>)> {
        if command.verb != self.from.verb {
            return None;
        }
        let stars = match (&self.from.arg, &command.arg) {
            (None, None) => Vec::new(),
            (Some(pattern), Some(arg)) => taken(pattern, arg)?,
            _ => return None,
        };
        let outcome = match &self.becomes {
            Becomes::Answer(code, text) => Outcome::Answer(*code, text),
            Becomes::Line(Line { verb, arg }) => {
                let arg = arg.as_deref().map(|arg| filled(arg, &stars));
                let arg = arg.as_deref().filter(|arg| !arg.is_empty());
                Outcome::Command(Command::new(verb.as_str(), arg))
            }
        };
        Some((&self.name, outcome))
    }
}

/// Some replies, and what becomes of them.
#[derive(Debug)]
pub(crate) struct ReplyRule {
    pub(crate) name: String,
    codes: Vec<u16>,
    /// In upper case; none is all.
    verbs: Vec<String>,
    code: Option<u16>,
    text: Option<Template>,
}

impl ReplyRule {
    /// Reads a rule; mistakes are noted in the section.
    pub(crate) fn read(section: &Section<'_>) -> Option<Self> {
        let codes: Vec<u16> = section
            .numbered_texts("codes")
            .iter()
            .filter_map(|(key, text)| code(section, key, text))
            .collect();
        if section.texts("codes").is_empty() {
            section.mistake("codes", "are missing; those of the replies that are meant");
        }
        let verbs = section.texts("commands").into_iter();
        let verbs: Vec<String> = verbs.map(|verb| verb.to_ascii_uppercase()).collect();
        let new = section.text("code").and_then(|text| code(section, "code", &text));
        let name = section.text("name");
        if section.text("code").is_none() && section.text("text").is_none() {
            section.mistake_here("one of code and text is wanted, or both");
        }
        for (old, new) in codes.iter().zip(new.iter().cycle()) {
            let is_exact = |code: u16| EXACT.contains(&code) || matches!(code, 100..200 | 300..400);
            if old / 100 != new / 100 || (old != new && (is_exact(*old) || is_exact(*new))) {
                let what = format_args!("cannot become another kind of reply: {old} to {new}");
                section.mistake("code", what);
            }
        }
        let text = text(section, &codes);
        let first = codes.first()?;
        let name = name.unwrap_or_else(|| format!("reply {first}"));
        Some(Self { name, codes, verbs, code: new, text })
    }

    pub(crate) fn wanted(&self) -> Wanted {
        let verbs = Some(self.verbs.clone()).filter(|verbs| !verbs.is_empty());
        (verbs, Some(self.codes.clone()))
    }

    /// The other reply, if the rule is about this one.
    pub(crate) fn apply(
        &self,
        session: Session<'_>,
        command: &Command,
        reply: &Reply,
    ) -> Option<Reply> {
        let is_meant = self.codes.contains(&reply.code)
            && (self.verbs.is_empty() || self.verbs.contains(&command.verb));
        let code = self.code.unwrap_or(reply.code);
        let worded = || match &self.text {
            Some(text) => text.reply(Moment { session, command, code, original: Some(reply) }),
            None => Reply { code, lines: reply.lines.clone() },
        };
        is_meant.then(worded)
    }
}

/// Reads a command, in which stars stand for anything.
fn line(section: &Section<'_>, key: &str) -> Option<Line> {
    let text = section.text(key)?;
    let (verb, arg) = match text.split_once(' ') {
        Some((verb, arg)) => (verb, Some(arg.to_owned()).filter(|arg| !arg.is_empty())),
        None => (text.as_str(), None),
    };
    let is_verb = (1..=16).contains(&verb.len()) && verb.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_verb || text.contains(char::is_control) {
        let wanted = "a verb is wanted, and perhaps an argument with stars";
        section.mistake(key, format_args!("{wanted}: {}", text.escape_debug()));
        return None;
    }
    Some(Line { verb: verb.to_ascii_uppercase(), arg })
}

/// Checks that one line may become another.
fn changed(section: &Section<'_>, from: &Line, to: Line) -> Option<Line> {
    for (key, line) in [("from", from), ("to", &to)] {
        let verb = line.verb.as_str();
        if [&HELD[..], &ANSWERED, &NOT_ANSWERED].iter().any(|verbs| verbs.contains(&verb)) {
            let what = "may be answered, but neither changed nor be what others become";
            section.mistake(key, format_args!("{} {what}", line.verb));
            return None;
        }
    }
    let stars = |line: &Line| line.arg.as_ref().map_or(0, |arg| arg.matches('*').count());
    if stars(&to) > stars(from) {
        section.mistake("to", "has more stars than from");
        return None;
    }
    Some(to)
}

/// Reads `CODE TEXT`.
fn answer(section: &Section<'_>) -> Option<(u16, Template)> {
    let text = section.text("answer")?;
    let (number, words) = text.split_once(' ').unwrap_or((&text, ""));
    let code = code(section, "answer", number)
        .filter(|code| !matches!(code, 100..200 | 300..400) && *code != CLOSING);
    let template = words.parse::<Template>();
    match (code, template) {
        (Some(code), Ok(template)) if !template.keeps_original() => Some((code, template)),
        (Some(_), Ok(_)) => {
            section.mistake("answer", "an answer replaces nothing, so there is no {original}");
            None
        }
        (Some(_), Err(mistake)) => {
            section.mistake("answer", mistake);
            None
        }
        (None, _) => {
            let wanted = "a code of 2yz, 4yz or 5yz is wanted, but not 421, and a text";
            section.mistake("answer", wanted);
            None
        }
    }
}

fn code(section: &Section<'_>, key: &str, text: &str) -> Option<u16> {
    let code = text.parse().ok().filter(|code| (100..600).contains(code));
    if code.is_none() && key != "answer" {
        section.mistake(key, format_args!("not a reply code: {text}"));
    }
    code
}

/// Reads the text that is to stand in replies with these codes.
fn text(section: &Section<'_>, codes: &[u16]) -> Option<Template> {
    let text = section.text("text")?;
    let read =
        codes.iter().map(|code| Template::for_code(*code, &text)).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(templates) => templates.into_iter().next(),
        Err(mistake) => {
            section.mistake("text", mistake);
            None
        }
    }
}

/// What the stars of a pattern stand for in a text that fits it, each as little as it can, the last
/// all that is left.
fn taken<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split('*');
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut stars = Vec::new();
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty().then_some(stars);
    };
    for part in between {
        let (star, behind) = rest.split_once(part)?;
        stars.push(star);
        rest = behind;
    }
    stars.push(rest.strip_suffix(last)?);
    Some(stars)
}

/// A text with what stars stood for in place of its own.
fn filled(text: &str, stars: &[&str]) -> String {
    let mut parts = text.split('*');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for (part, star) in parts.zip(stars) {
        filled.push_str(star);
        filled.push_str(part);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_filled_in_their_order() {
        assert_eq!(taken("/old/*", "/old/a/b"), Some(vec!["a/b"]));
        assert_eq!(taken("*.jpe", ".jpe"), Some(vec![""]));
        assert_eq!(taken("*-*.*", "a-b-c.d"), Some(vec!["a", "b-c", "d"]));
        assert_eq!(taken("/old", "/old"), Some(Vec::new()));
        assert_eq!(taken("/old", "/older"), None);
        assert_eq!(taken("/old/*", "/new/a"), None);
        assert_eq!(taken("a*a", "a"), None);
        assert_eq!(filled("/*/*.jpg", &["a", "b"]), "/a/b.jpg");
        assert_eq!(filled("/new", &["a"]), "/new");
    }
}
