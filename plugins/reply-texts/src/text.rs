//! One text, and the replies that it is for.

use waft_plugin_sdk::{Command, Reply, Section, Session, Template};

/// A text with its conditions; an empty list and `None` stand for all.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) codes: Vec<u16>,
    /// In upper case.
    pub(crate) verbs: Vec<String>,
    listeners: Vec<String>,
    users: Vec<String>,
    pub(crate) language: Option<String>,
    /// In lower case, what the reply must hold.
    says: Option<String>,
    pub(crate) text: Template,
}

impl Text {
    /// Reads a text; mistakes are noted in the section.
    pub(crate) fn read(section: &Section<'_>) -> Option<Self> {
        let mut codes = Vec::new();
        for (key, text) in section.numbered_texts("codes") {
            match code(&text) {
                Ok(code) => codes.push(code),
                Err(mistake) => section.mistake(&key, mistake),
            }
        }
        let verbs = section.texts("verbs").iter().map(|verb| verb.to_ascii_uppercase()).collect();
        let text = section.text("text");
        if text.is_none() {
            section.mistake("text", "is missing");
        }
        let (listeners, users) = (section.texts("listeners"), section.texts("users"));
        let language = section.text("language");
        let says = section.text("says").map(|says| says.to_lowercase());
        let read = |text: &str| -> Result<Template, String> {
            for code in &codes {
                Template::for_code(*code, text)?;
            }
            text.parse()
        };
        match read(&text?) {
            Ok(text) => Some(Self { codes, verbs, listeners, users, language, says, text }),
            Err(mistake) => {
                section.mistake("text", mistake);
                None
            }
        }
    }

    /// A text for every reply with a code.
    pub(crate) fn of_code(code: u16, text: Template) -> Self {
        let (codes, verbs, listeners, users) = (vec![code], vec![], vec![], vec![]);
        Self { codes, verbs, listeners, users, language: None, says: None, text }
    }

    /// Whether the text is for a reply.
    pub(crate) fn fits<L: FnOnce() -> Option<String>>(&self, facts: &mut Facts<'_, L>) -> bool {
        // What crosses the sandbox's border is asked last, and once.
        has(&self.codes, &facts.reply.code)
            && has(&self.verbs, &facts.command.verb)
            && self.says.as_ref().is_none_or(|says| facts.said().contains(says))
            && (self.listeners.is_empty() || self.listeners.contains(&facts.session.listener()))
            && (self.users.is_empty()
                || facts.session.user().is_some_and(|user| self.users.contains(&user)))
            && (self.language.is_none() || self.language == facts.language())
    }
}

/// What is known of a reply, as far as a text has asked.
pub(crate) struct Facts<'a, L> {
    session: Session<'a>,
    command: &'a Command,
    reply: &'a Reply,
    said: Option<String>,
    ask_language: Option<L>,
    language: Option<String>,
}

impl<'a, L: FnOnce() -> Option<String>> Facts<'a, L> {
    pub(crate) fn new(
        session: Session<'a>,
        command: &'a Command,
        reply: &'a Reply,
        language: L,
    ) -> Self {
        let ask_language = Some(language);
        Self { session, command, reply, said: None, ask_language, language: None }
    }

    fn said(&mut self) -> &str {
        let reply = self.reply;
        self.said.get_or_insert_with(|| reply.lines.join("\n").to_lowercase())
    }

    fn language(&mut self) -> Option<String> {
        if let Some(ask) = self.ask_language.take() {
            self.language = ask();
        }
        self.language.clone()
    }
}

/// Reads a reply code.
pub(crate) fn code(text: &str) -> Result<u16, String> {
    let code = text.parse().ok().filter(|code| (100..600).contains(code));
    code.ok_or_else(|| format!("not a reply code: {text}"))
}

fn has<T: PartialEq>(list: &[T], thing: &T) -> bool {
    list.is_empty() || list.contains(thing)
}
