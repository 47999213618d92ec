//! Replies: what the server says on the control connection (RFC 959, 4.2).
//!
//! A [`Reply`] cannot be malformed: its lines are [`Text`], which holds neither CR nor LF nor NUL,
//! and the multi-line form is made here and nowhere else.

use std::borrow::Cow;
use std::fmt;

/// A three-digit reply code, 100 to 599.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

/// The first digit of a code: what the client may conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 1yz: accepted, another reply follows.
    Preliminary,
    /// 2yz: done.
    Completion,
    /// 3yz: more is needed from the client.
    Intermediate,
    /// 4yz: not done; the same command may work later.
    Transient,
    /// 5yz: not done; the same command will not work.
    Permanent,
}

macro_rules! codes {
    ($( $name:ident $number:literal $doc:literal; )*) => {
        impl Code {
            $( #[doc = $doc] pub const $name: Code = Code($number); )*
        }
    };
}

codes! {
    OPENING 150 "150: the data connection is about to be opened.";
    OKAY 200 "200: done.";
    SUPERFLUOUS 202 "202: not needed at this site.";
    SYSTEM_STATUS 211 "211: status of the system, features.";
    DIRECTORY_STATUS 212 "212: status of a directory.";
    FILE_STATUS 213 "213: status of a file.";
    HELP 214 "214: help.";
    SYSTEM_TYPE 215 "215: kind of system.";
    READY 220 "220: ready for a new user.";
    CLOSING 221 "221: the control connection is being closed.";
    DATA_OPEN 225 "225: data connection open, no transfer in progress.";
    TRANSFER_DONE 226 "226: transfer complete, data connection closed.";
    PASSIVE 227 "227: passive mode (IPv4 address and port).";
    EXTENDED_PASSIVE 229 "229: extended passive mode (port).";
    LOGGED_IN 230 "230: logged in.";
    CERTIFICATE_ACCEPTED 232 "232: logged in by what the security exchange proved.";
    SECURITY_ACCEPTED 234 "234: the security mechanism is accepted, its exchange begins.";
    FILE_DONE 250 "250: file action done.";
    PATHNAME 257 "257: a path, quoted.";
    NEED_PASSWORD 331 "331: name noted, password needed.";
    NEED_ACCOUNT 332 "332: account needed.";
    PENDING 350 "350: noted, the next command decides.";
    NOT_AVAILABLE 421 "421: service not available, the control connection is being closed.";
    CANNOT_OPEN_DATA 425 "425: the data connection cannot be opened.";
    TRANSFER_ABORTED 426 "426: data connection broken or transfer aborted.";
    SECURITY_UNAVAILABLE 431 "431: a needed security resource is not available.";
    BUSY 450 "450: file busy or not available now.";
    LOCAL_ERROR 451 "451: aborted by an error here.";
    NO_SPACE 452 "452: no space.";
    UNRECOGNISED 500 "500: command not recognised.";
    BAD_PARAMETER 501 "501: syntax error in the argument.";
    NOT_IMPLEMENTED 502 "502: command not implemented.";
    BAD_SEQUENCE 503 "503: commands out of order.";
    BAD_VALUE 504 "504: not implemented for that argument.";
    PROTECTION_NEEDED 521 "521: the data connection must be protected.";
    BAD_PROTOCOL 522 "522: network protocol not supported; TLS failed on the data connection.";
    NOT_LOGGED_IN 530 "530: not logged in.";
    NOT_PROTECTED 533 "533: command protection level denied for policy reasons.";
    REFUSED_BY_POLICY 534 "534: request denied for policy reasons.";
    PROTECTION_UNSUPPORTED 536 "536: protection level not supported by the mechanism.";
    UNAVAILABLE 550 "550: file not there or access denied.";
    QUOTA_EXCEEDED 552 "552: storage allocation exceeded.";
    BAD_NAME 553 "553: file name not allowed.";
    BAD_OFFSET 554 "554: the restart offset does not fit the file.";
}

impl Code {
    /// The code of that number, if it is one: 100 to 599.
    pub const fn new(number: u16) -> Option<Code> {
        if number >= 100 && number <= 599 { Some(Code(number)) } else { None }
    }

    /// The three-digit number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// What the client may conclude from the first digit.
    pub const fn class(self) -> Class {
        match self.0 / 100 {
            1 => Class::Preliminary,
            2 => Class::Completion,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// Whether a client goes on by the code itself, not by its first digit: what it does next is
    /// what the server waits for.
    pub const fn is_exact(self) -> bool {
        matches!(self.class(), Class::Preliminary | Class::Intermediate)
            || matches!(self, Code::CERTIFICATE_ACCEPTED | Code::SECURITY_ACCEPTED)
    }

    /// Whether the reply says that something failed.
    pub const fn is_failure(self) -> bool {
        self.0 >= 400
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({})", self.0)
    }
}

/// One line of a reply: octets without CR, LF and NUL.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Cow<'static, [u8]>);

/// A text holds CR, LF or NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reply line cannot hold CR, LF or NUL")]
pub struct NotOneLine;

impl Text {
    /// The text, if it can stand on one line.
    ///
    /// # Errors
    /// It holds CR, LF or NUL.
    pub fn new(text: impl Into<Cow<'static, [u8]>>) -> Result<Text, NotOneLine> {
        let text = text.into();
        if text.iter().any(|b| is_forbidden(*b)) {
            return Err(NotOneLine);
        }
        Ok(Text(text))
    }

    /// The text with each CR, LF and NUL replaced by a space.
    pub fn flattened(text: impl Into<Vec<u8>>) -> Text {
        let mut text = text.into();
        for b in &mut text {
            if is_forbidden(*b) {
                *b = b' ';
            }
        }
        Text(Cow::Owned(text))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn is_forbidden(b: u8) -> bool {
    matches!(b, b'\r' | b'\n' | 0)
}

/// A literal of the program: what cannot stand on one line is replaced by spaces.
impl From<&'static str> for Text {
    fn from(text: &'static str) -> Text {
        if text.bytes().any(is_forbidden) {
            return Text::flattened(text);
        }
        Text(Cow::Borrowed(text.as_bytes()))
    }
}

/// As [`Text::flattened`].
impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::flattened(text)
    }
}

/// As [`Text::flattened`].
impl From<Vec<u8>> for Text {
    fn from(text: Vec<u8>) -> Text {
        Text::flattened(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", crate::command::printable(&self.0))
    }
}

/// Whether the words of a reply may be changed without changing what it tells a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// Words for people.
    Free,
    /// Data that clients parse (227, 229, SIZE, FEAT, ...): nobody changes it.
    Data,
}

/// One reply, of one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: Code,
    first: Text,
    rest: Vec<Text>,
    wording: Wording,
}

impl Reply {
    /// A reply of one line.
    pub fn new(code: Code, text: impl Into<Text>) -> Reply {
        Reply { code, first: text.into(), rest: Vec::new(), wording: Wording::Free }
    }

    /// A reply of one line that clients parse.
    pub fn data(code: Code, text: impl Into<Text>) -> Reply {
        Reply::new(code, text).fixed()
    }

    /// A reply of several lines; of one, if `lines` has only one. No lines give an empty one.
    pub fn lines(code: Code, lines: impl IntoIterator<Item = Text>) -> Reply {
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_else(|| Text::from(""));
        Reply { code, first, rest: lines.collect(), wording: Wording::Free }
    }

    /// The same reply, its words declared data that clients parse.
    #[must_use]
    pub fn fixed(mut self) -> Reply {
        self.wording = Wording::Data;
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether the words may be changed.
    pub fn wording(&self) -> Wording {
        self.wording
    }

    /// The lines, at least one.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Appends the reply as it goes over the wire.
    ///
    /// Several lines: `ddd-first`, then each inner line behind one space (so that none can be
    /// taken for the end, and as FEAT and MLST want it), then `ddd last` (RFC 959, 4.2).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Some((last, inner)) = self.rest.split_last() else {
            return encode_line(out, self.code, b' ', &self.first);
        };
        encode_line(out, self.code, b'-', &self.first);
        for line in inner {
            out.push(b' ');
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        encode_line(out, self.code, b' ', last);
    }
}

/// A reply that names a path: `257 "/a""b" text`, quotation marks in the path doubled
/// (RFC 959, appendix II).
///
/// CR, LF and NUL of the path, which no path that came by FTP has, become spaces.
pub fn pathname_reply(path: &[u8], text: &str) -> Reply {
    let mut line = Vec::with_capacity(path.len() + text.len() + 3);
    line.push(b'"');
    for &b in path {
        line.push(b);
        if b == b'"' {
            line.push(b);
        }
    }
    line.push(b'"');
    if !text.is_empty() {
        line.push(b' ');
        line.extend_from_slice(text.as_bytes());
    }
    Reply::data(Code::PATHNAME, line)
}

fn encode_line(out: &mut Vec<u8>, code: Code, separator: u8, text: &Text) {
    let digit = |n: u16| b'0' + (n % 10) as u8;
    let number = code.number();
    out.extend_from_slice(&[digit(number / 100), digit(number / 10), digit(number), separator]);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_line_and_several_take_the_forms_of_rfc_959() {
        assert_eq!(encoded(&Reply::new(Code::OKAY, "Done.")), "200 Done.\r\n");
        let lines = ["Features:", "UTF8", "200 fine", "End"].map(Text::from);
        assert_eq!(
            encoded(&Reply::lines(Code::SYSTEM_STATUS, lines)),
            "211-Features:\r\n UTF8\r\n 200 fine\r\n211 End\r\n"
        );
        assert_eq!(encoded(&Reply::lines(Code::OKAY, [])), "200 \r\n");
    }

    #[test]
    fn nothing_can_smuggle_a_line_end_into_a_reply() {
        assert_eq!(Text::new(&b"a\r\n530 b"[..]), Err(NotOneLine));
        assert_eq!(Text::new(&b"a\0"[..]), Err(NotOneLine));
        let reply = Reply::new(Code::UNAVAILABLE, "a\r\n200 b\0".to_owned());
        assert_eq!(encoded(&reply), "550 a  200 b \r\n");
    }

    #[test]
    fn codes_are_three_digits_with_a_class() {
        assert_eq!(Code::new(99), None);
        assert_eq!(Code::new(600), None);
        assert_eq!(Code::new(999), None);
        assert_eq!(Code::new(350).map(Code::class), Some(Class::Intermediate));
        assert!(Code::NOT_AVAILABLE.is_failure());
    }

    #[test]
    fn paths_are_quoted_with_their_quotation_marks_doubled() {
        assert_eq!(encoded(&pathname_reply(b"/a\"b", "created")), "257 \"/a\"\"b\" created\r\n");
        assert_eq!(encoded(&pathname_reply(b"/", "")), "257 \"/\"\r\n");
        assert_eq!(pathname_reply(b"/", "").wording(), Wording::Data);
    }
}
