//! What a plugin wants to see, so that whatever it does not want costs it nothing.

mod events;
mod files;
mod own;
mod times;
mod words;

use std::collections::BTreeSet;

use waft_core::hooks::SiteCommand;
use waft_proto::command::Name;
use waft_proto::verb::TABLE;
use waft_proto::{Code, Command, Verb, VerbSet};

use crate::bindings::exports::waft::plugin::lifecycle;
use crate::limits;

pub(crate) use events::Events;
pub(crate) use files::Files;
pub(crate) use times::Timer;
use words::Words;

/// Stands for everything in a list that is named in `extra`.
const ALL: &str = "*";

/// The verbs that a plugin wants, by one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verbs {
    set: VerbSet,
    /// Which of the verbs that the table does not know; `None` is all of them.
    unknown: Option<BTreeSet<String>>,
}

impl Verbs {
    const ALL: Verbs = Verbs { set: VerbSet::ALL, unknown: None };
    const NONE: Verbs = Verbs { set: VerbSet::EMPTY, unknown: Some(BTreeSet::new()) };

    fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Verbs {
        let mut verbs = Verbs::NONE;
        for name in names {
            match Verb::from_name(name.as_bytes()) {
                Some(verb) => verbs.set.insert(verb),
                None => {
                    verbs.set.insert_unknown();
                    let unknown = verbs.unknown.get_or_insert_default();
                    unknown.insert(name.to_ascii_uppercase());
                }
            }
        }
        verbs
    }

    /// One bit a verb, one for all that the table does not know.
    pub(crate) fn set(&self) -> VerbSet {
        self.set
    }

    /// Their names; `None` is all.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let unknown = self.unknown.as_ref()?;
        let known = TABLE.iter().filter(|row| self.set.contains(Some(row.verb)));
        Some(known.map(|row| row.name.to_owned()).chain(unknown.iter().cloned()).collect())
    }

    /// Whether the verb is wanted; `None` where no command was given.
    pub(crate) fn contains(&self, name: Option<&Name>) -> bool {
        match name {
            Some(Name::Known(verb)) => self.set.contains(Some(*verb)),
            Some(Name::Unknown(name)) => {
                self.unknown.as_ref().is_none_or(|wanted| wanted.contains(&**name))
            }
            None => self.unknown.is_none(),
        }
    }
}

/// Everything that a plugin wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) commands: Verbs,
    /// The arguments of these.
    pub(crate) words: Words,
    /// The commands that it decides about by nothing but the command and what it asks of the session.
    pub(crate) pure: Verbs,
    pub(crate) replies: Verbs,
    /// Codes of replies; `None` is all.
    codes: Option<BTreeSet<u16>>,
    /// Commands that it brings along.
    pub(crate) site: Vec<SiteCommand>,
    /// Lines for FEAT.
    pub(crate) features: Vec<String>,
    pub(crate) events: Events,
    pub(crate) timers: Vec<Timer>,
    pub(crate) files: Files,
}

impl Interest {
    /// Reads it out of what a plugin says of itself.
    ///
    /// # Errors
    /// The lists make no sense; in words.
    pub(crate) fn read(descriptor: &lifecycle::Descriptor) -> Result<Interest, String> {
        let names = &descriptor.verbs;
        let lengths = [
            names.len(),
            descriptor.site.len(),
            descriptor.features.len(),
            descriptor.events.len(),
            descriptor.extra.len(),
        ];
        if lengths.into_iter().any(|length| length > limits::DESCRIPTOR_ENTRIES_MAX) {
            return Err(format!("a list has over {} entries", limits::DESCRIPTOR_ENTRIES_MAX));
        }
        let common = match names.as_slice() {
            [] => Verbs::ALL,
            names => Verbs::named(names.iter().map(String::as_str)),
        };
        let mut interest = Interest {
            commands: common.clone(),
            words: Words::default(),
            pure: Verbs::NONE,
            replies: common,
            codes: None,
            site: own::commands(&descriptor.site)?,
            features: own::features(&descriptor.features)?,
            events: Events::read(&descriptor.events),
            timers: Vec::new(),
            files: Files::default(),
        };
        for (key, value) in &descriptor.extra {
            match key.as_str() {
                "command.verbs" => interest.commands = listed(value)?,
                "command.words" => interest.words = Words::read(value)?,
                "command.pure" => interest.pure = listed(value)?,
                "reply.verbs" => interest.replies = listed(value)?,
                "reply.codes" => interest.codes = codes(value)?,
                "file.ops" => interest.files.ops = files::ops(value)?,
                "file.list" => interest.files.listings = files::listings(value)?,
                key => {
                    // Extras are how later versions say more: others are not wanted here.
                    if let Some(name) = key.strip_prefix("timer.") {
                        interest.timers.push(times::timer(name, value)?);
                    }
                }
            }
        }
        Ok(interest)
    }

    /// Whether the command is wanted.
    pub(crate) fn wants_command(&self, command: &Command) -> bool {
        self.commands.contains(Some(command.name())) && self.words.contain(command)
    }

    /// Whether replies of that code are wanted.
    pub(crate) fn wants_code(&self, code: Code) -> bool {
        self.codes.as_ref().is_none_or(|codes| codes.contains(&code.number()))
    }

    /// The codes wanted; none means all.
    pub(crate) fn codes(&self) -> Option<&BTreeSet<u16>> {
        self.codes.as_ref()
    }
}

fn listed(value: &str) -> Result<Verbs, String> {
    let names = entries(value)?;
    if names.contains(&ALL) {
        return Ok(Verbs::ALL);
    }
    Ok(Verbs::named(names))
}

fn codes(value: &str) -> Result<Option<BTreeSet<u16>>, String> {
    let entries = entries(value)?;
    if entries.contains(&ALL) {
        return Ok(None);
    }
    let parse = |entry: &str| {
        let code = entry.parse().ok().and_then(Code::new);
        code.map(Code::number).ok_or_else(|| format!("no reply code: {entry}"))
    };
    entries.into_iter().map(parse).collect::<Result<_, _>>().map(Some)
}

fn entries(value: &str) -> Result<Vec<&str>, String> {
    let entries: Vec<_> = value.split(',').map(str::trim).filter(|e| !e.is_empty()).collect();
    if entries.len() > limits::DESCRIPTOR_ENTRIES_MAX {
        return Err(format!("a list has over {} entries", limits::DESCRIPTOR_ENTRIES_MAX));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interest(verbs: &[&str], extra: &[(&str, &str)]) -> Result<Interest, String> {
        Interest::read(&lifecycle::Descriptor {
            name: String::new(),
            version: String::new(),
            description: String::new(),
            verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
            site: Vec::new(),
            features: Vec::new(),
            events: Vec::new(),
            extra: extra.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
        })
    }

    fn name(line: &str) -> Name {
        Command::parse(line.as_bytes()).unwrap().name().clone()
    }

    #[test]
    fn no_verbs_at_all_means_every_verb() {
        let interest = interest(&[], &[]).unwrap();
        assert_eq!(interest.commands.set(), VerbSet::ALL);
        assert!(interest.replies.contains(None) && interest.replies.contains(Some(&name("XFOO"))));
        assert!(interest.wants_code(Code::OKAY));
    }

    #[test]
    fn verbs_are_named_one_by_one_unknown_ones_too() {
        let interest = interest(&["port", "XFOO"], &[]).unwrap();
        assert!(interest.commands.contains(Some(&name("PORT"))));
        assert!(interest.commands.contains(Some(&name("xfoo"))));
        assert!(!interest.commands.contains(Some(&name("XBAR"))));
        assert!(!interest.commands.contains(Some(&name("PASV"))));
        assert!(!interest.replies.contains(None));
        assert!(interest.commands.set().contains(None), "the server must ask for unknown verbs");
    }

    #[test]
    fn extras_tell_commands_from_replies() {
        let extra = [("command.verbs", ""), ("reply.verbs", "*"), ("reply.codes", "226, 550")];
        let interest = interest(&["PORT"], &extra).unwrap();
        assert_eq!(interest.commands.set(), VerbSet::EMPTY);
        assert_eq!(interest.replies.set(), VerbSet::ALL);
        assert!(interest.wants_code(Code::TRANSFER_DONE) && !interest.wants_code(Code::OKAY));
    }

    #[test]
    fn commands_are_wanted_by_their_verbs_and_by_words() {
        let extra = [("command.verbs", "SITE,DELE"), ("command.words", "SITE CHMOD,RETR a")];
        let interest = interest(&[], &extra).unwrap();
        let wants = |line: &str| interest.wants_command(&Command::parse(line.as_bytes()).unwrap());
        assert!(wants("SITE CHMOD 644 a") && wants("DELE a"));
        assert!(!wants("SITE HELP") && !wants("RETR a"));
    }

    #[test]
    fn no_command_is_pure_unless_it_is_said_to_be() {
        assert_eq!(interest(&["PORT"], &[]).unwrap().pure, Verbs::NONE);
        let pure = interest(&[], &[("command.pure", "noop, XFOO")]).unwrap().pure;
        assert!(pure.contains(Some(&name("NOOP"))) && pure.contains(Some(&name("XFOO"))));
        assert!(!pure.contains(Some(&name("PWD"))) && !pure.contains(Some(&name("XBAR"))));
        assert_eq!(interest(&[], &[("command.pure", "*")]).unwrap().pure, Verbs::ALL);
    }

    #[test]
    fn a_code_that_is_none_is_a_mistake() {
        assert!(interest(&[], &[("reply.codes", "22x")]).is_err());
        assert!(interest(&[], &[("reply.codes", "600")]).is_err());
        let none = interest(&[], &[("reply.codes", "")]).unwrap();
        assert!(!none.wants_code(Code::OKAY));
    }
}
