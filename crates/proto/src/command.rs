//! One command: a verb and everything behind its first space.

use std::borrow::Cow;
use std::fmt;

use crate::verb::{Argument, Spec, Verb};

/// The longest verb that is looked at; a longer one is not a verb (500).
pub const VERB_BYTES_MAX: usize = 16;

/// A verb as the client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// One that the table knows.
    Known(Verb),
    /// One that it does not: ASCII letters and digits, upper case.
    Unknown(Box<str>),
}

impl Name {
    /// The verb's name, upper case.
    pub fn as_str(&self) -> &str {
        match self {
            Name::Known(verb) => verb.name(),
            Name::Unknown(name) => name,
        }
    }
}

/// One command as the client, or a plugin that rewrote it, gave it.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    name: Name,
    argument: Option<Vec<u8>>,
}

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The line does not begin with a verb: 500.
    #[error("command not recognised")]
    NotAVerb,
    /// The argument has an octet that no argument may have (NUL, CR, LF): 501.
    #[error("control character in the argument")]
    BadArgument,
}

impl Command {
    /// Splits a line, its end already removed, into verb and argument (RFC 959, 5.3).
    ///
    /// Exactly one space separates the two; further spaces, also trailing ones, belong to the
    /// argument. An argument of no octets is none.
    ///
    /// # Errors
    /// The line does not begin with a verb, or holds NUL, CR or LF.
    pub fn parse(line: &[u8]) -> Result<Command, ParseError> {
        let (name, argument) = match line.iter().position(|&b| b == b' ') {
            Some(space) => {
                let (name, rest) = line.split_at(space);
                (name, rest.get(1..).filter(|rest| !rest.is_empty()))
            }
            None => (line, None),
        };
        let name = parse_name(name)?;
        if argument.is_some_and(|argument| argument.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')))
        {
            return Err(ParseError::BadArgument);
        }
        Ok(Command { name, argument: argument.map(<[u8]>::to_vec) })
    }

    /// The command of that verb and argument.
    pub fn new(verb: Verb, argument: Option<&[u8]>) -> Command {
        Command { name: Name::Known(verb), argument: argument.map(<[u8]>::to_vec) }
    }

    /// The verb as the client gave it.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The verb, if the table knows it.
    pub fn verb(&self) -> Option<Verb> {
        match self.name {
            Name::Known(verb) => Some(verb),
            Name::Unknown(_) => None,
        }
    }

    /// The argument's octets.
    pub fn argument(&self) -> Option<&[u8]> {
        self.argument.as_deref()
    }

    /// The argument's octets; none is the empty slice.
    pub fn argument_or_empty(&self) -> &[u8] {
        self.argument.as_deref().unwrap_or_default()
    }

    /// Whether the argument is a secret: it must reach neither logs nor plugins.
    pub fn is_secret(&self) -> bool {
        self.verb().is_some_and(Verb::is_secret)
    }

    /// Whether there is an argument exactly where the table wants one.
    pub fn fits(&self, spec: &Spec) -> bool {
        match spec.argument {
            Argument::None => self.argument.is_none(),
            Argument::Required => self.argument.is_some(),
            Argument::Optional | Argument::Ignored => true,
        }
    }
}

/// Shows the command for logs: secrets as `***`, octets that are not printable ASCII escaped.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())?;
        match &self.argument {
            None => Ok(()),
            Some(_) if self.is_secret() => f.write_str(" ***"),
            Some(argument) => write!(f, " {}", printable(argument)),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// Bytes for a person to read: UTF-8 as it is, control characters and stray octets escaped.
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => Cow::Borrowed(text),
        _ => Cow::Owned(escape(bytes)),
    }
}

fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        out.extend(chunk.invalid().iter().map(|b| format!("\\x{b:02x}")));
    }
    out
}

fn parse_name(name: &[u8]) -> Result<Name, ParseError> {
    if let Some(verb) = Verb::from_name(name) {
        return Ok(Name::Known(verb));
    }
    let fits = (1..=VERB_BYTES_MAX).contains(&name.len());
    if !fits || !name.iter().all(u8::is_ascii_alphanumeric) {
        return Err(ParseError::NotAVerb);
    }
    let upper: String = name.iter().map(|b| char::from(b.to_ascii_uppercase())).collect();
    Ok(Name::Unknown(upper.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_space_separates_and_all_others_belong_to_the_argument() {
        let command = Command::parse(b"stor  two words ").unwrap();
        assert_eq!(command.verb(), Some(Verb::Stor));
        assert_eq!(command.argument(), Some(&b" two words "[..]));
        assert_eq!(Command::parse(b"NOOP ").unwrap().argument(), None);
    }

    #[test]
    fn lines_that_are_no_commands_are_told_apart() {
        assert_eq!(Command::parse(b""), Err(ParseError::NotAVerb));
        assert_eq!(Command::parse(b" RETR a"), Err(ParseError::NotAVerb));
        assert_eq!(Command::parse(b"\xff\xfe\x00"), Err(ParseError::NotAVerb));
        assert_eq!(Command::parse(b"RETR a\0b"), Err(ParseError::BadArgument));
        assert_eq!(Command::parse(b"RETR a\rb"), Err(ParseError::BadArgument));
        let unknown = Command::parse(b"xfoo 1").unwrap();
        assert_eq!(unknown.name(), &Name::Unknown("XFOO".into()));
    }

    #[test]
    fn secrets_are_never_shown() {
        let shown = format!("{0} {0:?}", Command::parse(b"PASS hunter2").unwrap());
        assert_eq!(shown, "PASS *** Command(PASS ***)");
        let odd = Command::parse(b"RETR \xff\x1b[a\xc3\xa9").unwrap();
        assert_eq!(odd.to_string(), "RETR \\xff\\u{1b}[aé");
    }
}
