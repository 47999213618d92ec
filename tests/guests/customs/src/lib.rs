//! Looks at the bytes of transfers, and does with them what its settings say.
//!
//! | setting | what it does |
//! |---|---|
//! | `upload`, `download` | `inspect` or `transform`; they are skipped by default |
//! | `refuse = "EVIL"` | refuses contents with this text at their end, with `reply` |
//! | `at_once = true` | refuses them as soon as they are seen |
//! | `quarantine = "ODD"` | has contents with this text put aside, with `reply` |
//! | `reply = "550 Not that."` | code and words for both |
//! | `mark = "x"` | where transforming: what goes behind the bytes |
//! | `trap = "push"` | breaks in `wants`, `open`, `push` or `finish` |
//! | `trap_on = "BOMB"` | breaks on a chunk with this text in it |
//! | `work_on = "MILL"` | computes for long on a chunk with this text in it |
//!
//! What is transformed has its letters' case swapped, and then the mark behind it.

#![forbid(unsafe_code)]

use std::hint::black_box;

use waft_plugin_sdk::{
    ContentFilter, ContentInterest, Direction, Filter, Plugin, Reply, Section, Session, Settings,
    Verdict,
};

/// Turns of what takes long: some ten times what a host lets pass before it looks.
const WORK: u64 = 200_000_000;

/// The settings.
#[derive(Debug, Clone)]
pub struct Customs {
    upload: ContentInterest,
    download: ContentInterest,
    refuse: Option<String>,
    at_once: bool,
    quarantine: Option<String>,
    reply: Reply,
    mark: String,
    trap: Option<String>,
    trap_on: Option<String>,
    work_on: Option<String>,
}

impl Plugin for Customs {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let plugin = Self {
            upload: interest(&root, "upload"),
            download: interest(&root, "download"),
            refuse: root.text("refuse"),
            at_once: root.text("at_once").is_some_and(|text| text == "true"),
            quarantine: root.text("quarantine"),
            reply: reply(root.text("reply").as_deref().unwrap_or("550 Not that.")),
            mark: root.text("mark").unwrap_or_default(),
            trap: root.text("trap"),
            trap_on: root.text("trap_on"),
            work_on: root.text("work_on"),
        };
        settings.finish().map(|()| plugin)
    }
}

impl ContentFilter for Customs {
    type Filter = Transfer;

    fn wants(
        &self,
        _: Session<'_>,
        direction: Direction,
        _: &str,
        _: Option<u64>,
    ) -> ContentInterest {
        self.break_in("wants");
        match direction {
            Direction::Upload => self.upload,
            Direction::Download => self.download,
        }
    }

    fn open(&self, _: Session<'_>, direction: Direction, _: &str) -> Transfer {
        self.break_in("open");
        let interest = match direction {
            Direction::Upload => self.upload,
            Direction::Download => self.download,
        };
        let found = (false, false);
        Transfer { customs: self.clone(), interest, tail: Vec::new(), found }
    }
}

/// One transfer.
#[derive(Debug)]
pub struct Transfer {
    customs: Customs,
    interest: ContentInterest,
    /// The last octets, where a text is looked for that may begin there.
    tail: Vec<u8>,
    /// Whether there was what is refused, and what is put aside.
    found: (bool, bool),
}

impl Filter for Transfer {
    fn push(&mut self, mut chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
        self.customs.break_in("push");
        if holds(&chunk, self.customs.trap_on.as_deref()) {
            broken();
        }
        if holds(&chunk, self.customs.work_on.as_deref()) {
            for turn in 0..WORK {
                black_box(turn);
            }
        }
        self.look(&chunk);
        if self.customs.at_once && self.found.0 {
            return Err(self.customs.reply.clone());
        }
        if self.interest == ContentInterest::Inspect {
            return Ok(b"nobody looks at this".to_vec());
        }
        for octet in chunk.iter_mut().filter(|octet| octet.is_ascii_alphabetic()) {
            *octet ^= 0x20;
        }
        Ok(chunk)
    }

    fn finish(self) -> Verdict {
        self.customs.break_in("finish");
        if self.found.0 {
            return Verdict::Refuse(self.customs.reply);
        }
        if self.found.1 {
            return Verdict::Quarantine(self.customs.reply);
        }
        Verdict::Accept(self.customs.mark.into_bytes())
    }
}

impl Transfer {
    /// Looks for the texts, also where one is cut in two: large files take no more memory.
    fn look(&mut self, chunk: &[u8]) {
        let (refuse, quarantine) =
            (self.customs.refuse.as_deref(), self.customs.quarantine.as_deref());
        let longest = [refuse, quarantine].into_iter().flatten().map(str::len).max();
        let Some(longest) = longest else { return };
        self.tail.extend_from_slice(chunk);
        self.found.0 |= holds(&self.tail, refuse);
        self.found.1 |= holds(&self.tail, quarantine);
        let gone = (self.tail.len() + 1).saturating_sub(longest);
        self.tail.drain(..gone.min(self.tail.len()));
    }
}

impl Customs {
    fn break_in(&self, place: &str) {
        if self.trap.as_deref() == Some(place) {
            broken();
        }
    }
}

#[expect(clippy::panic, reason = "this is what the guest is for")]
fn broken() {
    panic!("broken as told");
}

fn holds(octets: &[u8], text: Option<&str>) -> bool {
    text.is_some_and(|text| octets.windows(text.len().max(1)).any(|part| part == text.as_bytes()))
}

fn interest(root: &Section<'_>, key: &str) -> ContentInterest {
    match root.text(key).as_deref() {
        Some("inspect") => ContentInterest::Inspect,
        Some("transform") => ContentInterest::Transform,
        _ => ContentInterest::Skip,
    }
}

fn reply(text: &str) -> Reply {
    let (code, words) = text.split_once(' ').unwrap_or((text, ""));
    Reply::new(code.parse().unwrap_or(0), words)
}

waft_plugin_sdk::export!(Customs: content_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn letters_swap_their_case_and_a_mark_goes_behind_them() {
        let settings = Settings::of([("upload", "transform"), ("mark", "!")]);
        let customs = Customs::new(&settings).unwrap();
        let session = TestSession::new();
        let mut transfer = customs.open(session.session(), Direction::Upload, "/a");
        assert_eq!(transfer.push(b"Abc 1".to_vec()).unwrap(), b"aBC 1");
        assert_eq!(transfer.finish(), Verdict::Accept(b"!".to_vec()));
    }
}
