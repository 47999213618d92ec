//! The kinds of values that an operator can write.
//!
//! Each is a type without values that implements [`Kind`]: it says what may be written, reads it,
//! and writes it for the reference. Consumers never see these types, only what they yield.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::password::{PasswordHash, Rejection};
use crate::permissions::{Permission, Permissions};
use crate::schema::{Kind, Reader, Section, Shape, nearest};
use crate::sections::{HookLimits, Instances, KvGrant};
use crate::types::{PassiveAddress, PortRange, Settings};
use crate::units;
use crate::value::{Node, Value};

/// A kind that is one scalar and is read without knowing where it was written.
pub(crate) trait Scalar {
    type Out;

    /// What it is, with its article: `a duration`.
    const WHAT: &'static str;
    /// How to write it.
    const REMEDY: &'static str;

    fn parse(value: &Value) -> Option<Self::Out>;
    fn show(out: &Self::Out) -> String;
}

impl<S: Scalar> Kind for S {
    type Out = S::Out;

    fn shape() -> Shape {
        Shape::Value(S::WHAT.to_owned())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Out> {
        S::parse(&node.value).or_else(|| reader.refuse_kind(node, S::WHAT, S::REMEDY))
    }

    fn show(out: &Self::Out) -> String {
        S::show(out)
    }
}

fn quote(text: impl Display) -> String {
    format!("{:?}", text.to_string())
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Text in lines, for a reply.
pub(crate) struct Lines;

impl Scalar for Lines {
    type Out = Vec<String>;
    const WHAT: &'static str = "text";
    const REMEDY: &'static str = "write text between double quotes; \\n starts a new line, other control characters cannot \
         stand in a reply";

    fn parse(value: &Value) -> Option<Vec<String>> {
        let lines: Vec<String> = text(value)?.lines().map(str::to_owned).collect();
        let fine = !lines.iter().any(|line| line.chars().any(char::is_control));
        fine.then_some(lines)
    }

    fn show(out: &Vec<String>) -> String {
        if out.is_empty() { String::new() } else { quote(out.join("\n")) }
    }
}

/// Text that names something: not empty, no control characters.
pub(crate) struct Name;

impl Scalar for Name {
    type Out = String;
    const WHAT: &'static str = "a name";
    const REMEDY: &'static str = "write a name between double quotes, without control characters";

    fn parse(value: &Value) -> Option<String> {
        let name = text(value)?;
        let fine = !name.trim().is_empty() && !name.chars().any(char::is_control);
        fine.then(|| name.to_owned())
    }

    fn show(out: &String) -> String {
        if out.is_empty() { String::new() } else { quote(out) }
    }
}

/// `true` or `false`.
pub(crate) struct Flag;

impl Scalar for Flag {
    type Out = bool;
    const WHAT: &'static str = "true or false";
    const REMEDY: &'static str = "write true or false, without quotes";

    fn parse(value: &Value) -> Option<bool> {
        match value {
            Value::Boolean(flag) => Some(*flag),
            _ => None,
        }
    }

    fn show(out: &bool) -> String {
        out.to_string()
    }
}

/// A whole number from `LEAST` to `MOST`.
pub(crate) struct Number<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Kind for Number<LEAST, MOST> {
    type Out = u32;

    fn shape() -> Shape {
        Shape::Value(Self::what())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<u32> {
        let number = match node.value {
            Value::Integer(number) => u32::try_from(number).ok(),
            _ => None,
        };
        number.filter(|number| (LEAST..=MOST).contains(number)).or_else(|| {
            let remedy = match node.value {
                Value::Integer(number) if number < i64::from(LEAST) => {
                    format!("write {LEAST} or more")
                }
                Value::Integer(_) => format!("write {MOST} or less"),
                _ => "write a whole number, without quotes".to_owned(),
            };
            reader.refuse_kind(node, &Self::what(), &remedy)
        })
    }

    fn show(out: &u32) -> String {
        out.to_string()
    }
}

impl<const LEAST: u32, const MOST: u32> Number<LEAST, MOST> {
    fn what() -> String {
        match (LEAST, MOST) {
            (0, u32::MAX) => "a whole number".to_owned(),
            (_, u32::MAX) => format!("a whole number from {LEAST}"),
            (0, _) => format!("a whole number up to {MOST}"),
            _ => format!("a whole number from {LEAST} to {MOST}"),
        }
    }
}

/// Any whole number.
pub(crate) type Count = Number<0, { u32::MAX }>;

/// A duration in words.
pub(crate) struct Time;

impl Scalar for Time {
    type Out = Duration;
    const WHAT: &'static str = "a duration";
    const REMEDY: &'static str = "write a number and a unit, for example \"5m\"";

    fn parse(value: &Value) -> Option<Duration> {
        match value {
            Value::Integer(0) => Some(Duration::ZERO),
            _ => units::parse_duration(text(value)?),
        }
    }

    fn show(out: &Duration) -> String {
        quote(units::show_duration(*out))
    }
}

/// A duration in words, longer than nothing.
pub(crate) struct Deadline;

impl Scalar for Deadline {
    type Out = Duration;
    const WHAT: &'static str = "a duration above 0";
    const REMEDY: &'static str = Time::REMEDY;

    fn parse(value: &Value) -> Option<Duration> {
        Time::parse(value).filter(|duration| !duration.is_zero())
    }

    fn show(out: &Duration) -> String {
        <Time as Scalar>::show(out)
    }
}

/// A size in words, or a plain number of bytes.
pub(crate) struct Size;

impl Scalar for Size {
    type Out = u64;
    const WHAT: &'static str = "a size";
    const REMEDY: &'static str = "write a number and a unit, for example \"64KiB\" or \"10MB\"";

    fn parse(value: &Value) -> Option<u64> {
        match value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            _ => units::parse_size(text(value)?),
        }
    }

    fn show(out: &u64) -> String {
        quote(units::show_size(*out))
    }
}

/// A size in words, larger than nothing.
pub(crate) struct Amount;

impl Scalar for Amount {
    type Out = u64;
    const WHAT: &'static str = "a size above 0";
    const REMEDY: &'static str = Size::REMEDY;

    fn parse(value: &Value) -> Option<u64> {
        Size::parse(value).filter(|bytes| *bytes > 0)
    }

    fn show(out: &u64) -> String {
        <Size as Scalar>::show(out)
    }
}

/// A share in percent, neither none nor all.
pub(crate) struct Share;

impl Scalar for Share {
    type Out = u8;
    const WHAT: &'static str = "a share from 1% to 99%";
    const REMEDY: &'static str = "write a number and a percent sign, for example \"5%\"";

    fn parse(value: &Value) -> Option<u8> {
        let percent = text(value)?.strip_suffix('%')?.trim().parse().ok()?;
        (1..=99).contains(&percent).then_some(percent)
    }

    fn show(out: &u8) -> String {
        quote(format_args!("{out}%"))
    }
}

/// The SHA-256 of a file.
pub(crate) struct Sha256;

impl Scalar for Sha256 {
    type Out = String;
    const WHAT: &'static str = "a SHA-256 in hexadecimal";
    const REMEDY: &'static str = "write the line that waft plugin inspect tells";

    fn parse(value: &Value) -> Option<String> {
        let digits = text(value)?;
        let fine = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        fine.then(|| digits.to_ascii_lowercase())
    }

    fn show(out: &String) -> String {
        quote(out)
    }
}

/// A number, duration or size for which 0 means that there is no limit.
pub(crate) struct Limit<K>(PhantomData<K>);

impl<K: Kind<Out: Default + PartialEq>> Kind for Limit<K> {
    type Out = Option<K::Out>;

    fn shape() -> Shape {
        match K::shape() {
            Shape::Value(what) => Shape::Value(format!("{what}, or 0")),
            other => other,
        }
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Out> {
        K::read(node, reader).map(|value| (value != K::Out::default()).then_some(value))
    }

    fn show(out: &Self::Out) -> String {
        out.as_ref().map_or_else(|| "0".to_owned(), K::show)
    }
}

/// Something that need not be written.
pub(crate) struct Maybe<K>(PhantomData<K>);

impl<K: Kind> Kind for Maybe<K> {
    type Out = Option<K::Out>;

    fn shape() -> Shape {
        K::shape()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Out> {
        K::read(node, reader).map(Some)
    }

    fn show(out: &Self::Out) -> String {
        out.as_ref().map(K::show).unwrap_or_default()
    }
}

/// A list.
pub(crate) struct List<K>(PhantomData<K>);

impl<K: Kind> Kind for List<K> {
    type Out = Vec<K::Out>;

    fn shape() -> Shape {
        match K::shape() {
            Shape::Value(what) => Shape::Value(format!("a list, each {what}")),
            other => other,
        }
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Out> {
        let Value::Array(items) = &node.value else {
            return reader.refuse_kind(node, "a list", "write it between brackets: [ … ]");
        };
        let read = |(index, item): (usize, &Node)| {
            reader.within(&index.to_string(), |reader| {
                reader.remember(item);
                K::read(item, reader)
            })
        };
        let read: Vec<Option<K::Out>> = items.iter().enumerate().map(read).collect();
        read.into_iter().collect()
    }

    fn show(out: &Self::Out) -> String {
        let items: Vec<String> = out.iter().map(K::show).collect();
        format!("[{}]", items.join(", "))
    }
}

/// A file or directory; a relative one is seen from the directory of the file that names it.
pub(crate) struct FileName;

impl Kind for FileName {
    type Out = PathBuf;

    fn shape() -> Shape {
        Shape::Value("a path".to_owned())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<PathBuf> {
        match text(&node.value).filter(|path| !path.is_empty() && !path.contains('\0')) {
            // Absolute, so that it means the same wherever the process goes.
            Some(path) => {
                let path = node.origin.resolve(Path::new(path));
                Some(std::path::absolute(&path).unwrap_or(path))
            }
            None => reader.refuse_kind(node, "a path", "write a path between double quotes"),
        }
    }

    fn show(out: &PathBuf) -> String {
        quote(out.display())
    }
}

/// An address and a port to listen on.
pub(crate) struct Address;

impl Scalar for Address {
    type Out = SocketAddr;
    const WHAT: &'static str = "an address with a port";
    const REMEDY: &'static str =
        "write an IP address and a port, for example \"0.0.0.0:21\" or \"[::]:21\"";

    fn parse(value: &Value) -> Option<SocketAddr> {
        text(value)?.parse().ok()
    }

    fn show(out: &SocketAddr) -> String {
        quote(out)
    }
}

/// A network, or a single address.
pub(crate) struct Network;

impl Scalar for Network {
    type Out = IpNet;
    const WHAT: &'static str = "a network";
    const REMEDY: &'static str =
        "write an address and a prefix length, for example \"10.0.0.0/8\" or \"fd00::/8\"";

    fn parse(value: &Value) -> Option<IpNet> {
        let written = text(value)?;
        let single = || written.parse::<IpAddr>().map(IpNet::from).ok();
        written.parse().ok().or_else(single).map(|net: IpNet| net.trunc())
    }

    fn show(out: &IpNet) -> String {
        quote(out)
    }
}

/// A range of ports, `49152-49999`.
pub(crate) struct Ports;

impl Scalar for Ports {
    type Out = PortRange;
    const WHAT: &'static str = "a range of ports";
    const REMEDY: &'static str =
        "write the lowest and the highest port, for example \"49152-49999\"";

    fn parse(value: &Value) -> Option<PortRange> {
        let (low, high) = text(value)?.split_once('-')?;
        PortRange::new(low.trim().parse().ok()?, high.trim().parse().ok()?)
    }

    fn show(out: &PortRange) -> String {
        quote(out)
    }
}

/// The address that the reply to PASV tells.
pub(crate) struct Advertised;

impl Scalar for Advertised {
    type Out = PassiveAddress;
    const WHAT: &'static str = "\"local\", an IPv4 address or a host name";
    const REMEDY: &'static str = "write \"local\", an IPv4 address such as \"203.0.113.7\" or a \
                                  name such as \"ftp.example.org\"; the reply to PASV cannot \
                                  carry anything else";

    fn parse(value: &Value) -> Option<PassiveAddress> {
        text(value)?.parse().ok()
    }

    fn show(out: &PassiveAddress) -> String {
        quote(out)
    }
}

/// A host name that certificates can be for.
pub(crate) struct HostName;

impl Scalar for HostName {
    type Out = String;
    const WHAT: &'static str = "a host name";
    const REMEDY: &'static str = "write a name such as \"ftp.example.org\"; the challenges are \
                                  for neither addresses nor wildcards";

    fn parse(value: &Value) -> Option<String> {
        match text(value)?.parse() {
            Ok(PassiveAddress::Name(name)) if !name.ends_with('.') => Some(name),
            _ => None,
        }
    }

    fn show(out: &String) -> String {
        quote(out)
    }
}

/// A mail address.
pub(crate) struct MailAddress;

impl Scalar for MailAddress {
    type Out = String;
    const WHAT: &'static str = "a mail address";
    const REMEDY: &'static str = "write one such as \"admin@example.org\"";

    fn parse(value: &Value) -> Option<String> {
        let address = text(value)?;
        let (user, host) = address.rsplit_once('@')?;
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic());
        let fine = plain(user) && plain(host) && !user.contains([':', ',', '?']);
        fine.then(|| address.to_owned())
    }

    fn show(out: &String) -> String {
        quote(out)
    }
}

/// A URL under which something is found by TLS.
pub(crate) struct SecureUrl;

impl Scalar for SecureUrl {
    type Out = String;
    const WHAT: &'static str = "a URL with https";
    const REMEDY: &'static str =
        "write one that begins with https://, for example \"https://ca.example.org/directory\"";

    fn parse(value: &Value) -> Option<String> {
        let url = text(value)?;
        let rest = url.strip_prefix("https://")?;
        let fine = !rest.starts_with('/') && rest.chars().all(|c| c.is_ascii_graphic());
        (fine && !rest.is_empty()).then(|| url.to_owned())
    }

    fn show(out: &String) -> String {
        quote(out)
    }
}

/// The mode of files or directories, in octal.
pub(crate) struct Mode;

impl Scalar for Mode {
    type Out = u32;
    const WHAT: &'static str = "a file mode";
    const REMEDY: &'static str = "write it in octal between double quotes, for example \"0644\"";

    fn parse(value: &Value) -> Option<u32> {
        let digits = text(value)?;
        let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        u32::from_str_radix(digits, 8).ok().filter(|mode| octal && *mode <= 0o777)
    }

    fn show(out: &u32) -> String {
        quote(format!("{out:04o}"))
    }
}

/// A directory as clients see it: absolute, with slashes.
pub(crate) struct ClientDirectory;

impl Scalar for ClientDirectory {
    type Out = String;
    const WHAT: &'static str = "a directory as clients see it";
    const REMEDY: &'static str = "write it from the root of the account, for example \"/incoming\"";

    fn parse(value: &Value) -> Option<String> {
        let path = text(value)?;
        let fine = path.starts_with('/')
            && !path.split('/').any(|step| step == "." || step == "..")
            && !path.chars().any(char::is_control);
        fine.then(|| path.to_owned())
    }

    fn show(out: &String) -> String {
        quote(out)
    }
}

/// A password hash.
pub(crate) struct Password;

impl Kind for Password {
    type Out = PasswordHash;

    fn shape() -> Shape {
        Shape::Value("a password hash".to_owned())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<PasswordHash> {
        const REMEDY: &str = "make a hash with: waft user hash";
        let Some(written) = text(&node.value) else {
            return reader.refuse(&node.origin, "not a password hash", REMEDY);
        };
        match PasswordHash::parse(written) {
            Ok(hash) => Some(hash),
            Err(rejection @ Rejection::Unknown) => {
                reader.refuse(&node.origin, rejection.to_string(), REMEDY)
            }
            Err(rejection) => {
                let remedy = "paste the whole hash, or make a new one with: waft user hash";
                reader.refuse(&node.origin, rejection.to_string(), remedy)
            }
        }
    }

    fn show(_: &PasswordHash) -> String {
        String::new()
    }
}

/// A list of permissions.
pub(crate) struct Rights;

impl Kind for Rights {
    type Out = Permissions;

    fn shape() -> Shape {
        Shape::Value(format!("a list out of {}", Self::show(&Permissions::ALL)))
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Permissions> {
        let items = List::<Right>::read(node, reader)?;
        Some(items.into_iter().collect())
    }

    fn show(out: &Permissions) -> String {
        let words: Vec<String> = out.iter().map(|permission| quote(permission.word())).collect();
        format!("[{}]", words.join(", "))
    }
}

/// One permission.
struct Right;

impl Kind for Right {
    type Out = Permission;

    fn shape() -> Shape {
        Rights::shape()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Permission> {
        let word = text(&node.value);
        word.and_then(Permission::from_word).or_else(|| {
            let words = Permission::ALL.map(Permission::word);
            reader.refuse_kind(node, "a permission", &remedy_for_word(word, &words))
        })
    }

    fn show(out: &Permission) -> String {
        quote(out.word())
    }
}

/// A type each of whose values is written as a word.
pub(crate) trait Worded: Copy + PartialEq + 'static {
    /// Each value with its word.
    const VALUES: &'static [(Self, &'static str)];
    /// Each word with its meaning.
    const WORDS: &'static [(&'static str, &'static str)];
}

/// One word out of a few.
pub(crate) struct Word<W>(PhantomData<W>);

impl<W: Worded> Kind for Word<W> {
    type Out = W;

    fn shape() -> Shape {
        Shape::Words(W::WORDS)
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<W> {
        let word = text(&node.value);
        let found = W::VALUES.iter().find(|(_, name)| Some(*name) == word);
        found.map(|(value, _)| *value).or_else(|| {
            let words: Vec<&str> = W::WORDS.iter().map(|(word, _)| *word).collect();
            reader.refuse_kind(node, "one of the words", &remedy_for_word(word, &words))
        })
    }

    fn show(out: &W) -> String {
        let found = W::VALUES.iter().find(|(value, _)| value == out);
        found.map(|(_, word)| quote(word)).unwrap_or_default()
    }
}

fn remedy_for_word(word: Option<&str>, words: &[&str]) -> String {
    match word.and_then(|word| nearest(word, words.iter().copied())) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            let words: Vec<String> = words.iter().map(quote).collect();
            format!("write one of {}", words.join(", "))
        }
    }
}

/// A table with known keys.
pub(crate) struct Sub<S>(PhantomData<S>);

impl<S: Section> Kind for Sub<S> {
    type Out = S;

    fn shape() -> Shape {
        Shape::Table(S::SCHEMA)
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<S> {
        S::read(node, reader)
    }

    fn show(_: &S) -> String {
        String::new()
    }
}

/// A list of tables with known keys. An entry with a mistake is left out, so that the mistakes of
/// all the others are found too.
pub(crate) struct Many<S>(PhantomData<S>);

impl<S: Section> Kind for Many<S> {
    type Out = Vec<S>;

    fn shape() -> Shape {
        Shape::Tables(S::SCHEMA)
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Vec<S>> {
        let Value::Array(items) = &node.value else {
            let remedy = "write each entry as a table of its own, in double brackets";
            return reader.refuse_kind(node, "a list of tables", remedy);
        };
        let read = |(index, item): (usize, &Node)| {
            reader.within(&index.to_string(), |reader| {
                reader.remember(item);
                S::read(item, reader)
            })
        };
        Some(items.iter().enumerate().filter_map(read).collect())
    }

    fn show(_: &Vec<S>) -> String {
        String::new()
    }
}

/// Names with texts, flattened to dotted names.
pub(crate) struct Attributes;

impl Kind for Attributes {
    type Out = BTreeMap<String, String>;

    fn shape() -> Shape {
        Shape::Free("names with texts")
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Out> {
        Free::read(node, reader).map(|settings| settings.flattened().iter().cloned().collect())
    }

    fn show(_: &Self::Out) -> String {
        String::new()
    }
}

/// A table with any keys.
pub(crate) struct Free;

impl Kind for Free {
    type Out = Settings;

    fn shape() -> Shape {
        Shape::Free("any keys")
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Settings> {
        let Value::Table(table) = &node.value else {
            return reader.refuse_kind(node, "a table", "write it as a table of its own");
        };
        let flattened = node.flattened();
        let mut names: Vec<&str> = flattened.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair.first() == pair.last());
        if let Some(name) = twice.and_then(|pair| pair.first()) {
            let message = format!("two settings with the same dotted name: {name}");
            return reader.refuse(&node.origin, message, "rename the key that has a dot in it");
        }
        remember_all(node, reader);
        Some(Settings::new(table.clone(), flattened))
    }

    fn show(_: &Settings) -> String {
        String::new()
    }
}

/// Remembers where everything in a table was written: a plugin may find something wrong with it.
fn remember_all(node: &Node, reader: &mut Reader) {
    reader.remember(node);
    match &node.value {
        Value::Table(table) => {
            for (name, node) in table.iter() {
                reader.within(name, |reader| remember_all(node, reader));
            }
        }
        Value::Array(items) => {
            for (index, node) in items.iter().enumerate() {
                reader.within(&index.to_string(), |reader| remember_all(node, reader));
            }
        }
        _ => {}
    }
}

/// Names with where each secret is kept.
pub(crate) struct Secrets;

impl Kind for Secrets {
    type Out = BTreeMap<String, Node>;

    fn shape() -> Shape {
        Shape::Free(
            "names with where each is kept: `file:PATH`, `env:VARIABLE`, or `credential:NAME` of systemd",
        )
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Out> {
        let Value::Table(table) = &node.value else {
            let remedy =
                "write NAME = \"file:PATH\", \"env:VARIABLE\" or \"credential:NAME\" in it";
            return reader.refuse_kind(node, "a table", remedy);
        };
        Some(table.iter().map(|(name, node)| (name.to_owned(), node.clone())).collect())
    }

    fn show(_: &Self::Out) -> String {
        String::new()
    }
}

/// A size, or a table that says more about what is kept.
pub(crate) struct Room;

impl Kind for Room {
    type Out = KvGrant;

    fn shape() -> Shape {
        Shape::Value("a size, or { size = …, persistent = … }".to_owned())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<KvGrant> {
        match &node.value {
            Value::Table(_) => KvGrant::read(node, reader),
            _ => Amount::read(node, reader).map(|size| KvGrant { size, persistent: false }),
        }
    }

    fn show(out: &KvGrant) -> String {
        <Amount as Scalar>::show(&out.size)
    }
}

/// Whether something waits on the disk, or how much of it at most.
pub(crate) struct Spool;

impl Spool {
    /// How much where that is not said.
    const USUAL: u64 = 64 << 20;
}

impl Kind for Spool {
    type Out = Option<u64>;

    fn shape() -> Shape {
        let usual = units::show_size(Self::USUAL);
        Shape::Value(format!("true (that is {usual}), false, or a size from 1MiB"))
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Option<u64>> {
        match node.value {
            Value::Boolean(flag) => Some(flag.then_some(Self::USUAL)),
            _ => match Size::parse(&node.value) {
                Some(size) if size >= 1 << 20 => Some(Some(size)),
                _ => {
                    let remedy = "write true, false, or a size such as \"64MiB\"";
                    reader.refuse_kind(node, "true, false or a size from 1MiB", remedy)
                }
            },
        }
    }

    fn show(out: &Option<u64>) -> String {
        out.as_ref().map(<Size as Scalar>::show).unwrap_or_default()
    }
}

/// A whole number above 0, or a table that says how many are kept besides.
pub(crate) struct InstanceCount;

impl Kind for InstanceCount {
    type Out = Instances;

    fn shape() -> Shape {
        Shape::Value("a whole number from 1 to 10000, or { min = …, max = … }".to_owned())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Instances> {
        match &node.value {
            Value::Table(_) => Instances::read(node, reader),
            _ => Number::<1, 10_000>::read(node, reader)
                .map(|max| Instances { max, ..Instances::default() }),
        }
    }

    fn show(out: &Instances) -> String {
        format!("{{ min = {}, max = {} }}", out.min, out.max)
    }
}

/// What one call of a hook may take.
pub(crate) struct CallLimits;

impl Kind for CallLimits {
    type Out = HookLimits;

    fn shape() -> Shape {
        Shape::Value("a table: { cpu = …, wall = … }".to_owned())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<HookLimits> {
        if !matches!(node.value, Value::Table(_)) {
            let remedy = "write { wall = \"10s\" }, with cpu or without";
            return reader.refuse_kind(node, "a table", remedy);
        }
        HookLimits::read(node, reader)
    }

    fn show(_: &HookLimits) -> String {
        String::new()
    }
}
