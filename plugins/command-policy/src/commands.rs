//! FTP's verbs, and the bundles of them that have names.
//!
//! The list of verbs is here to catch typing mistakes in a configuration: a policy that denies
//! `EPTR` would deny nothing and say nothing.

use waft_plugin_sdk::{Command, closest};

/// Every verb of the IANA registry (RFC 5797), and those in use beside it.
const VERBS: [&str; 91] = [
    "ABOR", "ACCT", "ADAT", "ALLO", "APPE", "AUTH", "AVBL", "CCC", "CDUP", "CLNT", "COMB", "CONF",
    "CPSV", "CSID", "CWD", "DELE", "DSIZ", "ENC", "EPRT", "EPSV", "ESTA", "ESTP", "FEAT", "HASH",
    "HELP", "HOST", "LANG", "LIST", "LPRT", "LPSV", "MD5", "MDTM", "MFCT", "MFF", "MFMT", "MIC",
    "MKD", "MLSD", "MLST", "MMD5", "MODE", "NLST", "NOOP", "OPTS", "PASS", "PASV", "PBSZ", "PORT",
    "PROT", "PWD", "QUIT", "RANG", "REIN", "REST", "RETR", "RMD", "RMDA", "RNFR", "RNTO", "SITE",
    "SIZE", "SMNT", "SPSV", "SSCN", "STAT", "STOR", "STOU", "STRU", "SYST", "THMB", "TYPE", "USER",
    "UTF8", "XCRC", "XCUP", "XCWD", "XMD5", "XMKD", "XPWD", "XQUOTA", "XRCP", "XRMD", "XRSQ",
    "XSEM", "XSEN", "XSHA", "XSHA1", "XSHA256", "XSHA384", "XSHA512", "XTHM",
];

/// Commands under one name, for what an operator means rather than what a client sends.
const BUNDLES: [(&str, &[&str]); 13] = [
    ("active-mode", &["PORT", "EPRT"]),
    ("passive-mode", &["PASV", "EPSV"]),
    ("download", &["RETR"]),
    ("upload", &["STOR", "STOU", "APPE"]),
    ("delete", &["DELE", "RMD", "XRMD", "RMDA"]),
    ("rename", &["RNFR", "RNTO"]),
    ("directories", &["MKD", "XMKD", "RMD", "XRMD", "RMDA"]),
    ("attributes", &["MFMT", "MFCT", "MFF", "SITE CHMOD", "SITE UTIME"]),
    (
        "write",
        &[
            "STOR",
            "STOU",
            "APPE",
            "DELE",
            "RMD",
            "XRMD",
            "RMDA",
            "MKD",
            "XMKD",
            "RNFR",
            "RNTO",
            "MFMT",
            "MFCT",
            "MFF",
            "SITE CHMOD",
            "SITE UTIME",
        ],
    ),
    ("listing", &["LIST", "NLST", "MLSD", "MLST", "STAT *"]),
    (
        "hash",
        &["HASH", "MD5", "MMD5", "XCRC", "XMD5", "XSHA", "XSHA1", "XSHA256", "XSHA384", "XSHA512"],
    ),
    ("compression", &["MODE Z"]),
    ("site", &["SITE"]),
];

/// Verbs that the server never lets a plugin deny.
const UNDENIABLE: [&str; 2] = ["QUIT", "ABOR"];

/// Which commands are meant: a verb, or a verb with some argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) verb: String,
    pub(crate) argument: Argument,
}

/// With which argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    /// Any or none: `STAT`.
    Whatever,
    /// Any, but one: `STAT *`.
    Some,
    /// One that begins with this word, in upper case: `SITE CHMOD`.
    Word(String),
}

impl Pattern {
    /// Reads a command, in any case, or the name of a bundle, which is in lower case: `HASH` is
    /// a command, `hash` are all commands like it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Vec<Self>, String> {
        match BUNDLES.iter().find(|(name, _)| *name == text) {
            Some((_, commands)) => Ok(commands.iter().copied().map(Self::split).collect()),
            None => Self::read_command(text).map(|pattern| vec![pattern]),
        }
    }

    /// Whether a name stands for several commands.
    pub(crate) fn is_bundle(text: &str) -> bool {
        BUNDLES.iter().any(|(name, _)| *name == text)
    }

    fn read_command(text: &str) -> Result<Self, String> {
        let pattern = Self::split(text);
        let verb = pattern.verb.as_str();
        if UNDENIABLE.contains(&verb) {
            return Err(format!("cannot be denied: {verb}"));
        }
        if let Argument::Word(word) = &pattern.argument
            && word.contains(char::is_whitespace)
        {
            return Err(format!("more than one word behind the command: {text}"));
        }
        if !VERBS.contains(&verb) {
            let names = VERBS.iter().chain(BUNDLES.iter().map(|(name, _)| name));
            return Err(match closest(text, names.copied()) {
                Some(name) => format!("no command or bundle, did you mean {name}: {text}"),
                None => format!("no command or bundle: {text}"),
            });
        }
        Ok(pattern)
    }

    fn split(text: &str) -> Self {
        let text = text.trim().to_ascii_uppercase();
        let (verb, argument) = text.split_once(' ').unwrap_or((&text, ""));
        let argument = match argument.trim() {
            "" => Argument::Whatever,
            "*" => Argument::Some,
            word => Argument::Word(word.to_owned()),
        };
        Self { verb: verb.to_owned(), argument }
    }

    /// Whether a command is meant.
    pub(crate) fn matches(&self, command: &Command) -> bool {
        self.verb == command.verb && self.argument.matches(given(command))
    }
}

impl Argument {
    /// A command with that verb, as an operator writes it.
    pub(crate) fn of(&self, verb: &str) -> String {
        match self {
            Self::Whatever => verb.to_owned(),
            Self::Some => format!("{verb} *"),
            Self::Word(word) => format!("{verb} {word}"),
        }
    }

    /// Whether what was [`given`] with the verb is meant.
    pub(crate) fn matches(&self, given: Option<&str>) -> bool {
        match self {
            Self::Whatever => true,
            Self::Some => given.is_some(),
            Self::Word(word) => given
                .and_then(|text| text.split_ascii_whitespace().next())
                .is_some_and(|first| first.eq_ignore_ascii_case(word)),
        }
    }
}

/// The argument of a command; none where it consists of space.
pub(crate) fn given(command: &Command) -> Option<&str> {
    command.arg.as_deref().map(str::trim_ascii).filter(|text| !text.is_empty())
}

/// A verb as a number, sooner compared than a text and in the same order; none if it is longer than all
/// that there are.
pub(crate) fn number(verb: &str) -> Option<u64> {
    let octets = verb.bytes().fold(0, |number, octet| number << 8 | u64::from(octet));
    let unused = 8_usize.checked_sub(verb.len())?;
    octets.checked_shl(u32::try_from(8 * unused).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Pattern::read(text).unwrap().iter().map(shown).collect()
    }

    fn shown(pattern: &Pattern) -> String {
        pattern.argument.of(&pattern.verb)
    }

    #[test]
    fn every_bundle_consists_of_known_commands() {
        for (name, commands) in BUNDLES {
            assert_eq!(names(name), commands, "{name}");
            for command in commands {
                assert_eq!(names(command), [*command]);
            }
        }
    }

    #[test]
    fn verbs_are_listed_once_and_in_order() {
        assert!(VERBS.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn every_verb_has_a_number_and_they_are_in_the_same_order() {
        let numbers = VERBS.map(|verb| number(verb).unwrap());
        assert!(numbers.is_sorted_by(|left, right| left < right));
        assert_eq!(number("EXCEEDING"), None);
    }

    #[test]
    fn case_matters_for_bundles_alone() {
        assert_eq!(names("port"), ["PORT"]);
        assert_eq!(names("HASH"), ["HASH"]);
        assert!(names("hash").len() > 5);
        assert_eq!(names("site chmod"), ["SITE CHMOD"]);
    }

    #[test]
    fn mistakes_are_answered_with_the_nearest_name() {
        assert_eq!(
            Pattern::read("EPTR").unwrap_err(),
            "no command or bundle, did you mean EPRT: EPTR"
        );
        assert_eq!(
            Pattern::read("activ-mode").unwrap_err(),
            "no command or bundle, did you mean active-mode: activ-mode"
        );
        assert_eq!(Pattern::read("everything").unwrap_err(), "no command or bundle: everything");
        assert_eq!(Pattern::read("quit").unwrap_err(), "cannot be denied: QUIT");
        assert_eq!(
            Pattern::read("SITE CHMOD\t644").unwrap_err(),
            "more than one word behind the command: SITE CHMOD\t644"
        );
    }

    #[test]
    fn an_argument_narrows_what_is_meant() {
        let chmod = Pattern::split("SITE CHMOD");
        assert!(chmod.matches(&Command::new("SITE", "chmod 644 a")));
        assert!(!chmod.matches(&Command::new("SITE", "CHMODX 644 a")));
        assert!(!chmod.matches(&Command::new("SITE", None)));
        let listing = Pattern::split("STAT *");
        assert!(listing.matches(&Command::new("STAT", "/pub")));
        assert!(!listing.matches(&Command::new("STAT", " ")));
        assert!(!listing.matches(&Command::new("STAT", None)));
        assert!(Pattern::split("STAT").matches(&Command::new("STAT", None)));
    }
}
