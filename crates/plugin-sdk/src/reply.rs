//! Making replies and commands.

use crate::{Command, Reply};

impl Reply {
    /// Makes a reply from a code and a text, which becomes several lines where it has several.
    ///
    /// ```
    /// use waft_plugin_sdk::Reply;
    ///
    /// let reply = Reply::new(550, "no\nnot today");
    /// assert_eq!(reply.lines, ["no", "not today"]);
    /// assert_eq!(Reply::new(200, "").lines, [""]);
    /// ```
    pub fn new(code: u16, text: impl AsRef<str>) -> Self {
        let lines = text.as_ref().split('\n').map(|line| line.trim_end_matches('\r').to_owned());
        Self { code, lines: lines.collect() }
    }
}

impl Command {
    /// Makes a command from a verb, in upper case, and an argument.
    ///
    /// ```
    /// use waft_plugin_sdk::Command;
    ///
    /// assert_eq!(Command::new("CWD", "pub").arg.as_deref(), Some("pub"));
    /// assert_eq!(Command::new("PWD", None).arg, None);
    /// ```
    pub fn new<'a>(verb: impl Into<String>, arg: impl Into<Option<&'a str>>) -> Self {
        Self { verb: verb.into(), arg: arg.into().map(str::to_owned) }
    }
}
