//! The misdeeds.

use std::hint::black_box;

use waft_plugin_sdk::{Command, CommandDecision, Reply, Session, log};

/// Something that a plugin must not do, or must not be let do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// Never returns.
    Loop,
    /// Calls itself until the stack is used up.
    Recursion,
    /// Takes memory until there is none.
    Memory,
    /// Panics.
    Trap,
    /// Where starting: returns an error, with line ends in it.
    Fail,
    /// Writes ten lines to the log, which is none.
    Mutter,
    /// Writes 100,000 lines to the log.
    FloodLog,
    /// Fills the session's scratch space.
    FloodScratch,
    /// A reply with one line of 16 MiB.
    HugeLine,
    /// A reply with one line of 10,000 octets.
    LongLine,
    /// A reply with one line of 1 GiB, where there is memory for it.
    GibLine,
    /// A reply with 10,000 lines.
    ManyLines,
    /// A reply with no line at all.
    NoLines,
    /// A reply with a code that FTP does not have.
    Code999,
    /// A reply with code 0.
    Code0,
    /// A preliminary reply, after which a client waits for another.
    Code150,
    /// A reply that says that all went well.
    Code226,
    /// A reply that says that all went wrong.
    Code550,
    /// A reply with a line end in its text.
    LineEnd,
    /// A reply with a NUL in its text.
    Nul,
    /// Closes the session with a code that promises that it goes on.
    Close200,
    /// Closes the session.
    Close421,
    /// Goes on with `PASV`, which is not the plugin's to say.
    RewriteToPasv,
    /// Goes on with `USER root`.
    RewriteToUser,
    /// Goes on with a command that has another behind it.
    RewriteLineEnd,
    /// Goes on with a verb of 1 MiB.
    RewriteHuge,
    /// Goes on with an argument of 10,000 octets.
    RewriteLong,
    /// Goes on with an empty verb.
    RewriteEmpty,
}

impl Misdeed {
    const ALL: [(&'static str, Self); 28] = [
        ("loop", Self::Loop),
        ("recursion", Self::Recursion),
        ("memory", Self::Memory),
        ("trap", Self::Trap),
        ("fail", Self::Fail),
        ("mutter", Self::Mutter),
        ("flood-log", Self::FloodLog),
        ("flood-scratch", Self::FloodScratch),
        ("huge-line", Self::HugeLine),
        ("long-line", Self::LongLine),
        ("gib-line", Self::GibLine),
        ("many-lines", Self::ManyLines),
        ("no-lines", Self::NoLines),
        ("code-999", Self::Code999),
        ("code-0", Self::Code0),
        ("code-150", Self::Code150),
        ("code-226", Self::Code226),
        ("code-550", Self::Code550),
        ("line-end", Self::LineEnd),
        ("nul", Self::Nul),
        ("close-200", Self::Close200),
        ("close-421", Self::Close421),
        ("rewrite-to-pasv", Self::RewriteToPasv),
        ("rewrite-to-user", Self::RewriteToUser),
        ("rewrite-line-end", Self::RewriteLineEnd),
        ("rewrite-huge", Self::RewriteHuge),
        ("rewrite-long", Self::RewriteLong),
        ("rewrite-empty", Self::RewriteEmpty),
    ];

    /// The misdeed of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|&(_, misdeed)| misdeed)
    }

    /// Does what can be done without an answer.
    pub fn commit(self, session: Option<Session<'_>>) {
        match self {
            Self::Loop => endless(),
            Self::Recursion => drop(deep(1)),
            Self::Memory => hoard(),
            Self::Trap => broken(),
            Self::Mutter => (0..10).for_each(|_| log::info("mutter", &[])),
            Self::FloodLog => (0..100_000).for_each(|_| log::warn("flood", &[("x", "y")])),
            Self::FloodScratch => fill(session),
            _ => {}
        }
    }

    /// The answer to a command.
    pub fn decision(self) -> CommandDecision {
        let rewrite = |verb: String, arg| CommandDecision::Rewrite(Command::new(verb, arg));
        match self {
            Self::RewriteToPasv => rewrite("PASV".to_owned(), None),
            Self::RewriteToUser => rewrite("USER".to_owned(), Some("root")),
            Self::RewriteLineEnd => rewrite("CWD".to_owned(), Some("pub\r\nDELE a")),
            Self::RewriteHuge => rewrite("A".repeat(1 << 20), None),
            Self::RewriteLong => rewrite("CWD".to_owned(), Some(&*"a".repeat(10_000))),
            Self::RewriteEmpty => rewrite(String::new(), None),
            Self::Close200 => CommandDecision::Close(Reply::new(200, "bye")),
            Self::Close421 => CommandDecision::Close(Reply::new(421, "bye")),
            _ => self.reply().map_or(CommandDecision::Pass, CommandDecision::Answer),
        }
    }

    /// A reply that no server may send as it is.
    pub fn reply(self) -> Option<Reply> {
        let coded = |code| Some(Reply::new(code, "made up"));
        let worded = |lines: Vec<String>| Some(Reply { code: 200, lines });
        match self {
            Self::HugeLine => worded(vec!["x".repeat(16 << 20)]),
            Self::LongLine => worded(vec!["x".repeat(10_000)]),
            Self::GibLine => worded(vec!["x".repeat(1 << 30)]),
            Self::ManyLines => worded(vec!["line".to_owned(); 10_000]),
            Self::NoLines => worded(Vec::new()),
            Self::LineEnd => worded(vec!["fine\r\n550 not".to_owned()]),
            Self::Nul => worded(vec!["fine\0".to_owned()]),
            Self::Code999 => coded(999),
            Self::Code0 => coded(0),
            Self::Code150 => coded(150),
            Self::Code226 => coded(226),
            Self::Code550 => coded(550),
            _ => None,
        }
    }
}

fn endless() {
    let mut turns = 0_u64;
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// As deep as the stack goes: what the call returns is needed after it.
fn deep(level: u64) -> u64 {
    let frame = black_box([level; 16]);
    if black_box(level) == 0 {
        return 0;
    }
    deep(level.wrapping_add(1)).wrapping_add(frame.iter().sum())
}

/// Keeps each MiB that it gets, and asks for the next.
fn hoard() {
    let mut kept = Vec::new();
    while black_box(true) {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[expect(clippy::panic, reason = "this is what the guest is for")]
fn broken() {
    panic!("broken as told");
}

fn fill(session: Option<Session<'_>>) {
    let Some(session) = session else { return };
    for number in 0..100_000 {
        if session.set(&number.to_string(), Some(&[0; 1024])).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_misdeed_has_its_own_name() {
        for (name, misdeed) in Misdeed::ALL {
            assert_eq!(Misdeed::named(name), Some(misdeed));
        }
        assert_eq!(Misdeed::named("smile"), None);
    }
}
