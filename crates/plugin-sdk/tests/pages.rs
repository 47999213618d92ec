//! The Rust on the pages of `docs/plugins` is here, where it is compiled: every block of it stands in
//! this file, but for white space.

#![forbid(unsafe_code)]
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, and examples are parts of plugins"
)]

use std::fs;
use std::path::Path;

use waft_plugin_sdk::testing::TestSession;
use waft_plugin_sdk::{
    ContentFilter, Direction, FileDecision, FileFilter, FileOp, Filter, Reader, Storage,
};

/// Plugins without settings.
macro_rules! plugins {
    ($($name:ident)*) => {
        $(
            impl waft_plugin_sdk::Plugin for $name {
                fn new(settings: &waft_plugin_sdk::Settings) -> Result<Self, String> {
                    settings.finish().map(|()| Self)
                }
            }
        )*
    };
}

mod lifecycle {
    use waft_plugin_sdk::{
        Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, Session, Settings,
    };

    struct Careful {
        message: String,
    }

    impl Plugin for Careful {
        fn new(settings: &Settings) -> Result<Self, String> {
            let message = settings.root().text("message").unwrap_or_else(|| "No.".to_owned());
            settings.finish().map(|()| Careful { message }) // or every mistake, a line each
        }

        fn interest(&self) -> Interest {
            Interest::nothing().in_commands(["DELE", "RMD"])
        }
    }

    impl CommandFilter for Careful {
        fn on_command(&self, _: Session<'_>, _: &Command) -> CommandDecision {
            CommandDecision::Answer(Reply::new(550, &self.message))
        }
    }

    waft_plugin_sdk::export!(Careful: command_filter);
}

mod authenticator {
    use std::collections::HashMap;

    use waft_plugin_sdk::{
        Account, AuthDecision, Authenticator, Credentials, Plugin, Session, Settings, crypto,
    };

    struct Members {
        hashes: HashMap<String, String>,
    }

    impl Plugin for Members {
        fn new(settings: &Settings) -> Result<Self, String> {
            let hashes = settings.root().entries("hashes").into_iter().collect();
            settings.finish().map(|()| Members { hashes })
        }
    }

    impl Authenticator for Members {
        fn authenticate(&self, _: Session<'_>, credentials: &Credentials) -> AuthDecision {
            let Credentials::Password(offer) = credentials else { return AuthDecision::Abstain };
            let Some(hash) = self.hashes.get(&offer.user) else { return AuthDecision::Abstain };
            match crypto::verify_offered(hash) {
                Ok(true) => AuthDecision::Accept(
                    Account::new(&offer.user, &format!("local:/srv/members/{}", offer.user))
                        .permit(["list", "read", "write"])
                        .limit("max.sessions", 3)
                        .group("members"),
                ),
                _ => AuthDecision::Deny(None),
            }
        }
    }
}

mod crypto {
    use waft_plugin_sdk::{Account, AuthDecision, crypto};

    struct One {
        hash: String,
        account: Account,
    }

    impl One {
        fn decide(&self) -> AuthDecision {
            match crypto::verify_offered(&self.hash) {
                Ok(true) => AuthDecision::Accept(self.account.clone()),
                Ok(false) => AuthDecision::Deny(None),
                Err(error) => AuthDecision::Deny(Some(error)),
            }
        }
    }
}

mod commands {
    use waft_plugin_sdk::{
        Command, CommandDecision, CommandFilter, ConnectDecision, ConnectionFilter, FileDecision,
        FileFilter, FileOp, FileStat, Reply, ReplyFilter, Session,
    };

    struct PassiveOnly;
    struct Neighbours;
    pub(super) struct NoDotFiles;
    struct Courteous;
    plugins!(PassiveOnly Neighbours NoDotFiles Courteous);

    impl CommandFilter for PassiveOnly {
        fn on_command(&self, _: Session<'_>, command: &Command) -> CommandDecision {
            match command.verb.as_str() {
                "PORT" | "EPRT" => CommandDecision::Answer(Reply::new(502, "Use EPSV or PASV.")),
                _ => CommandDecision::Pass,
            }
        }
    }

    impl ConnectionFilter for Neighbours {
        fn on_connect(&self, session: Session<'_>) -> ConnectDecision {
            match session.remote_ip().starts_with("192.0.2.") {
                true => ConnectDecision::Pass,
                false => ConnectDecision::Reject(Reply::new(554, "For neighbours only.")),
            }
        }
    }

    impl FileFilter for NoDotFiles {
        fn on_file(&self, _: Session<'_>, op: &FileOp) -> FileDecision {
            let hides = |path: &str| path.contains("/.");
            match hides(op.path()) || op.target().is_some_and(hides) {
                true => FileDecision::Deny(Reply::new(550, "No such file.")),
                false => FileDecision::Pass,
            }
        }

        fn shows(&self, _: Session<'_>, _: &str, name: &str, _: &FileStat) -> bool {
            !name.starts_with('.')
        }
    }

    impl ReplyFilter for Courteous {
        fn on_reply(&self, _: Session<'_>, _: &Command, reply: &Reply) -> Option<Reply> {
            (reply.code == 550)
                .then(|| Reply::new(550, format!("Sorry: {}", reply.lines.join(" "))))
        }
    }
}

mod contents {
    use waft_plugin_sdk::{
        ContentFilter, ContentInterest, Direction, Filter, Reply, Session, Verdict,
    };

    pub(super) struct NoPrograms;
    plugins!(NoPrograms);

    impl ContentFilter for NoPrograms {
        type Filter = Head;

        fn wants(
            &self,
            _: Session<'_>,
            way: Direction,
            _: &str,
            _: Option<u64>,
        ) -> ContentInterest {
            if way == Direction::Upload { ContentInterest::Inspect } else { ContentInterest::Skip }
        }

        fn open(&self, _: Session<'_>, _: Direction, _: &str) -> Head {
            Head(Vec::new())
        }
    }

    pub(super) struct Head(Vec<u8>);

    impl Filter for Head {
        fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
            self.0.extend(chunk.iter().take(4 - self.0.len().min(4)));
            if self.0 == b"\x7fELF" { Err(Reply::new(550, "No programs.")) } else { Ok(Vec::new()) }
        }

        fn finish(self) -> Verdict {
            Verdict::Accept(Vec::new())
        }
    }
}

mod storage {
    use std::convert::Infallible;

    use waft_plugin_sdk::{ErrorCode, FileStat, Page, Reader, Session, Storage, StorageError};

    pub(super) struct Hello;
    plugins!(Hello);

    impl Storage for Hello {
        type Reader = Rest;
        type Writer = Infallible; // nobody writes here

        fn stat(&self, _: Session<'_>, path: &str) -> Result<FileStat, StorageError> {
            match path {
                "/" => Ok(FileStat::directory()),
                "/hello.txt" => Ok(FileStat::file(7)),
                _ => Err(ErrorCode::NotFound.into()),
            }
        }

        fn list_dir(
            &self,
            _: Session<'_>,
            _: &str,
            _: Option<&str>,
            _: u32,
        ) -> Result<Page, StorageError> {
            let entries = vec![("hello.txt".to_owned(), FileStat::file(7))];
            Ok(Page { entries, next: None })
        }

        fn open_read(&self, _: Session<'_>, _: &str, offset: u64) -> Result<Rest, StorageError> {
            Ok(Rest(&b"Hello.\n"[(offset as usize).min(7)..]))
        }
    }

    pub(super) struct Rest(&'static [u8]);

    impl Reader for Rest {
        fn read(&mut self, max: u32) -> Result<Vec<u8>, StorageError> {
            let (piece, rest) = self.0.split_at(self.0.len().min(max as usize));
            self.0 = rest;
            Ok(piece.to_vec()) // none is the end
        }
    }
}

mod others {
    use std::time::Duration;

    use waft_plugin_sdk::{
        Event, EventSink, Interest, Plugin, Reply, Session, Settings, SiteCommand, Timer, clock,
        kv, log,
    };

    struct UploadLog;
    struct Time;
    struct Forgetful;

    impl Plugin for UploadLog {
        fn new(settings: &Settings) -> Result<Self, String> {
            settings.finish().map(|()| UploadLog)
        }

        fn interest(&self) -> Interest {
            Interest::nothing().in_events(["transfer.upload.done"])
        }
    }

    impl EventSink for UploadLog {
        fn on_events(&self, events: &[Event]) -> Result<(), String> {
            for event in events {
                log::info("uploaded", &[("path", event.text("path").unwrap_or_default())]);
            }
            Ok(())
        }
    }

    impl Plugin for Time {
        fn new(settings: &Settings) -> Result<Self, String> {
            settings.finish().map(|()| Time)
        }

        fn interest(&self) -> Interest {
            Interest::nothing().with_site("SITE TIME", "SITE TIME: seconds since 1970")
        }
    }

    impl SiteCommand for Time {
        fn on_site(&self, _: Session<'_>, _: &str, arg: Option<&str>) -> Reply {
            match arg {
                None => Reply::new(211, (clock::now_ms() / 1000).to_string()),
                Some(_) => Reply::new(501, "TIME takes no argument."),
            }
        }
    }

    impl Plugin for Forgetful {
        fn new(settings: &Settings) -> Result<Self, String> {
            settings.finish().map(|()| Forgetful)
        }

        fn interest(&self) -> Interest {
            Interest::nothing().with_timer("forget", Duration::from_secs(3600))
        }
    }

    impl Timer for Forgetful {
        fn on_timer(&self, _: &str) {
            let _ = kv::delete("refused");
        }
    }
}

/// Without what `cargo fmt` changes.
fn packed(source: &str) -> String {
    let packed: String = source.split_whitespace().collect();
    packed.replace(",)", ")").replace(",}", "}")
}

#[test]
fn every_example_on_the_pages_is_compiled_here() {
    let here = packed(include_str!("pages.rs"));
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins");
    let mut examples = 0;
    for entry in fs::read_dir(pages).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        for block in page.split("```rust\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let missing = block.split("\n\n").find(|part| !here.contains(&packed(part)));
            assert_eq!(missing, None, "{} has what is not here", path.display());
            examples += 1;
        }
    }
    assert!(examples > 10, "{examples}");
}

#[test]
fn what_is_hidden_is_not_to_be_had_by_renaming_to_it() {
    let session = TestSession::new();
    let decide = |op| commands::NoDotFiles.on_file(session.session(), &op);
    let to = FileOp::Rename(("/a".to_owned(), "/.a".to_owned()));
    assert!(matches!(decide(to), FileDecision::Deny(_)));
    assert_eq!(decide(FileOp::Remove("/a.b".to_owned())), FileDecision::Pass);
}

#[test]
fn a_program_is_refused_however_its_first_octets_come() {
    let session = TestSession::new();
    let open = || contents::NoPrograms.open(session.session(), Direction::Upload, "/a");
    for pieces in [[&b"\x7f"[..], b"ELFxyz"], [b"", b"\x7fELF"]] {
        let mut upload = open();
        let said = pieces.map(|piece| upload.push(piece.to_vec()).is_err());
        assert_eq!(said, [false, true]);
    }
    assert!(open().push(b"harmless".to_vec()).is_ok());
}

#[test]
fn a_file_is_read_to_its_end() {
    let session = TestSession::new();
    let mut reader = storage::Hello.open_read(session.session(), "/hello.txt", 2).unwrap();
    let pieces = [reader.read(3), reader.read(3), reader.read(3)].map(Result::unwrap);
    assert_eq!(pieces, [&b"llo"[..], b".\n", b""]);
}
