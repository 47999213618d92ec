//! Reads `/metrics` as strictly as the text format is written: whatever it does not allow fails the
//! test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::iter::Peekable;
use std::str::Chars;

use super::ftp::connect;
use super::waft::Waft;

/// Names with values, sorted.
pub(crate) type Labels = BTreeMap<String, String>;

/// The answer to a request by HTTP, head and body.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = connect(address.parse().unwrap());
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A page that was read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    families: BTreeMap<String, Family>,
}

/// What begins with `# TYPE`.
#[derive(Debug)]
struct Family {
    kind: String,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Page {
    /// Asks a server whose `[metrics]` listen.
    #[track_caller]
    pub(crate) fn of(waft: &Waft) -> Page {
        let told = waft.log.wait("the address", |line| line.message() == "metrics are told");
        let answer = get(told.field("address"), "/metrics");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        Page::read(body)
    }

    /// Reads a page.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Page {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut page = Page::default();
        let mut family = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split_once(' ').expect("a help text").0.to_owned();
                let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
                let (name, kind) = kind.and_then(|line| line.split_once(' ')).expect("a type");
                assert_eq!(name, family);
                page.begin(name, kind);
            } else {
                page.families.get_mut(&family).expect("a family").sample(&family, line);
            }
        }
        page.families.iter().for_each(|(name, family)| family.check(name));
        page
    }

    fn begin(&mut self, name: &str, kind: &str) {
        assert!(is_name(name, true), "not a name: {name}");
        assert!(["counter", "gauge", "histogram"].contains(&kind), "not a type: {kind}");
        let family = Family { kind: kind.to_owned(), samples: BTreeMap::new() };
        assert!(self.families.insert(name.to_owned(), family).is_none(), "twice: {name}");
    }

    /// The kind of a metric.
    #[track_caller]
    pub(crate) fn kind(&self, name: &str) -> &str {
        &self.families.get(name).unwrap_or_else(|| panic!("no metric: {name}")).kind
    }

    /// The value of the one sample that has these labels and no others.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let sample = (name.to_owned(), labels);
        let found = self.families.values().find_map(|family| family.samples.get(&sample));
        *found.unwrap_or_else(|| panic!("no sample: {sample:?}\n{self:#?}"))
    }
}

impl Family {
    fn sample(&mut self, family: &str, line: &str) {
        let mut rest = line.chars().peekable();
        let name = word(&mut rest);
        let parts = ["_bucket", "_sum", "_count"];
        let belongs = match name.strip_prefix(family) {
            Some("") => self.kind != "histogram",
            Some(part) => self.kind == "histogram" && parts.contains(&part),
            None => false,
        };
        assert!(belongs, "not of {family}: {line}");
        let labels = if rest.peek() == Some(&'{') { labels(&mut rest) } else { Labels::new() };
        assert_eq!(rest.next(), Some(' '), "{line}");
        let value = number(&rest.collect::<String>());
        assert!(self.kind == "gauge" || value >= 0.0, "{line}");
        assert!(self.samples.insert((name, labels), value).is_none(), "twice: {line}");
    }

    /// A histogram counts upwards, and ends with what it counts in all.
    fn check(&self, name: &str) {
        let bucket = format!("{name}_bucket");
        let mut series = BTreeMap::<Labels, Vec<(f64, f64)>>::new();
        for ((sample, labels), value) in &self.samples {
            let mut labels = labels.clone();
            if *sample == bucket {
                let bound = number(&labels.remove("le").expect("a bound"));
                series.entry(labels).or_default().push((bound, *value));
            }
        }
        let of = |part: &str| {
            let part = format!("{name}{part}");
            let all = self.samples.keys().filter(move |(sample, _)| *sample == part);
            all.map(|(_, labels)| labels.clone()).collect::<BTreeSet<_>>()
        };
        let known: BTreeSet<_> = series.keys().cloned().collect();
        assert_eq!((&of("_sum"), &of("_count")), (&known, &known));
        for (labels, mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels:?}: {buckets:?}");
            let (bound, all) = buckets[buckets.len() - 1];
            let count = self.samples[&(format!("{name}_count"), labels)];
            assert_eq!((bound, all), (f64::INFINITY, count), "{name}");
        }
    }
}

fn is_name(name: &str, colons: bool) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || colons && c == ':';
    name.chars().all(plain) && name.starts_with(|first: char| !first.is_ascii_digit())
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == ':') {
        word.push(c);
    }
    word
}

fn labels(rest: &mut Peekable<Chars<'_>>) -> Labels {
    let mut labels = Labels::new();
    assert_eq!(rest.next(), Some('{'));
    loop {
        let name = word(rest);
        assert!(is_name(&name, false), "not a label: {name}");
        assert_eq!((rest.next(), rest.next()), (Some('='), Some('"')));
        let value = quoted(rest);
        assert!(labels.insert(name.clone(), value).is_none(), "twice: {name}");
        match rest.next() {
            Some(',') => {}
            Some('}') => return labels,
            other => panic!("behind a label: {other:?}"),
        }
    }
}

fn quoted(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    loop {
        match rest.next().expect("the end of a label") {
            '"' => return text,
            '\\' => text.push(match rest.next() {
                Some('n') => '\n',
                Some(c @ ('"' | '\\')) => c,
                other => panic!("not an escape: {other:?}"),
            }),
            c => text.push(c),
        }
    }
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        _ => {
            let plain = |c: char| c.is_ascii_digit() || "+-.e".contains(c);
            assert!(text.chars().all(plain), "not a number: {text}");
            text.parse().unwrap()
        }
    }
}
