//! Names that a client's certificate gives its owner, and how an operator writes one down.
//!
//! A name is compared as a whole and by its kind: a common name that looks like a mail address is
//! none. A subject is compared attribute by attribute, never as text: what stands in one attribute
//! of a certificate cannot pass for two.
//!
//! What is *not* here: certificates themselves, and whose name gets which account.

use std::fmt;
use std::str::FromStr;

/// One name that a certificate gives its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// A DNS name of subjectAltName.
    Dns(String),
    /// A mail address of subjectAltName.
    Email(String),
    /// A URI of subjectAltName.
    Uri(String),
    /// A common name (CN) of the subject.
    Common(String),
    /// The whole subject: attributes with their values, in the order of the certificate.
    Subject(Vec<(String, String)>),
}

/// A text is not the name of a certificate's owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACertificateName {
    /// It does not begin with a kind that there is.
    #[error("not one of dns:, email:, uri:, cn: and subject: with a name: {0:?}")]
    Kind(String),
    /// A subject that is no list of attributes with values.
    #[error("not a list of attributes such as CN=alice,O=Example: {0:?}")]
    Subject(String),
}

impl CertificateName {
    /// Whether a name that an operator wrote down is this one of a certificate.
    ///
    /// DNS names, the hosts of mail addresses and the names of attributes are compared without
    /// regard to case, everything else octet by octet (RFC 5280, 7). A subject may be written from
    /// either end, for tools differ in that.
    #[must_use]
    pub fn is(&self, shown: &CertificateName) -> bool {
        use CertificateName::{Common, Dns, Email, Subject, Uri};
        match (self, shown) {
            (Dns(own), Dns(shown)) => own.eq_ignore_ascii_case(shown),
            (Email(own), Email(shown)) => is_mailbox(own, shown),
            (Uri(own), Uri(shown)) | (Common(own), Common(shown)) => own == shown,
            (Subject(own), Subject(shown)) => {
                is_subject(own.iter(), shown) || is_subject(own.iter().rev(), shown)
            }
            _ => false,
        }
    }

    /// Its kind, as an operator writes it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            CertificateName::Dns(_) => "dns",
            CertificateName::Email(_) => "email",
            CertificateName::Uri(_) => "uri",
            CertificateName::Common(_) => "cn",
            CertificateName::Subject(_) => "subject",
        }
    }

    /// The name without its kind; a subject has none.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self {
            CertificateName::Dns(name)
            | CertificateName::Email(name)
            | CertificateName::Uri(name)
            | CertificateName::Common(name) => Some(name),
            CertificateName::Subject(_) => None,
        }
    }
}

fn is_mailbox(own: &str, shown: &str) -> bool {
    match (own.rsplit_once('@'), shown.rsplit_once('@')) {
        (Some((own, own_host)), Some((shown, host))) => {
            own == shown && own_host.eq_ignore_ascii_case(host)
        }
        _ => own == shown,
    }
}

fn is_subject<'a>(
    own: impl ExactSizeIterator<Item = &'a (String, String)>,
    shown: &[(String, String)],
) -> bool {
    own.len() == shown.len()
        && own.zip(shown).all(|((own_key, own_value), (key, value))| {
            own_key.eq_ignore_ascii_case(key) && own_value == value
        })
}

impl FromStr for CertificateName {
    type Err = NotACertificateName;

    fn from_str(text: &str) -> Result<CertificateName, NotACertificateName> {
        let unknown = || NotACertificateName::Kind(text.to_owned());
        let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
        if name.is_empty() {
            return Err(unknown());
        }
        match kind {
            "dns" => Ok(CertificateName::Dns(name.to_owned())),
            "email" => Ok(CertificateName::Email(name.to_owned())),
            "uri" => Ok(CertificateName::Uri(name.to_owned())),
            "cn" => Ok(CertificateName::Common(name.to_owned())),
            "subject" => subject(name)
                .map(CertificateName::Subject)
                .ok_or_else(|| NotACertificateName::Subject(name.to_owned())),
            _ => Err(unknown()),
        }
    }
}

/// Reads a subject as `openssl x509 -subject` and RFC 4514 write it: spaces around the signs do
/// not count, and `\` takes its meaning from the sign behind it.
fn subject(text: &str) -> Option<Vec<(String, String)>> {
    attributes(text)?
        .into_iter()
        .map(|attribute| {
            let (key, value) = attribute.split_once('=')?;
            let (key, value) = (key.trim(), unescaped(trimmed(value))?);
            (!key.is_empty() && !value.is_empty()).then(|| (key.to_owned(), value))
        })
        .collect()
}

/// The attributes, at the signs between them that nothing takes their meaning from.
fn attributes(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut from, mut is_escaped) = (Vec::new(), 0, false);
    for (at, sign) in text.char_indices() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ',' | '+' => {
                parts.push(text.get(from..at)?);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..)?);
    Some(parts)
}

/// Without the spaces around it; one that is written as `\ ` stays.
fn trimmed(value: &str) -> &str {
    let value = value.trim_start_matches(' ');
    let end = value.trim_end_matches(' ');
    match value.get(end.len()..) {
        Some(spaces) if !spaces.is_empty() && end.ends_with('\\') => {
            value.get(..=end.len()).unwrap_or(end)
        }
        _ => end,
    }
}

fn unescaped(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        let sign = rest.next()?;
        let high = char::from(sign).to_digit(16);
        match (high, rest.clone().next().and_then(|low| char::from(low).to_digit(16))) {
            (Some(high), Some(low)) => {
                rest.next();
                octets.push(u8::try_from(high * 16 + low).ok()?);
            }
            _ => octets.push(sign),
        }
    }
    String::from_utf8(octets).ok()
}

/// As an operator would write it.
impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateName::Dns(name) => write!(f, "dns:{name}"),
            CertificateName::Email(name) => write!(f, "email:{name}"),
            CertificateName::Uri(name) => write!(f, "uri:{name}"),
            CertificateName::Common(name) => write!(f, "cn:{name}"),
            CertificateName::Subject(attributes) => {
                f.write_str("subject:")?;
                attributes.iter().enumerate().try_for_each(|(at, (key, value))| {
                    let sign = if at == 0 { "" } else { "," };
                    write!(f, "{sign}{key}={}", Escaped(value))
                })
            }
        }
    }
}

/// The value of an attribute, as RFC 4514 writes it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.len().saturating_sub(1);
        self.0.char_indices().try_for_each(|(at, sign)| match sign {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => write!(f, "\\{sign}"),
            ' ' if at == 0 || at == last => f.write_str("\\ "),
            '#' if at == 0 => f.write_str("\\#"),
            sign if sign.is_ascii_control() => write!(f, "\\{:02x}", u32::from(sign)),
            sign => write!(f, "{sign}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CertificateName {
        text.parse().unwrap()
    }

    fn shown(attributes: &[(&str, &str)]) -> CertificateName {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        CertificateName::Subject(attributes.iter().map(owned).collect())
    }

    #[test]
    fn names_are_compared_by_kind_and_as_a_whole() {
        assert!(name("dns:Device.Example.ORG").is(&name("dns:device.example.org")));
        assert!(name("email:alice@Example.org").is(&name("email:alice@example.ORG")));
        assert!(!name("email:Alice@example.org").is(&name("email:alice@example.org")));
        assert!(!name("cn:Alice").is(&name("cn:alice")));
        assert!(!name("uri:urn:a").is(&name("uri:urn:A")));
        assert!(!name("cn:alice@example.org").is(&name("email:alice@example.org")));
        assert!(!name("dns:example.org").is(&name("dns:www.example.org")));
        assert!(!name("dns:*.example.org").is(&name("dns:www.example.org")));
        assert!(!name("cn:alice").is(&CertificateName::Common("alice\0".to_owned())));
    }

    #[test]
    fn a_subject_is_the_same_from_either_end_and_however_it_is_spaced() {
        let alice = shown(&[("C", "DE"), ("O", "Example, Inc."), ("CN", "alice")]);
        for text in [
            "subject:C=DE,O=Example\\, Inc.,CN=alice",
            "subject:C = DE, O = Example\\, Inc., CN = alice",
            "subject:cn=alice,o=Example\\2c Inc.,c=DE",
        ] {
            assert!(name(text).is(&alice), "{text}");
        }
        for text in ["subject:CN=alice", "subject:O=Example\\, Inc.,C=DE,CN=alice", "cn:alice"] {
            assert!(!name(text).is(&alice), "{text}");
        }
    }

    #[test]
    fn what_stands_in_one_attribute_cannot_pass_for_two() {
        let forged = shown(&[("O", "Example,CN=alice")]);
        assert!(!name("subject:O=Example,CN=alice").is(&forged));
        assert_eq!(forged.to_string(), "subject:O=Example\\,CN\\=alice");
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for value in ["alice", " a ", "#1", "a\\b", "x=y", "Müller", "a\"<>;+,", "\u{1}", "a\\ "] {
            let subject = shown(&[("CN", value), ("O", "b")]);
            assert_eq!(name(&subject.to_string()), subject, "{subject}");
        }
        for text in ["dns:a", "email:a@b", "uri:https://a/b:c", "cn:a, b"] {
            assert_eq!(name(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "alice", "dns:", "CN:alice", "ip:127.0.0.1", ":x"] {
            let refused = NotACertificateName::Kind(text.to_owned());
            assert_eq!(text.parse::<CertificateName>(), Err(refused));
        }
        for text in ["alice", "CN=", "=alice", "CN=alice,", "CN=a\\", "CN=\\ff"] {
            let refused = NotACertificateName::Subject(text.to_owned());
            assert_eq!(format!("subject:{text}").parse::<CertificateName>(), Err(refused));
        }
    }
}
