//! What a plugin wants to see, and what it adds.
//!
//! Sets are short lists here: a tree would make every plugin 20 KB larger.

use std::time::Duration;

/// What a plugin wants to see, and what it adds.
///
/// ```
/// use std::time::Duration;
///
/// use waft_plugin_sdk::Interest;
///
/// let interest = Interest::everything()
///     .in_commands(["SITE"])
///     .in_codes([226, 550])
///     .in_events(["transfer.*"])
///     .with_site("SITE QUOTA", "SITE QUOTA: how much room is left")
///     .with_feature("SITE QUOTA")
///     .with_timer("cleanup", Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    commands: Of<String>,
    is_pure: bool,
    replies: Of<String>,
    codes: Of<u16>,
    events: Of<String>,
    file_ops: Of<String>,
    listings: bool,
    timers: Vec<(String, Duration)>,
    pub(crate) site: Vec<(String, String)>,
    pub(crate) features: Vec<String>,
}

/// The most entries of a list that a server takes.
const WORDS_MAX: usize = 1024;

/// All things of a kind, or some.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Of<T> {
    All,
    These(Vec<T>),
}

impl Interest {
    /// All commands, all replies to all commands, all events, and all that is done to files.
    pub fn everything() -> Self {
        Self {
            commands: Of::All,
            replies: Of::All,
            codes: Of::All,
            events: Of::All,
            file_ops: Of::All,
            listings: true,
            ..Self::nothing()
        }
    }

    /// Nothing at all.
    pub fn nothing() -> Self {
        Self {
            commands: Of::none(),
            is_pure: false,
            replies: Of::none(),
            codes: Of::none(),
            events: Of::none(),
            file_ops: Of::none(),
            listings: false,
            timers: Vec::new(),
            site: Vec::new(),
            features: Vec::new(),
        }
    }

    /// Of the commands, those with these verbs, in upper case: all of them (`SITE`), those whose argument
    /// begins with a word, in any case (`SITE CHMOD`), or those with an argument (`STAT *`). Arguments that
    /// are not shown, as that of PASS, begin with no word. Anything else behind a verb stands for all of it,
    /// as do more than 1,024 words.
    pub fn in_commands<C: Into<String>>(mut self, commands: impl IntoIterator<Item = C>) -> Self {
        self.commands = Of::these(commands.into_iter().map(Into::into));
        self
    }

    /// All commands are decided about by nothing but the command and what is asked of the session in that
    /// very call (and the configuration): not by the time, a store, or what was seen or asked before. The
    /// server then remembers what passes, and does not ask [`CommandFilter`](crate::CommandFilter) again
    /// about the same command in sessions for which what was asked is the same.
    pub fn with_pure_commands(mut self) -> Self {
        self.is_pure = true;
        self
    }

    /// Of the replies, those to commands with these verbs, in upper case.
    pub fn in_replies_to<V: Into<String>>(mut self, verbs: impl IntoIterator<Item = V>) -> Self {
        self.replies = Of::these(verbs.into_iter().map(Into::into));
        self
    }

    /// Of the replies, those with these codes.
    pub fn in_codes(mut self, codes: impl IntoIterator<Item = u16>) -> Self {
        self.codes = Of::these(codes);
        self
    }

    /// Of the events, those whose names fit one of these patterns, such as `transfer.*`.
    pub fn in_events<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.events = Of::these(patterns.into_iter().map(Into::into));
        self
    }

    /// Of what is done to files, these: `read`, `write`, `remove`, `rename`, `make-dir`,
    /// `remove-dir`, `enter`, `inspect`, `change`.
    pub fn in_file_ops<O: Into<String>>(mut self, ops: impl IntoIterator<Item = O>) -> Self {
        self.file_ops = Of::these(ops.into_iter().map(Into::into));
        self
    }

    /// No listings: [`FileFilter::on_list`](crate::FileFilter::on_list) is not called.
    pub fn without_listings(mut self) -> Self {
        self.listings = false;
        self
    }

    /// With a command of the plugin's own, "SITE NAME", or "NAME" for a verb that the server does
    /// not know, or "OPTS NAME"; and a line of help. [`SiteCommand`](crate::SiteCommand) answers.
    pub fn with_site(mut self, name: &str, help: &str) -> Self {
        self.site.push((name.to_owned(), help.to_owned()));
        self
    }

    /// With a line in the reply to FEAT.
    pub fn with_feature(mut self, line: &str) -> Self {
        self.features.push(line.to_owned());
        self
    }

    /// With something to be done at every end of a period; [`Timer`](crate::Timer) does it.
    pub fn with_timer(mut self, name: &str, period: Duration) -> Self {
        self.timers.push((name.to_owned(), period));
        self
    }

    /// The descriptor's `verbs`, which know no difference between the hooks, and no "none".
    pub(crate) fn verbs(&self, hooks: &[&str]) -> Vec<String> {
        let mut union = Vec::new();
        for (hook, wanted) in [("command_filter", &self.commands), ("reply_filter", &self.replies)]
        {
            match wanted {
                _ if !hooks.contains(&hook) => {}
                Of::All => return Vec::new(),
                Of::These(verbs) => union.extend(verbs.iter().map(|verb| verb_of(verb).to_owned())),
            }
        }
        distinct(union)
    }

    /// The descriptor's `events`, in which all is a pattern and none is an empty list.
    pub(crate) fn events(&self, hooks: &[&str]) -> Vec<String> {
        match &self.events {
            _ if !hooks.contains(&"event_sink") => Vec::new(),
            Of::All => vec!["*".to_owned()],
            Of::These(patterns) => patterns.clone(),
        }
    }

    /// The descriptor's `extra`, which says the same more exactly.
    pub(crate) fn extra(&self, hooks: &[&str]) -> Vec<(String, String)> {
        let mut extra = Vec::new();
        let mut say = |hook: &str, name: &str, value: String| {
            if hooks.contains(&hook) {
                extra.push((name.to_owned(), value));
            }
        };
        say("command_filter", "command.verbs", self.commands.verbs().listed());
        let words = self.commands.words();
        if !words.is_empty() {
            say("command_filter", "command.words", words.join(","));
        }
        if self.is_pure {
            say("command_filter", "command.pure", "*".to_owned());
        }
        say("reply_filter", "reply.verbs", self.replies.listed());
        say("reply_filter", "reply.codes", self.codes.listed());
        say("file_filter", "file.ops", self.file_ops.listed());
        let listings = if self.listings { "*" } else { "" };
        say("file_filter", "file.list", listings.to_owned());
        for (name, period) in &self.timers {
            say("timer", &format!("timer.{name}"), format!("{}ms", period.as_millis()));
        }
        extra
    }
}

impl<T: ToString + PartialEq> Of<T> {
    fn none() -> Self {
        Self::These(Vec::new())
    }

    fn these(things: impl IntoIterator<Item = T>) -> Self {
        Self::These(distinct(things))
    }

    fn listed(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::These(things) => {
                things.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
        }
    }
}

impl Of<String> {
    /// The verbs of commands.
    fn verbs(&self) -> Self {
        match self {
            Self::All => Self::All,
            Self::These(commands) => Self::these(commands.iter().map(|of| verb_of(of).to_owned())),
        }
    }

    /// The commands of verbs that are not wanted whole; none if there are too many for a list. One that
    /// cannot stand there has its verb wanted whole.
    fn words(&self) -> Vec<&str> {
        let Self::These(commands) = self else { return Vec::new() };
        let whole = commands.iter().filter(|of| word_of(of).is_none());
        let whole: Vec<&str> = whole.map(|of| verb_of(of)).collect();
        let is_whole = |of: &str| whole.iter().any(|verb| verb.eq_ignore_ascii_case(verb_of(of)));
        let words = commands.iter().filter(|of| !is_whole(of));
        let words: Vec<&str> = words.map(String::as_str).collect();
        if words.len() > WORDS_MAX { Vec::new() } else { words }
    }
}

fn verb_of(command: &str) -> &str {
    command.split_once(' ').map_or(command, |(verb, _)| verb)
}

/// The word behind a verb, if it is one that can stand in a list.
fn word_of(command: &str) -> Option<&str> {
    let (_, word) = command.split_once(' ')?;
    let is_word = !word.is_empty() && !word.contains(|c: char| c == ',' || c.is_whitespace());
    is_word.then_some(word)
}

/// Each thing once, where it first stood.
fn distinct<T: PartialEq>(things: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for thing in things {
        if !once.contains(&thing) {
            once.push(thing);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [&str; 1] = ["command_filter"];
    const REPLIES: [&str; 1] = ["reply_filter"];
    const BOTH: [&str; 2] = ["command_filter", "reply_filter"];

    fn pairs(extra: &[(String, String)]) -> Vec<(&str, &str)> {
        extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn a_hook_that_is_not_exported_is_not_spoken_of() {
        let interest = Interest::everything().in_commands(["PORT", "EPRT"]);
        assert_eq!(interest.verbs(&COMMANDS), ["PORT", "EPRT"]);
        assert_eq!(pairs(&interest.extra(&COMMANDS)), [("command.verbs", "PORT,EPRT")]);
        assert_eq!(pairs(&interest.extra(&REPLIES)), [("reply.verbs", "*"), ("reply.codes", "*")]);
    }

    #[test]
    fn pure_commands_are_said_to_be_where_commands_are_decided_about() {
        let interest = Interest::everything().in_commands(["PORT"]).with_pure_commands();
        let extra = [("command.verbs", "PORT"), ("command.pure", "*")];
        assert_eq!(pairs(&interest.extra(&COMMANDS)), extra);
        assert_eq!(pairs(&interest.extra(&REPLIES)).len(), 2);
    }

    #[test]
    fn commands_with_a_word_are_told_apart_from_whole_verbs() {
        let told = |commands: &[&str]| {
            let interest = Interest::everything().in_commands(commands.iter().copied());
            let extra = interest.extra(&COMMANDS);
            assert_eq!(interest.verbs(&COMMANDS).join(","), extra[0].1);
            extra.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&["SITE CHMOD", "DELE", "SITE UTIME", "STAT *"]),
            ["SITE,DELE,STAT", "SITE CHMOD,SITE UTIME,STAT *"]
        );
        assert_eq!(told(&["SITE CHMOD", "STAT *", "SITE"]), ["SITE,STAT", "STAT *"]);
        assert_eq!(told(&["STOR a,b", "STOR c", "SITE CHMOD 644", "STAT "]), ["STOR,SITE,STAT"]);
        assert_eq!(told(&["SITE A\tB", "STAT A\u{a0}", "LIST  -R"]), ["SITE,STAT,LIST"]);
        assert_eq!(told(&["site", "SITE CHMOD"]), ["site,SITE"]);
        let many: Vec<String> = (0..=WORDS_MAX).map(|word| format!("STOR {word}")).collect();
        assert_eq!(told(&many.iter().map(String::as_str).collect::<Vec<_>>()), ["STOR"]);
    }

    #[test]
    fn the_plain_list_covers_every_hook() {
        let interest = Interest::nothing().in_commands(["PORT"]).in_replies_to(["LIST", "PORT"]);
        assert_eq!(interest.verbs(&BOTH), ["PORT", "LIST"]);
        assert!(interest.in_replies_to(["NLST"]).verbs(&BOTH).contains(&"NLST".to_owned()));
        assert!(Interest::everything().in_commands(["PORT"]).verbs(&BOTH).is_empty());
    }

    #[test]
    fn nothing_is_said_as_an_empty_list() {
        let extra = Interest::nothing().in_codes([226, 550, 226]).extra(&BOTH);
        assert_eq!(
            pairs(&extra),
            [("command.verbs", ""), ("reply.verbs", ""), ("reply.codes", "226,550")]
        );
    }

    #[test]
    fn what_is_done_to_files_is_named() {
        let interest = Interest::everything().in_file_ops(["write"]);
        let hooks = ["file_filter"];
        let all = [("file.ops", "write"), ("file.list", "*")];
        assert_eq!(pairs(&interest.extra(&hooks)), all);
        let none = [("file.ops", "write"), ("file.list", "")];
        assert_eq!(pairs(&interest.without_listings().extra(&hooks)), none);
    }

    #[test]
    fn of_events_and_timers_only_their_hooks_speak() {
        let interest = Interest::everything().with_timer("tick", Duration::from_millis(1500));
        assert_eq!(interest.events(&["event_sink"]), ["*"]);
        assert!(interest.events(&BOTH).is_empty());
        assert_eq!(interest.clone().in_events(["auth.*"]).events(&["event_sink"]), ["auth.*"]);
        assert_eq!(pairs(&interest.extra(&["timer"])), [("timer.tick", "1500ms")]);
        assert!(interest.extra(&["event_sink"]).is_empty());
        assert!(interest.verbs(&["timer"]).is_empty());
    }
}
