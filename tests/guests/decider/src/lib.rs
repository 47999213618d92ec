//! Decides about connections and files as its settings say, so that tests can ask for any verdict.
//!
//! | setting | what it does |
//! |---|---|
//! | `connect = "drop"` | or a code and a text to reject with, `pass` (the default), `trap` |
//! | `files = ["OP PATH VERDICT", …]` | `deny CODE TEXT`, `redirect PATH`, `tell ATTRIBUTE`, `trap` |
//! | `hide = ["NAME", …]` | hides entries; the name `trap` breaks, `lie` names entries that are none |
//! | `ops = ["read", …]`, `listings = false` | what it wants to see of files; everything by default |

#![forbid(unsafe_code)]

use waft_plugin_sdk::{
    ConnectDecision, ConnectionFilter, FileDecision, FileFilter, FileOp, FileStat, Interest,
    Plugin, Reply, Session, Settings,
};

/// The settings.
#[derive(Debug)]
pub struct Decider {
    connect: Option<String>,
    files: Vec<String>,
    hide: Vec<String>,
    ops: Vec<String>,
    listings: bool,
}

impl Plugin for Decider {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let plugin = Self {
            connect: root.text("connect"),
            files: root.texts("files"),
            hide: root.texts("hide"),
            ops: root.texts("ops"),
            listings: root.flag("listings").unwrap_or(true),
        };
        settings.finish().map(|()| plugin)
    }

    fn interest(&self) -> Interest {
        let interest = Interest::everything();
        let interest = if self.listings { interest } else { interest.without_listings() };
        if self.ops.is_empty() { interest } else { interest.in_file_ops(&self.ops) }
    }
}

impl ConnectionFilter for Decider {
    fn on_connect(&self, _: Session<'_>) -> ConnectDecision {
        match self.connect.as_deref() {
            None | Some("pass") => ConnectDecision::Pass,
            Some("drop") => ConnectDecision::Drop,
            Some("trap") => break_down(),
            Some(text) => ConnectDecision::Reject(reply(text)),
        }
    }
}

impl FileFilter for Decider {
    fn on_file(&self, session: Session<'_>, op: &FileOp) -> FileDecision {
        let path = op.target().unwrap_or_else(|| op.path());
        let rule = rule(&self.files, &[name(op), path]);
        match rule.split_once(' ').unwrap_or((rule, "")) {
            ("deny", text) => FileDecision::Deny(reply(text)),
            ("redirect", path) => FileDecision::Redirect(path.to_owned()),
            ("tell", attribute) => {
                let value = session.attribute(attribute).unwrap_or_else(|| "nothing".to_owned());
                FileDecision::Deny(Reply::new(550, value))
            }
            ("trap", _) => break_down(),
            _ => FileDecision::Pass,
        }
    }

    fn on_list(&self, _: Session<'_>, _: &str, entries: &[(String, FileStat)]) -> Vec<u32> {
        let has = |word: &str| self.hide.iter().any(|hidden| hidden == word);
        assert!(!has("trap"), "as told");
        if has("lie") {
            return vec![u32::MAX];
        }
        let numbered = (0..).zip(entries);
        numbered.filter(|(_, (name, _))| !has(name)).map(|(number, _)| number).collect()
    }
}

/// What stands behind those words in the first rule that begins with them.
fn rule<'a>(rules: &'a [String], words: &[&str]) -> &'a str {
    let rest = |rule: &'a String| {
        words
            .iter()
            .try_fold(rule.as_str(), |rest, word| rest.strip_prefix(word)?.strip_prefix(' '))
    };
    rules.iter().find_map(rest).unwrap_or_default()
}

fn reply(text: &str) -> Reply {
    let (code, words) = text.split_once(' ').unwrap_or((text, ""));
    Reply::new(code.parse().unwrap_or_default(), words)
}

fn name(op: &FileOp) -> &'static str {
    match op {
        FileOp::Read(_) => "read",
        FileOp::Write(_) => "write",
        FileOp::Remove(_) => "remove",
        FileOp::Rename(_) => "rename",
        FileOp::MakeDir(_) => "make-dir",
        FileOp::RemoveDir(_) => "remove-dir",
        FileOp::Enter(_) => "enter",
        FileOp::Inspect(_) => "inspect",
        FileOp::Change(_) => "change",
    }
}

#[expect(clippy::panic, reason = "as told")]
fn break_down() -> ! {
    panic!("as told")
}

waft_plugin_sdk::export!(Decider: connection_filter, file_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    fn plugin(values: &[(&str, &str)]) -> Decider {
        Decider::new(&Settings::of(values.iter().copied())).unwrap()
    }

    #[test]
    fn it_decides_as_it_is_told() {
        let plugin = plugin(&[
            ("connect", "554 No."),
            ("files.0", "read /a deny 550 No."),
            ("hide.0", "secret"),
        ]);
        let session = TestSession::new();
        let session = session.session();
        let no = |code| Reply::new(code, "No.");
        assert_eq!(plugin.on_connect(session), ConnectDecision::Reject(no(554)));
        let read = FileOp::Read(("/a".to_owned(), 0));
        assert_eq!(plugin.on_file(session, &read), FileDecision::Deny(no(550)));
        let entries = ["secret", "a"].map(|name| (name.to_owned(), FileStat::file(0)));
        assert_eq!(plugin.on_list(session, "/", &entries), [1]);
    }
}
