//! Commands that a plugin wants to see with certain arguments only.

use std::collections::BTreeMap;

use waft_proto::Command;

/// By verb, the words that an argument has to begin with; of verbs that are not named, whatever was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words(BTreeMap<String, Vec<Word>>);

/// The beginning of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// Whatever it is, if there is one.
    Any,
    /// This, in any case.
    This(String),
}

impl Words {
    /// Reads a list of verbs with a word each, such as `SITE CHMOD` or `STAT *`.
    ///
    /// # Errors
    /// An entry is something else; in words.
    pub(super) fn read(value: &str) -> Result<Words, String> {
        let mut words = Words::default();
        for entry in super::entries(value)? {
            let mut parts = entry.split_ascii_whitespace();
            let (Some(verb), Some(word), None) = (parts.next(), parts.next(), parts.next()) else {
                return Err(format!("not a verb and a word: {entry}"));
            };
            let word = if word == super::ALL { Word::Any } else { Word::This(word.to_owned()) };
            words.0.entry(verb.to_ascii_uppercase()).or_default().push(word);
        }
        Ok(words)
    }

    /// Whether a command is wanted as far as its argument goes. Of one that no plugin is shown, as that of
    /// PASS, nothing is known here either: it begins with no word.
    pub(crate) fn contain(&self, command: &Command) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(wanted) = self.0.get(command.name().as_str()) else { return true };
        let argument = command.argument().filter(|_| !command.is_secret()).unwrap_or_default();
        let mut words = argument.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.next().is_some_and(|first| wanted.iter().any(|word| word.is(first)))
    }

    /// All of them as they were read, by verb.
    pub(crate) fn names(&self) -> Vec<String> {
        let named = |(verb, words): (&String, &Vec<Word>)| {
            words.iter().map(|word| format!("{verb} {}", word.name())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(named).collect()
    }
}

impl Word {
    fn is(&self, first: &[u8]) -> bool {
        match self {
            Word::Any => true,
            Word::This(word) => first.eq_ignore_ascii_case(word.as_bytes()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Word::Any => super::ALL,
            Word::This(word) => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_wanted(words: &str, line: &[u8]) -> bool {
        Words::read(words).unwrap().contain(&Command::parse(line).unwrap())
    }

    #[test]
    fn an_argument_has_to_begin_with_one_of_the_words_of_its_verb() {
        let words = "SITE CHMOD, stat *,SITE utime, XFOO -a";
        for (line, wanted) in [
            ("SITE CHMOD 644 a", true),
            ("SITE chmod", true),
            ("SITE  CHMOD\t644", true),
            ("SITE \tCHMOD", true),
            ("SITE \x0bCHMOD", false),
            ("SITE \u{a0}CHMOD", false),
            ("SITE UTIME 1 a", true),
            ("SITE CHMODX 644 a", false),
            ("SITE HELP CHMOD", false),
            ("SITE", false),
            ("STAT", false),
            ("STAT  ", false),
            ("STAT /pub", true),
            ("XFOO -A", true),
            ("XFOO a", false),
            ("STOR a", true),
            ("NOOP", true),
        ] {
            assert_eq!(is_wanted(words, line.as_bytes()), wanted, "{line}");
        }
        assert!(!is_wanted(words, b"SITE \xffHMOD"));
        assert!(is_wanted("", b"SITE CHMOD"));
    }

    #[test]
    fn what_is_secret_is_not_looked_at() {
        assert!(!is_wanted("PASS hunter2", b"PASS hunter2"));
        assert!(!is_wanted("PASS *", b"PASS hunter2"));
        assert!(is_wanted("USER *", b"USER alice"));
    }

    #[test]
    fn they_are_named_by_verb() {
        let words = Words::read("STAT *,SITE CHMOD,SITE UTIME").unwrap();
        assert_eq!(words.names(), ["SITE CHMOD", "SITE UTIME", "STAT *"]);
        assert_eq!(Words::default().names(), [""; 0]);
    }

    #[test]
    fn anything_but_a_verb_and_a_word_is_a_mistake() {
        for entry in ["SITE", "SITE CHMOD 644", "*"] {
            let mistake = Words::read(entry).unwrap_err();
            assert_eq!(mistake, format!("not a verb and a word: {entry}"));
        }
    }
}
