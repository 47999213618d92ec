//! Refuses uploads: by name, by size, and by what is in them.
//!
//! Names are decided upon before a file is opened, new names of renamed files included; contents
//! while they pass, before anyone sees the file. [`kinds`] knows what files begin with, and [`scan`]
//! looks at one upload. A rule about contents holds for whole files: where there is one, nothing is
//! appended and no upload is resumed, unless the operator says so.

#![forbid(unsafe_code)]

mod kinds;
mod scan;

use waft_plugin_sdk::{
    ContentFilter, ContentInterest, Direction, FileDecision, FileFilter, FileOp, Interest, Plugin,
    Reply, Section, Session, Settings, WriteKind, fits, metrics,
};

use crate::scan::{Contents, Scan};

/// What may be uploaded.
#[derive(Debug)]
pub struct Rules {
    /// Patterns of names, in lower case; all names where there is none.
    allow: Vec<String>,
    deny: Vec<String>,
    contents: Contents,
    /// Whether files may be added to.
    append: bool,
    /// Users that nothing holds for.
    exempt: Vec<String>,
}

impl Plugin for Rules {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let plugin = Self {
            allow: patterns(&root, "allow"),
            deny: patterns(&root, "deny"),
            contents: Contents {
                max_size: root.size("max_size"),
                match_content: root.flag("match_content").unwrap_or(true),
                eicar: root.flag("eicar").unwrap_or(true),
                quarantine: root.flag("quarantine").unwrap_or(false),
            },
            append: root.flag("append").unwrap_or(false),
            exempt: root.texts("exempt"),
        };
        settings.finish().map(|()| plugin)
    }

    fn interest(&self) -> Interest {
        Interest::everything().in_file_ops(["write", "rename"]).without_listings()
    }
}

impl FileFilter for Rules {
    fn on_file(&self, session: Session<'_>, op: &FileOp) -> FileDecision {
        let refusal = match op {
            FileOp::Write((path, kind)) => self.refusal(path).or_else(|| self.adding(*kind)),
            FileOp::Rename((_, target)) => self.refusal(target),
            _ => None,
        };
        match refusal {
            Some(reply) if !self.is_exempt(session) => {
                metrics::counter("uploads_refused_total", 1, &[("reason", "name")]);
                FileDecision::Deny(reply)
            }
            _ => FileDecision::Pass,
        }
    }
}

impl ContentFilter for Rules {
    type Filter = Scan;

    fn wants(
        &self,
        session: Session<'_>,
        direction: Direction,
        _: &str,
        _: Option<u64>,
    ) -> ContentInterest {
        let upload = direction == Direction::Upload && self.contents.any();
        match upload && !self.is_exempt(session) {
            true => ContentInterest::Inspect,
            false => ContentInterest::Skip,
        }
    }

    fn open(&self, _: Session<'_>, _: Direction, path: &str) -> Scan {
        Scan::new(self.contents, kinds::extension(last(path)))
    }
}

impl Rules {
    /// What is wrong with a name.
    fn refusal(&self, path: &str) -> Option<Reply> {
        let name = last(path).to_lowercase();
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, &name));
        let refused = any(&self.deny) || !(self.allow.is_empty() || any(&self.allow));
        refused.then(|| Reply::new(553, "Files of that name are not taken here."))
    }

    /// What is wrong with adding to a file: rules about contents see the new part alone.
    fn adding(&self, kind: WriteKind) -> Option<Reply> {
        let adds = matches!(kind, WriteKind::Append | WriteKind::Resume);
        (adds && !self.append && self.contents.any())
            .then(|| Reply::new(550, "Only whole files are taken here."))
    }

    fn is_exempt(&self, session: Session<'_>) -> bool {
        !self.exempt.is_empty() && session.user().is_some_and(|user| self.exempt.contains(&user))
    }
}

fn patterns(root: &Section<'_>, key: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    for (key, pattern) in root.numbered_texts(key) {
        if pattern.is_empty() || pattern.contains('/') {
            root.mistake(
                &key,
                format_args!("a pattern of names such as *.jpg is wanted: {pattern}"),
            );
        }
        patterns.push(pattern.to_lowercase());
    }
    patterns
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

waft_plugin_sdk::export!(Rules: file_filter, content_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;
    use waft_plugin_sdk::{Filter, Verdict};

    use super::*;

    fn rules(values: &[(&str, &str)]) -> Rules {
        Rules::new(&Settings::of(values.iter().copied())).unwrap()
    }

    fn takes(rules: &Rules, path: &str, kind: WriteKind) -> bool {
        let session = TestSession::new().user("alice");
        let op = FileOp::Write((path.to_owned(), kind));
        rules.on_file(session.session(), &op) == FileDecision::Pass
    }

    fn upload(rules: &Rules, path: &str, pieces: &[&[u8]]) -> Verdict {
        let session = TestSession::new().user("alice");
        let mut filter = rules.open(session.session(), Direction::Upload, path);
        for piece in pieces {
            if let Err(reply) = filter.push(piece.to_vec()) {
                return Verdict::Refuse(reply);
            }
        }
        filter.finish()
    }

    fn refusal(verdict: Verdict) -> u16 {
        match verdict {
            Verdict::Accept(_) => 0,
            Verdict::Refuse(reply) | Verdict::Quarantine(reply) => reply.code,
        }
    }

    #[test]
    fn names_must_be_allowed_and_not_denied() {
        let rules = rules(&[("allow.0", "*.jpg"), ("allow.1", "scan?.PDF"), ("deny", ".*")]);
        for path in ["/a/b.jpg", "/B.JPG", "/scan1.pdf"] {
            assert!(takes(&rules, path, WriteKind::Create), "{path}");
        }
        for path in ["/b.exe", "/.jpg", "/scan10.pdf", "/b.jpg.exe", "/jpg"] {
            assert!(!takes(&rules, path, WriteKind::Replace), "{path}");
        }
        let session = TestSession::new();
        let rename = FileOp::Rename(("/b.jpg".to_owned(), "/b.exe".to_owned()));
        assert_ne!(rules.on_file(session.session(), &rename), FileDecision::Pass);
    }

    #[test]
    fn a_rule_about_contents_wants_whole_files() {
        assert!(!takes(&rules(&[]), "/a", WriteKind::Resume));
        assert!(takes(&rules(&[("append", "true")]), "/a", WriteKind::Append));
        let names_alone = rules(&[("match_content", "false"), ("eicar", "false")]);
        assert!(takes(&names_alone, "/a", WriteKind::Append));
        let session = TestSession::new();
        let wanted = names_alone.wants(session.session(), Direction::Upload, "/a", None);
        assert_eq!(wanted, ContentInterest::Skip);
    }

    #[test]
    fn nothing_holds_for_who_is_exempt() {
        let rules = rules(&[("deny", "*"), ("exempt", "alice")]);
        assert!(takes(&rules, "/a", WriteKind::Append));
        let session = TestSession::new().user("alice");
        let wanted = rules.wants(session.session(), Direction::Upload, "/a", None);
        assert_eq!(wanted, ContentInterest::Skip);
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_as_soon_as_it_is() {
        let rules = rules(&[("max_size", "1KiB")]);
        assert_eq!(refusal(upload(&rules, "/a", &[&[0; 1000], &[0; 24]])), 0);
        assert_eq!(refusal(upload(&rules, "/a", &[&[0; 1000], &[0; 25]])), 552);
    }

    #[test]
    fn contents_must_be_what_the_name_says() {
        let rules = rules(&[]);
        let jpeg: &[u8] = b"\xff\xd8\xff\xe0JFIF";
        assert_eq!(refusal(upload(&rules, "/a.jpg", &[&jpeg[..2], &jpeg[2..]])), 0);
        assert_eq!(refusal(upload(&rules, "/a.png", &[jpeg])), 550);
        assert_eq!(refusal(upload(&rules, "/a.jpg", &[b"MZ\x90\0programs"])), 550);
        assert_eq!(refusal(upload(&rules, "/a.txt", &[b"\x7fELF\x02"])), 550);
        assert_eq!(refusal(upload(&rules, "/a.exe", &[b"MZ\x90\0"])), 0);
        assert_eq!(refusal(upload(&rules, "/a.dat", &[b"anything"])), 0);
        assert_eq!(refusal(upload(&rules, "/a.jpg", &[b"\xff\xd8"])), 550);
        assert_eq!(refusal(upload(&rules, "/a.jpg", &[])), 0, "an empty file is nothing else");
    }

    #[test]
    fn the_test_file_of_virus_scanners_is_found_in_pieces() {
        let eicar = scan::eicar();
        let (head, tail) = eicar.split_at(10);
        let found = upload(&rules(&[]), "/a.txt", &[head, tail, b"\r\n"]);
        assert!(matches!(found, Verdict::Refuse(reply) if reply.code == 550));
        let kept = upload(&rules(&[("quarantine", "true")]), "/a.txt", &[head, tail]);
        assert!(matches!(kept, Verdict::Quarantine(reply) if reply.code == 550));
        let off = upload(&rules(&[("eicar", "false")]), "/a.txt", &[head, tail]);
        assert_eq!(off, Verdict::Accept(Vec::new()));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let settings = Settings::of([
            ("allow.0", "/pub/*.jpg"),
            ("max_size", "big"),
            ("eicar", "yes"),
            ("dney", "*"),
        ]);
        assert_eq!(
            Rules::new(&settings).unwrap_err().lines().collect::<Vec<_>>(),
            [
                "allow.0: a pattern of names such as *.jpg is wanted: /pub/*.jpg",
                "max_size: a size such as 64KiB or 10MB is wanted, not: big",
                "eicar: true or false is wanted, not: yes",
                "unknown key, did you mean deny: dney",
            ]
        );
    }
}
