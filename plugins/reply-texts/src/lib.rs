//! Rewords replies: by code, verb, listener, user, language, and by what they said.
//!
//! [`Texts`] is the operator's list, of which the first text that fits a reply is taken; a
//! [`Text`] is one of it. The language of a session is that of its listener until its client
//! chooses another one with LANG, which is kept with the session.
//!
//! The server shows only the replies whose codes and verbs the list names.

#![forbid(unsafe_code)]

mod text;

use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Moment, Plugin, Reply, ReplyFilter, Section,
    Session, Settings, Template,
};

use crate::text::{Facts, Text};

/// Where the language that a client chose is kept with its session.
const CHOSEN: &str = "language";

/// What the operator wants replies to say.
#[derive(Debug)]
pub struct Texts {
    texts: Vec<Text>,
    /// The language of sessions whose listener has none.
    language: Option<String>,
    /// Languages by the names of listeners.
    listeners: Vec<(String, String)>,
}

impl Plugin for Texts {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let mut texts: Vec<Text> = root.sections("text").iter().filter_map(Text::read).collect();
        texts.extend(by_code(&root));
        let language = root.text("language");
        let listeners = root.entries("listeners");
        settings.finish().map(|()| Self { texts, language, listeners })
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::everything();
        if self.languages().next().is_none() {
            interest = interest.in_commands([""; 0]);
        } else {
            interest = interest.in_commands(["LANG"]);
        }
        if self.texts.iter().all(|text| !text.codes.is_empty()) {
            interest = interest.in_codes(self.texts.iter().flat_map(|text| text.codes.clone()));
        }
        if self.texts.iter().all(|text| !text.verbs.is_empty()) {
            let verbs = self.texts.iter().flat_map(|text| text.verbs.clone());
            interest = interest.in_replies_to(verbs);
        }
        interest
    }
}

impl CommandFilter for Texts {
    /// LANG with a language that there are texts in; the server knows English.
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision {
        let wanted = command.arg.as_deref().map(str::trim);
        let known = wanted.and_then(|tag| self.languages().find(|own| same_language(own, tag)));
        if session.set(CHOSEN, known.map(str::as_bytes)).is_err() || known.is_none() {
            return CommandDecision::Pass;
        }
        CommandDecision::Answer(Reply::new(200, "OK."))
    }
}

impl ReplyFilter for Texts {
    fn on_reply(&self, session: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply> {
        let mut facts = Facts::new(session, command, reply, || self.language_of(session));
        let text = self.texts.iter().find(|text| text.fits(&mut facts))?;
        let moment = Moment { session, command, code: reply.code, original: Some(reply) };
        Some(text.text.reply(moment))
    }
}

impl Texts {
    fn languages(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().filter_map(|text| text.language.as_deref())
    }

    /// What the client chose, what its listener speaks, what everyone speaks.
    fn language_of(&self, session: Session<'_>) -> Option<String> {
        let chosen = session.get(CHOSEN).and_then(|tag| String::from_utf8(tag).ok());
        chosen.or_else(|| {
            let listener = session.listener();
            let own = self.listeners.iter().find(|(name, _)| *name == listener);
            own.map(|(_, language)| language.clone()).or_else(|| self.language.clone())
        })
    }
}

/// The short form: texts by code, behind all others.
fn by_code(root: &Section<'_>) -> Vec<Text> {
    let mut texts = Vec::new();
    for (name, text) in root.entries("texts") {
        let read = text::code(&name).and_then(|code| Ok((code, Template::for_code(code, &text)?)));
        match read {
            Ok((code, text)) => texts.push(Text::of_code(code, text)),
            Err(mistake) => root.mistake(&format!("texts.{name}"), mistake),
        }
    }
    texts
}

/// Whether a tag such as `de-AT` asks for a language such as `de`.
fn same_language(own: &str, tag: &str) -> bool {
    let first = tag.split(['-', '_']).next().unwrap_or(tag);
    own.eq_ignore_ascii_case(tag) || own.eq_ignore_ascii_case(first)
}

waft_plugin_sdk::export!(Texts: command_filter, reply_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    fn texts(values: &[(&str, &str)]) -> Texts {
        Texts::new(&Settings::of(values.iter().copied())).unwrap()
    }

    fn reworded(texts: &Texts, session: &TestSession, verb: &str, reply: Reply) -> Option<String> {
        let command = Command::new(verb, "a.txt");
        texts.on_reply(session.session(), &command, &reply).map(|reply| reply.lines.join("|"))
    }

    #[test]
    fn the_first_text_that_fits_is_taken() {
        let texts = texts(&[
            ("text.0.codes.0", "550"),
            ("text.0.verbs.0", "retr"),
            ("text.0.listeners.0", "public"),
            ("text.0.text", "nothing for {user} at {remote_ip}"),
            ("text.1.codes.0", "550"),
            ("text.1.says", "no such"),
            ("text.1.text", "there is no {arg}"),
            ("texts.550", "no"),
            ("texts.220", "Example Inc.\nAll is logged."),
        ]);
        let session = TestSession::new().user("alice").listener("public");
        let missing = || Reply::new(550, "No such file.");
        let said = |verb| reworded(&texts, &session, verb, missing());
        assert_eq!(said("RETR").unwrap(), "nothing for alice at 127.0.0.1");
        assert_eq!(said("DELE").unwrap(), "there is no a.txt");
        let denied = Reply::new(550, "Permission denied.");
        assert_eq!(reworded(&texts, &session, "DELE", denied).unwrap(), "no");
        let greeting = reworded(&texts, &session, "", Reply::new(220, "ready"));
        assert_eq!(greeting.unwrap(), "Example Inc.|All is logged.");
        assert_eq!(reworded(&texts, &session, "CWD", Reply::new(250, "ok")), None);
        let interest = Interest::everything().in_commands([""; 0]).in_codes([550, 550, 220]);
        assert_eq!(texts.interest(), interest);
    }

    #[test]
    fn the_language_is_the_clients_or_the_listeners_or_the_servers() {
        let texts = texts(&[
            ("language", "fr"),
            ("listeners.public", "de"),
            ("text.0.codes.0", "221"),
            ("text.0.language", "de"),
            ("text.0.text", "Auf Wiedersehen."),
            ("text.1.codes.0", "221"),
            ("text.1.language", "fr"),
            ("text.1.text", "Au revoir."),
        ]);
        let bye = |session: &TestSession| {
            reworded(&texts, session, "QUIT", Reply::new(221, "Goodbye.")).unwrap_or_default()
        };
        assert_eq!(bye(&TestSession::new()), "Au revoir.");
        let german = TestSession::new().listener("public");
        assert_eq!(bye(&german), "Auf Wiedersehen.");
        let choose = |arg| texts.on_command(german.session(), &Command::new("LANG", arg));
        assert_eq!(choose("fr-CA"), CommandDecision::Answer(Reply::new(200, "OK.")));
        assert_eq!(bye(&german), "Au revoir.");
        assert_eq!(choose("en"), CommandDecision::Pass);
        assert_eq!(bye(&german), "Auf Wiedersehen.");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let settings = Settings::of([
            ("text.0.codes.0", "99"),
            ("text.0.text", "{usr}"),
            ("text.1.codes.0", "227"),
            ("text.1.text", "x"),
            ("text.2.verbs.0", "RETR"),
            ("texts.abc", "x"),
            ("texts.213", "x"),
            ("langauge", "de"),
        ]);
        assert_eq!(
            Texts::new(&settings).unwrap_err().lines().collect::<Vec<_>>(),
            [
                "text.0.codes.0: not a reply code: 99",
                "text.0.text: unknown variable, did you mean {user}: {usr}",
                "text.1.text: clients read this reply: its text must hold {original}",
                "text.2.text: is missing",
                "texts.abc: not a reply code: abc",
                "texts.213: clients read this reply: its text must hold {original}",
                "unknown key, did you mean language: langauge",
            ]
        );
    }
}
