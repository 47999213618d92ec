//! What becomes of replies.

use waft_plugin_sdk::{Command, Moment, Reply, Session, Template, log};

use crate::client::Client;
use crate::quirk::Deed;

/// Texts as the FTP server of BSD has them, by verb and code: many devices look for them.
const CLASSIC: [(&[&str], u16, &str); 15] = [
    (&["CDUP", "CWD", "XCUP", "XCWD"], 250, "CWD command successful."),
    (&["DELE"], 250, "DELE command successful."),
    (&["EPRT"], 200, "EPRT command successful."),
    (&["MODE"], 200, "MODE {arg} ok."),
    (&["NOOP"], 200, "NOOP command successful."),
    (&["PASS"], 230, "User {user} logged in."),
    (&["PORT"], 200, "PORT command successful."),
    (&["QUIT"], 221, "Goodbye."),
    (&["REST"], 350, "Restarting at {arg}. Send STORE or RETRIEVE to initiate transfer."),
    (&["RMD", "XRMD"], 250, "RMD command successful."),
    (&["RNFR"], 350, "File exists, ready for destination name"),
    (&["RNTO"], 250, "RNTO command successful."),
    (&["STRU"], 200, "STRU {arg} ok."),
    (&["TYPE"], 200, "Type set to {arg}."),
    (&["USER"], 331, "Password required for {arg}."),
];

/// The verbs of [`CLASSIC`].
pub(crate) const CLASSIC_VERBS: &[&str] = &[
    "CDUP", "CWD", "DELE", "EPRT", "MODE", "NOOP", "PASS", "PORT", "QUIT", "REST", "RMD", "RNFR",
    "RNTO", "STRU", "TYPE", "USER", "XCUP", "XCWD", "XRMD",
];

/// Its codes.
pub(crate) const CLASSIC_CODES: &[u16] = &[200, 221, 230, 250, 331, 350];

/// Verbs whose replies have several lines because their lines are data.
const LISTS: [&str; 3] = ["FEAT", "MLST", "STAT"];

/// What the server says with 550 where a name is taken.
const EXISTS: &str = "File exists.";

/// So much of several lines goes into one.
const LINE_CHARS_MAX: usize = 400;

/// The reply as this client wants it, if that is another.
pub(crate) fn reworded(
    client: &Client,
    session: Session<'_>,
    command: &Command,
    reply: &Reply,
) -> Option<Reply> {
    let mut now = reply.clone();
    let own = client.replies.iter();
    if let Some((rule, new)) =
        own.filter_map(|rule| Some((rule, rule.apply(session, command, reply)?))).next()
    {
        change(client, &rule.name, &mut now, new);
    }
    for quirk in &client.quirks {
        let Deed::Reply { verbs, codes, change: reword } = &quirk.deed else { continue };
        let is_meant = verbs.is_none_or(|verbs| verbs.contains(&command.verb.as_str()))
            && codes.is_none_or(|codes| codes.contains(&now.code));
        if let (true, Some(new)) = (is_meant, reword(session, command, &now)) {
            change(client, quirk.name, &mut now, new);
        }
    }
    (now != *reply).then_some(now)
}

/// Puts another reply in the place of one.
fn change(client: &Client, why: &str, now: &mut Reply, new: Reply) {
    if new == *now {
        return;
    }
    let shown = |reply: &Reply| format!("{} {}", reply.code, reply.lines.join(" / "));
    log::debug(
        "reply put right",
        &[("client", &client.name), ("quirk", why), ("was", &shown(now)), ("now", &shown(&new))],
    );
    *now = new;
}

/// 521 for a directory that exists (RFC 959, appendix II). Only the server's own words tell it from
/// what else 550 is said of.
pub(crate) fn exists(_: Session<'_>, _: &Command, reply: &Reply) -> Option<Reply> {
    let exists = reply.lines == [EXISTS];
    exists.then(|| Reply::new(521, "Directory already exists."))
}

/// 250 for 226, which both end a transfer (RFC 959, 5.4).
pub(crate) fn done(_: Session<'_>, _: &Command, reply: &Reply) -> Option<Reply> {
    Some(Reply { code: 250, lines: reply.lines.clone() })
}

/// The text that BSD has.
pub(crate) fn classic(session: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply> {
    let found = CLASSIC
        .iter()
        .find(|(verbs, code, _)| *code == reply.code && verbs.contains(&command.verb.as_str()));
    let text = found?.2.parse::<Template>().ok()?;
    let code = reply.code;
    Some(text.reply(Moment { session, command, code, original: Some(reply) }))
}

/// All lines in one.
pub(crate) fn one_line(_: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply> {
    if reply.lines.len() < 2 || LISTS.contains(&command.verb.as_str()) {
        return None;
    }
    let lines = reply.lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    Some(Reply::new(reply.code, line.chars().take(LINE_CHARS_MAX).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_name_what_the_texts_are_for() {
        let mut verbs: Vec<&str> =
            CLASSIC.iter().flat_map(|(verbs, _, _)| *verbs).copied().collect();
        verbs.sort_unstable();
        assert_eq!(verbs, CLASSIC_VERBS);
        let mut codes = CLASSIC.map(|(_, code, _)| code).to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, CLASSIC_CODES);
        for (_, code, text) in CLASSIC {
            assert!(Template::for_code(code, text).is_ok(), "{text}");
        }
    }
}
