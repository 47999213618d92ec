//! One table of the settings.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::Settings;
use crate::Network;

/// Units of time, in milliseconds.
const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size, in bytes.
const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// One table of the settings; its keys are relative to it.
#[derive(Debug, Clone)]
pub struct Section<'a> {
    settings: &'a Settings,
    /// Empty, or the table's key with a dot after it.
    prefix: String,
}

impl<'a> Section<'a> {
    pub(super) fn root(settings: &'a Settings) -> Self {
        Self { settings, prefix: String::new() }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<String> {
        let full = self.full(key);
        let value = self.settings.value(&full).map(str::to_owned);
        if value.is_none() {
            self.refuse_deeper(&full, "one value is wanted");
        }
        value
    }

    /// A list of texts; a single text is a list of one.
    pub fn texts(&self, key: &str) -> Vec<String> {
        self.numbered_texts(key).into_iter().map(|(_, text)| text).collect()
    }

    /// A list of texts with each one's own key, for messages about one of them.
    pub fn numbered_texts(&self, key: &str) -> Vec<(String, String)> {
        let full = self.full(key);
        if let Some(value) = self.settings.value(&full) {
            return vec![(key.to_owned(), value.to_owned())];
        }
        let mut texts = Vec::new();
        for name in self.settings.names_below(&format!("{full}.")) {
            let entry = format!("{full}.{name}");
            match self.settings.value(&entry) {
                Some(value) if name.parse::<u32>().is_ok() => {
                    texts.push((format!("{key}.{name}"), value.to_owned()));
                }
                _ => {
                    self.settings.mistake(&entry, "a list of texts is wanted");
                    self.settings.skip_below(&format!("{entry}."));
                }
            }
        }
        texts
    }

    /// A boolean.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.parsed(key, "true or false is wanted")
    }

    /// A number, or anything else that is read from a text.
    pub fn number<T: FromStr>(&self, key: &str) -> Option<T> {
        self.parsed(key, "a number is wanted")
    }

    /// A length of time: `500ms`, `30s`, `10m`, `2h`, `7d`.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.measured(key, &DURATIONS, "a time such as 30s or 10m").map(Duration::from_millis)
    }

    /// A number of bytes: `100`, `64KiB`, `10MB`, `2GiB`.
    pub fn size(&self, key: &str) -> Option<u64> {
        self.measured(key, &SIZES, "a size such as 64KiB or 10MB")
    }

    /// A list of networks and addresses, such as `10.0.0.0/8`.
    pub fn networks(&self, key: &str) -> Vec<Network> {
        let mut networks = Vec::new();
        for (key, text) in self.numbered_texts(key) {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(mistake) => self.mistake(&key, mistake),
            }
        }
        networks
    }

    /// The address of a web service, such as `https://login.example.org/v1`.
    pub fn url(&self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        // A name and a password have no place in it: it is logged.
        if host.is_none_or(|host| host.is_empty() || host.contains('@')) || text.contains(odd) {
            self.mistake(key, "a URL such as https://login.example.org/v1 is wanted");
            return None;
        }
        Some(text)
    }

    /// A table with keys of the operator's choice: all its names and texts.
    pub fn entries(&self, key: &str) -> Vec<(String, String)> {
        let full = self.full(key);
        if self.settings.value(&full).is_some() {
            self.settings.mistake(&full, "a table is wanted");
            return Vec::new();
        }
        let table = Section { settings: self.settings, prefix: format!("{full}.") };
        let names = self.settings.names_below(&table.prefix).into_iter();
        names.filter_map(|name| table.text(&name).map(|text| (name, text))).collect()
    }

    /// A table with known keys. It is there, and empty, where the operator wrote none.
    pub fn section(&self, key: &str) -> Section<'a> {
        let full = self.full(key);
        if self.settings.value(&full).is_some() {
            self.settings.mistake(&full, "a table is wanted");
        }
        Section { settings: self.settings, prefix: format!("{full}.") }
    }

    /// A list of tables.
    pub fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let list = self.section(key);
        let mut sections = Vec::new();
        for name in self.settings.names_below(&list.prefix) {
            let entry = list.full(&name);
            if name.parse::<u32>().is_err() || self.settings.value(&entry).is_some() {
                self.settings.mistake(&entry, "a list of tables is wanted");
                self.settings.skip_below(&format!("{entry}."));
            } else {
                sections.push(Section { settings: self.settings, prefix: format!("{entry}.") });
            }
        }
        sections
    }

    /// Notes a mistake about one of the table's keys; [`Settings::finish`] reports it.
    pub fn mistake(&self, key: &str, what: impl Display) {
        self.settings.mistake(&self.full(key), &what.to_string());
    }

    /// Notes a mistake about the table as a whole.
    pub fn mistake_here(&self, what: impl Display) {
        self.settings.mistake(self.prefix.trim_end_matches('.'), &what.to_string());
    }

    fn parsed<T: FromStr>(&self, key: &str, wanted: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.mistake(key, format_args!("{wanted}, not: {text}"));
        }
        parsed
    }

    /// A whole number with a unit.
    fn measured(&self, key: &str, units: &[(&str, u64)], wanted: &str) -> Option<u64> {
        let text = self.text(key)?;
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text.strip_prefix(digits).unwrap_or_default().trim();
        let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let number = digits.parse::<u64>().ok();
        let measured = number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        if measured.is_none() {
            self.mistake(key, format_args!("{wanted} is wanted, not: {text}"));
        }
        measured
    }

    fn refuse_deeper(&self, full: &str, wanted: &str) {
        let prefix = format!("{full}.");
        if !self.settings.names_below(&prefix).is_empty() {
            self.settings.mistake(full, wanted);
            self.settings.skip_below(&prefix);
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order_past_nine() {
        let settings = Settings::of((0..12).map(|n| (format!("deny.{n}"), n.to_string())));
        let texts: Vec<u32> =
            settings.root().texts("deny").iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(texts, (0..12).collect::<Vec<_>>());
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn one_text_is_a_list_of_one() {
        let settings = Settings::of([("deny", "PORT")]);
        assert_eq!(settings.root().texts("deny"), ["PORT"]);
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn tables_in_a_list_are_read_one_by_one() {
        let settings = Settings::of([
            ("rule.0.commands.0", "DELE"),
            ("rule.0.code", "550"),
            ("rule.1.tls", "true"),
        ]);
        let rules = settings.root().sections("rule");
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].texts("commands"), ["DELE"]);
        assert_eq!(rules[0].number::<u16>("code"), Some(550));
        assert_eq!(rules[1].flag("tls"), Some(true));
        assert_eq!(rules[1].flag("code"), None);
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn times_sizes_and_networks_have_their_forms() {
        let settings = Settings::of([
            ("within", "10m"),
            ("period", "7"),
            ("most", "64KiB"),
            ("least", "12 parsecs"),
            ("much", "99999999999999999999GB"),
            ("from.0", "10.0.0.0/8"),
            ("from.1", "here"),
        ]);
        let root = settings.root();
        assert_eq!(root.duration("within"), Some(Duration::from_secs(600)));
        assert_eq!(root.duration("period"), None);
        assert_eq!(root.size("most"), Some(65_536));
        assert_eq!(root.size("least"), None);
        assert_eq!(root.size("much"), None);
        assert_eq!(root.networks("from").len(), 1);
        assert_eq!(
            settings.finish().unwrap_err().lines().collect::<Vec<_>>(),
            [
                "period: a time such as 30s or 10m is wanted, not: 7",
                "least: a size such as 64KiB or 10MB is wanted, not: 12 parsecs",
                "much: a size such as 64KiB or 10MB is wanted, not: 99999999999999999999GB",
                "from.1: not a network such as 10.0.0.0/8: here",
            ]
        );
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host_and_no_password() {
        let url = |text: &str| Settings::of([("url", text)]).root().url("url");
        for text in ["https://a.example", "http://127.0.0.1:8080/v1?x=@", "https://[::1]/a"] {
            assert_eq!(url(text).as_deref(), Some(text));
        }
        for text in ["a.example/v1", "ftp://a", "https:///v1", "https://u:p@a/", "https://a/ b"] {
            assert_eq!(url(text), None, "{text}");
        }
        let settings = Settings::of([("url", "https://a/#b")]);
        assert_eq!(settings.root().url("url"), None);
        let mistake = "url: a URL such as https://login.example.org/v1 is wanted";
        assert_eq!(settings.finish().unwrap_err(), mistake);
    }

    #[test]
    fn a_free_table_gives_all_its_entries() {
        let settings = Settings::of([("messages.PORT", "a"), ("messages.EPRT", "b")]);
        let entries = settings.root().entries("messages");
        assert_eq!(entries, [("PORT".into(), "a".into()), ("EPRT".into(), "b".into())]);
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn wrong_types_are_mistakes_with_their_place() {
        let settings = Settings::of([
            ("rule.0.code", "high"),
            ("message.0", "a"),
            ("deny.a", "b"),
            ("messages", "c"),
            ("tls", "yes"),
            ("list.0", "x"),
        ]);
        let root = settings.root();
        let rules = root.sections("rule");
        assert_eq!(rules[0].number::<u16>("code"), None);
        assert_eq!(root.text("message"), None);
        assert!(root.texts("deny").is_empty());
        assert!(root.entries("messages").is_empty());
        assert_eq!(root.flag("tls"), None);
        assert!(root.sections("list").is_empty());
        rules[0].mistake("networks.0", "not a network: here");
        rules[0].mistake_here("no commands");
        assert_eq!(
            settings.finish().unwrap_err().lines().collect::<Vec<_>>(),
            [
                "rule.0.code: a number is wanted, not: high",
                "message: one value is wanted",
                "deny.a: a list of texts is wanted",
                "messages: a table is wanted",
                "tls: true or false is wanted, not: yes",
                "list.0: a list of tables is wanted",
                "rule.0.networks.0: not a network: here",
                "rule.0: no commands",
            ]
        );
    }

    #[test]
    fn keys_that_nothing_asked_for_are_named_with_the_nearest() {
        let settings = Settings::of([("rule.0.netwroks.0", "x"), ("zebra", "y")]);
        for rule in settings.root().sections("rule") {
            rule.texts("networks");
        }
        assert_eq!(
            settings.finish().unwrap_err().lines().collect::<Vec<_>>(),
            ["unknown key, did you mean rule.0.networks: rule.0.netwroks.0", "unknown key: zebra",]
        );
    }
}
