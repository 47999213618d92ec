//! What becomes of commands.

use waft_plugin_sdk::{Command, CommandDecision, Moment, Reply, Session, log};

use crate::client::Client;
use crate::quirk::Deed;
use crate::rule::Outcome;

/// Commands of programs and people that are none of FTP, and what they mean.
const MEANINGS: [(&str, &str); 13] = [
    ("APPEND", "APPE"),
    ("CD", "CWD"),
    ("CHDIR", "CWD"),
    ("DEL", "DELE"),
    ("DELETE", "DELE"),
    ("DIR", "LIST"),
    ("ERASE", "DELE"),
    ("GET", "RETR"),
    ("LS", "LIST"),
    ("MKDIR", "MKD"),
    ("PUT", "STOR"),
    ("RMDIR", "RMD"),
    ("UP", "CDUP"),
];

/// Those of [`MEANINGS`].
pub(crate) const WORDS: &[&str] = &[
    "APPEND", "CD", "CHDIR", "DEL", "DELETE", "DIR", "ERASE", "GET", "LS", "MKDIR", "PUT", "RMDIR",
    "UP",
];

/// The same for QUIT, to which no command can be rewritten.
pub(crate) const FAREWELLS: &[&str] = &["BYE", "EXIT", "LOGOUT"];

/// Commands of SITE that change nothing here, and that clients insist on.
const SITE_COMMANDS: [&str; 12] = [
    "BLKSIZE",
    "DIRSTYLE",
    "FILETYPE",
    "IDLE",
    "LRECL",
    "PRIMARY",
    "RECFM",
    "SBDATACONN",
    "SECONDARY",
    "TRAIL",
    "UMASK",
    "WRAP",
];

/// Octets of a working directory that is told here.
const DIRECTORY_BYTES_MAX: usize = 4000;

/// Verbs whose path may have options of `ls` before it, which the server goes by.
const WITH_OPTIONS: [&str; 2] = ["LIST", "NLST"];

/// What is done about a client's command.
pub(crate) fn decide(client: &Client, session: Session<'_>, command: &Command) -> CommandDecision {
    let mut now = command.clone();
    if let Some((rule, outcome)) = client.rules.iter().find_map(|rule| rule.apply(command)) {
        match outcome {
            Outcome::Command(new) => change(client, rule, &mut now, new),
            Outcome::Answer(code, text) => {
                let reply = text.reply(Moment { session, command, code, original: None });
                return answered(client, rule, command, CommandDecision::Answer(reply));
            }
        }
    }
    for quirk in &client.quirks {
        if !quirk.commands().contains(&now.verb.as_str()) {
            continue;
        }
        match &quirk.deed {
            Deed::Argument { change: put_right, .. } => {
                let Some(new) = with_argument_put_right(&now, *put_right) else { continue };
                change(client, quirk.name, &mut now, new);
            }
            Deed::Command { change: put_right, .. } => {
                let Some(new) = put_right(&now) else { continue };
                change(client, quirk.name, &mut now, new);
            }
            Deed::Answer { answer, .. } => {
                if let Some(decision) = answer(session, &now) {
                    return answered(client, quirk.name, &now, decision);
                }
            }
            Deed::Reply { .. } => {}
        }
    }
    if now == *command { CommandDecision::Pass } else { CommandDecision::Rewrite(now) }
}

/// The command with its argument put right, all of it but options before a path.
fn with_argument_put_right(
    command: &Command,
    put_right: fn(&str) -> Option<String>,
) -> Option<Command> {
    let arg = command.arg.as_deref()?;
    let (options, path) = match WITH_OPTIONS.contains(&command.verb.as_str()) {
        true => split_options(arg),
        false => ("", arg),
    };
    let path = put_right(path)?;
    let arg = format!("{options}{path}");
    // Where nothing is left behind the options, the space goes, too.
    let arg = if path.is_empty() { options.trim_end() } else { &arg };
    Some(Command::new(&*command.verb, Some(arg).filter(|arg| !arg.is_empty())))
}

/// Puts another command in the place of one.
fn change(client: &Client, why: &str, now: &mut Command, new: Command) {
    if new == *now {
        return;
    }
    log::debug(
        "command put right",
        &[("client", &client.name), ("quirk", why), ("was", &line(now)), ("now", &line(&new))],
    );
    *now = new;
}

fn answered(
    client: &Client,
    why: &str,
    command: &Command,
    decision: CommandDecision,
) -> CommandDecision {
    let fields = [("client", &*client.name), ("quirk", why), ("command", &line(command))];
    log::debug("command answered", &fields);
    decision
}

fn line(command: &Command) -> String {
    match &command.arg {
        Some(arg) => format!("{} {arg}", command.verb),
        None => command.verb.clone(),
    }
}

/// A command in the words of a program, in those of FTP.
pub(crate) fn of_word(command: &Command) -> Option<Command> {
    let (_, verb) = MEANINGS.iter().find(|(word, _)| *word == command.verb)?;
    Some(Command::new(*verb, command.arg.as_deref()))
}

pub(crate) fn farewell(_: Session<'_>, _: &Command) -> Option<CommandDecision> {
    Some(CommandDecision::Close(Reply::new(221, "Goodbye.")))
}

/// Without spaces and control characters at its ends.
pub(crate) fn trimmed(arg: &str) -> Option<String> {
    Some(arg.trim_matches(|c: char| c.is_whitespace() || c.is_control()).to_owned())
}

pub(crate) fn without(_: &str) -> Option<String> {
    Some(String::new())
}

/// With the argument that a command lacks: the root, no room at all.
pub(crate) fn with_argument(command: &Command) -> Option<Command> {
    if command.arg.is_some() {
        return None;
    }
    Some(Command::new(&*command.verb, if command.verb == "ALLO" { "0" } else { "/" }))
}

/// Without the quotes around it.
pub(crate) fn unquoted(arg: &str) -> Option<String> {
    let within = |quote: char| arg.strip_prefix(quote)?.strip_suffix(quote);
    let inner = within('"').or_else(|| within('\''))?;
    Some(inner.to_owned()).filter(|inner| !inner.is_empty())
}

/// With what stands for octets in a URL (`%20`) as those octets, if they are a name.
pub(crate) fn decoded(arg: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = arg.bytes();
    while let Some(octet) = rest.next() {
        let mut ahead = rest.clone();
        let digits = (octet == b'%').then(|| (ahead.next(), ahead.next()));
        let Some((Some(high), Some(low))) = digits else {
            octets.push(octet);
            continue;
        };
        let digit = |octet: u8| char::from(octet).to_digit(16);
        match digit(high).zip(digit(low)) {
            Some((high, low)) => {
                octets.push(u8::try_from(high * 16 + low).ok()?);
                rest = ahead;
            }
            None => octets.push(octet),
        }
    }
    String::from_utf8(octets).ok().filter(|text| !text.contains(char::is_control))
}

/// Without `C:`, with or without a slash before it.
pub(crate) fn without_drive(arg: &str) -> Option<String> {
    let (drive, rest) = arg.split_once(':')?;
    let letter = drive.strip_prefix(['/', '\\']).unwrap_or(drive);
    let is_drive = letter.len() == 1 && letter.starts_with(|c: char| c.is_ascii_alphabetic());
    let rest = if rest.is_empty() { "/" } else { rest };
    is_drive.then(|| rest.to_owned())
}

pub(crate) fn with_slashes(arg: &str) -> Option<String> {
    Some(arg.replace('\\', "/"))
}

/// With the root in place of `~`.
pub(crate) fn from_home(arg: &str) -> Option<String> {
    let rest = arg.strip_prefix('~')?;
    match rest {
        "" => Some("/".to_owned()),
        _ => rest.starts_with('/').then(|| rest.to_owned()),
    }
}

/// Without `;1`, as VMS writes versions.
pub(crate) fn without_version(arg: &str) -> Option<String> {
    let (name, version) = arg.rsplit_once(';')?;
    let is_version = version.bytes().all(|digit| digit.is_ascii_digit()) && !name.is_empty();
    is_version.then(|| name.to_owned())
}

/// With `*` in place of `*.*`, which in DOS are all names, and here those with a dot.
pub(crate) fn with_star(arg: &str) -> Option<String> {
    let before = arg.strip_suffix("*.*")?;
    let is_whole = before.is_empty() || before.ends_with(['/', '\\', ' ']);
    is_whole.then(|| format!("{before}*"))
}

/// Without options of `ls` before it.
pub(crate) fn without_options(arg: &str) -> Option<String> {
    Some(split_options(arg).1.to_owned())
}

/// Options of `ls`, up to the path, and the path: words of a hyphen and letters (or `1`), as the
/// server has them.
fn split_options(arg: &str) -> (&str, &str) {
    let mut path = arg;
    while let Some(options) = path.strip_prefix('-') {
        let (options, behind) = options.split_once(' ').unwrap_or((options, ""));
        if options.is_empty() || !options.bytes().all(|b| b == b'1' || b.is_ascii_alphabetic()) {
            break;
        }
        path = behind;
    }
    arg.split_at_checked(arg.len() - path.len()).unwrap_or((arg, ""))
}

pub(crate) fn lowered(arg: &str) -> Option<String> {
    Some(arg.to_lowercase())
}

/// MFMT for an MDTM that sets a time: 14 digits, perhaps a fraction, and a name.
pub(crate) fn setting_time(command: &Command) -> Option<Command> {
    let arg = command.arg.as_deref()?;
    let (time, name) = arg.split_once(' ')?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let sets = seconds.len() == 14 && digits(seconds) && digits(fraction) && !name.is_empty();
    sets.then(|| Command::new("MFMT", arg))
}

pub(crate) fn not_implemented(_: Session<'_>, command: &Command) -> Option<CommandDecision> {
    refusal(502, &format!("{} is not implemented.", command.verb))
}

/// Refuses what a client of an IPv4 address can do with PASV and PORT.
pub(crate) fn no_epsv(session: Session<'_>, command: &Command) -> Option<CommandDecision> {
    let over_ipv6 = session.remote_ip().contains(':');
    if over_ipv6 { None } else { not_implemented(session, command) }
}

/// Refuses all but the beginning, which is where every transfer begins.
pub(crate) fn no_rest(session: Session<'_>, command: &Command) -> Option<CommandDecision> {
    let from_the_beginning = command.arg.as_deref().is_some_and(|arg| arg.trim() == "0");
    if from_the_beginning { None } else { not_implemented(session, command) }
}

pub(crate) fn no_mode_z(_: Session<'_>, command: &Command) -> Option<CommandDecision> {
    let deflate = command.arg.as_deref().is_some_and(|arg| arg.eq_ignore_ascii_case("Z"));
    if deflate { refusal(504, "MODE Z is switched off here.") } else { None }
}

/// Says yes to what changes nothing.
pub(crate) fn site_ok(_: Session<'_>, command: &Command) -> Option<CommandDecision> {
    let name = command.arg.as_deref()?.split([' ', '=']).next()?.to_ascii_uppercase();
    let known = SITE_COMMANDS.contains(&name.as_str());
    known.then(|| CommandDecision::Answer(Reply::new(200, "OK, which changes nothing here.")))
}

/// The working directory in quotes, and nothing behind them; quotes in it as they are.
pub(crate) fn bare_pwd(session: Session<'_>, command: &Command) -> Option<CommandDecision> {
    let directory = session.cwd();
    // What cannot be shown as it is, or is too long for a plugin's reply, the server says itself.
    if command.arg.is_some()
        || directory.len() > DIRECTORY_BYTES_MAX
        || directory.contains([char::REPLACEMENT_CHARACTER, '\r', '\n'])
    {
        return None;
    }
    Some(CommandDecision::Answer(Reply::new(257, format!("\"{directory}\""))))
}

fn refusal(code: u16, text: &str) -> Option<CommandDecision> {
    Some(CommandDecision::Answer(Reply::new(code, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_meaning() {
        assert_eq!(MEANINGS.map(|(word, _)| word), WORDS);
    }
}
