//! The table of quirks: what each is about, and what is done about it.

use waft_plugin_sdk::{Command, CommandDecision, Reply, Session};

use crate::{command, reply};

/// One peculiarity of clients.
#[derive(Debug)]
pub(crate) struct Quirk {
    /// What the operator calls it.
    pub(crate) name: &'static str,
    pub(crate) deed: Deed,
}

/// What is done.
#[derive(Debug)]
pub(crate) enum Deed {
    /// The argument of these verbs becomes another; an empty one is none.
    Argument { verbs: &'static [&'static str], change: fn(&str) -> Option<String> },
    /// The whole command becomes another.
    Command { verbs: &'static [&'static str], change: fn(&Command) -> Option<Command> },
    /// The command is answered, and the server does not see it.
    Answer {
        verbs: &'static [&'static str],
        answer: fn(Session<'_>, &Command) -> Option<CommandDecision>,
    },
    /// Replies become others; `None` stands for those to all verbs, and for all codes.
    Reply {
        verbs: Option<&'static [&'static str]>,
        codes: Option<&'static [u16]>,
        change: fn(Session<'_>, &Command, &Reply) -> Option<Reply>,
    },
}

/// Verbs whose argument is a path and nothing else, but for options before that of LIST and NLST,
/// which stay as they are.
const PATHS: &[&str] = &[
    "APPE", "CWD", "DELE", "HASH", "LIST", "MDTM", "MKD", "MLSD", "MLST", "NLST", "RETR", "RMD",
    "RNFR", "RNTO", "SIZE", "STOR", "STOU", "XCRC", "XCWD", "XMD5", "XMKD", "XRMD", "XSHA",
    "XSHA1", "XSHA256", "XSHA512",
];

/// The same, and those that have no argument.
const PATHS_AND_NONE: &[&str] = &[
    "APPE", "CDUP", "CWD", "DELE", "HASH", "LIST", "MDTM", "MKD", "MLSD", "MLST", "NLST", "PWD",
    "RETR", "RMD", "RNFR", "RNTO", "SIZE", "STOR", "STOU", "SYST", "XCRC", "XCUP", "XCWD", "XMD5",
    "XMKD", "XPWD", "XRMD", "XSHA", "XSHA1", "XSHA256", "XSHA512",
];

const TRANSFERS: &[&str] = &["APPE", "LIST", "MLSD", "NLST", "RETR", "STOR", "STOU"];

/// All quirks, in the order in which they are applied.
pub(crate) static QUIRKS: &[Quirk] = &[
    command("words", command::WORDS, command::of_word),
    answer("words", command::FAREWELLS, command::farewell),
    argument("trim", PATHS_AND_NONE, command::trimmed),
    argument("extra-arguments", &["CDUP", "PWD", "SYST", "XCUP", "XPWD"], command::without),
    command("missing-arguments", &["ALLO", "CWD", "XCWD"], command::with_argument),
    argument("quoted-names", PATHS, command::unquoted),
    argument("percent-names", PATHS, command::decoded),
    argument("drive-letters", PATHS, command::without_drive),
    argument("backslashes", PATHS, command::with_slashes),
    argument("home", PATHS, command::from_home),
    argument("versions", PATHS, command::without_version),
    argument("dos-patterns", &["LIST", "NLST"], command::with_star),
    argument("listing-options", &["MLSD", "MLST"], command::without_options),
    argument("lower-case", PATHS, command::lowered),
    command("mdtm-sets", &["MDTM"], command::setting_time),
    answer("no-feat", &["FEAT"], command::not_implemented),
    answer("no-epsv", &["EPRT", "EPSV"], command::no_epsv),
    answer("no-mlsd", &["MLSD", "MLST"], command::not_implemented),
    answer("no-rest", &["REST"], command::no_rest),
    answer("no-mode-z", &["MODE"], command::no_mode_z),
    answer("site-ok", &["SITE"], command::site_ok),
    answer("bare-pwd", &["PWD", "XPWD"], command::bare_pwd),
    reply("exists-521", Some(&["MKD", "XMKD"]), Some(&[550]), reply::exists),
    reply("done-250", Some(TRANSFERS), Some(&[226]), reply::done),
    reply("classic-texts", Some(reply::CLASSIC_VERBS), Some(reply::CLASSIC_CODES), reply::classic),
    reply("one-line", None, None, reply::one_line),
];

const fn argument(
    name: &'static str,
    verbs: &'static [&'static str],
    change: fn(&str) -> Option<String>,
) -> Quirk {
    Quirk { name, deed: Deed::Argument { verbs, change } }
}

const fn command(
    name: &'static str,
    verbs: &'static [&'static str],
    change: fn(&Command) -> Option<Command>,
) -> Quirk {
    Quirk { name, deed: Deed::Command { verbs, change } }
}

const fn answer(
    name: &'static str,
    verbs: &'static [&'static str],
    answer: fn(Session<'_>, &Command) -> Option<CommandDecision>,
) -> Quirk {
    Quirk { name, deed: Deed::Answer { verbs, answer } }
}

const fn reply(
    name: &'static str,
    verbs: Option<&'static [&'static str]>,
    codes: Option<&'static [u16]>,
    change: fn(Session<'_>, &Command, &Reply) -> Option<Reply>,
) -> Quirk {
    Quirk { name, deed: Deed::Reply { verbs, codes, change } }
}

impl Quirk {
    /// The verbs of the commands that it is about.
    pub(crate) fn commands(&self) -> &'static [&'static str] {
        match &self.deed {
            Deed::Argument { verbs, .. }
            | Deed::Command { verbs, .. }
            | Deed::Answer { verbs, .. } => verbs,
            Deed::Reply { .. } => &[],
        }
    }
}
