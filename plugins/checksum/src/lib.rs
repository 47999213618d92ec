//! Computes checksums of uploads while they pass, and tells them: in the log, and to clients that
//! ask with SITE CHECKSUM, which costs no second reading of the file.
//!
//! What is told is of what was last uploaded under a name by this user. It is forgotten before
//! anything else happens to the file: it is removed, renamed, or added to.

#![forbid(unsafe_code)]

mod sums;

use waft_plugin_sdk::{
    ContentFilter, ContentInterest, Direction, FileDecision, FileFilter, FileOp, Filter, Interest,
    Plugin, Reply, Session, Settings, SiteCommand, Verdict, WriteKind, closest, kv, log,
};

use crate::sums::{ALGORITHMS, Sums};

/// Octets of a key that the store takes; disks take longer paths.
const KEY_BYTES_MAX: usize = 1024;

/// What keys begin with, behind the user, that are too long as they are.
const HASHED: &str = "sha256:";

/// Keys that are asked for at once.
const KEYS_AT_ONCE: u32 = 100;

/// Where it is kept with a session that the next upload is a part of a file.
const PARTIAL: &str = "partial";

/// Which checksums are computed.
#[derive(Debug)]
pub struct Checksum {
    algorithms: Vec<String>,
    /// Whether every upload's checksums are logged.
    log: bool,
}

impl Plugin for Checksum {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let mut algorithms = Vec::new();
        for (key, name) in root.numbered_texts("algorithms") {
            if ALGORITHMS.contains(&name.as_str()) {
                algorithms.push(name);
                continue;
            }
            match closest(&name, ALGORITHMS) {
                Some(known) => {
                    root.mistake(&key, format_args!("no algorithm, did you mean {known}: {name}"));
                }
                None => root.mistake(&key, format_args!("no algorithm: {name}")),
            }
        }
        if algorithms.is_empty() {
            algorithms.push("sha256".to_owned());
        }
        let log = root.flag("log").unwrap_or(true);
        settings.finish().map(|()| Self { algorithms, log })
    }

    fn interest(&self) -> Interest {
        Interest::everything()
            .in_file_ops(["write", "remove", "rename"])
            .without_listings()
            .with_site("SITE CHECKSUM", "CHECKSUM <path>: of what you uploaded under that name")
    }
}

impl FileFilter for Checksum {
    fn on_file(&self, session: Session<'_>, op: &FileOp) -> FileDecision {
        forget(session, op.path());
        if let Some(target) = op.target() {
            forget(session, target);
            // Directories are renamed with all that is in them.
            forget_below(session, op.path());
            forget_below(session, target);
        }
        if let FileOp::Write((_, kind)) = op {
            let partial = matches!(kind, WriteKind::Append | WriteKind::Resume);
            if session.set(PARTIAL, partial.then_some(b"")).is_err() {
                log::warn("cannot note that an upload is a part", &[]);
            }
        }
        FileDecision::Pass
    }
}

impl ContentFilter for Checksum {
    type Filter = Upload;

    fn wants(
        &self,
        session: Session<'_>,
        direction: Direction,
        _: &str,
        _: Option<u64>,
    ) -> ContentInterest {
        match direction {
            Direction::Upload if session.get(PARTIAL).is_none() => ContentInterest::Inspect,
            _ => ContentInterest::Skip,
        }
    }

    fn open(&self, session: Session<'_>, _: Direction, path: &str) -> Upload {
        let (key, path) = (key(session, path), path.to_owned());
        Upload { key, path, log: self.log, length: 0, sums: Sums::new(&self.algorithms) }
    }
}

impl SiteCommand for Checksum {
    fn on_site(&self, session: Session<'_>, _: &str, arg: Option<&str>) -> Reply {
        let Some(path) = arg.map(str::trim).filter(|path| !path.is_empty()) else {
            return Reply::new(501, "Syntax: SITE CHECKSUM <path>");
        };
        match kv::get(&key(session, &resolved(&session.cwd(), path))) {
            Ok(Some(known)) => Reply::new(213, String::from_utf8_lossy(&known)),
            Ok(None) => Reply::new(550, "No checksum is known of that file."),
            Err(_) => Reply::new(451, "The checksums cannot be read now."),
        }
    }
}

/// One upload.
#[derive(Debug)]
pub struct Upload {
    key: String,
    path: String,
    log: bool,
    length: u64,
    sums: Sums,
}

impl Filter for Upload {
    fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
        self.length = self.length.saturating_add(chunk.len() as u64);
        self.sums.add(&chunk);
        Ok(Vec::new())
    }

    fn finish(self) -> Verdict {
        let (length, sums) = (self.length.to_string(), self.sums.finish());
        if self.log {
            let mut fields = vec![("path", self.path.as_str()), ("bytes", length.as_str())];
            fields.extend(sums.iter().map(|(name, sum)| (*name, sum.as_str())));
            log::info("checksums of an upload", &fields);
        }
        let mut told = vec![format!("bytes {length}")];
        told.extend(sums.iter().map(|(name, sum)| format!("{name} {sum}")));
        if let Err(error) = kv::set(&self.key, told.join("\n").as_bytes(), None) {
            log::warn("cannot keep checksums", &[("error", &format!("{error:?}"))]);
        }
        Verdict::Accept(Vec::new())
    }
}

fn forget(session: Session<'_>, path: &str) {
    if let Err(error) = kv::delete(&key(session, path)) {
        log::warn("cannot forget checksums", &[("error", &format!("{error:?}"))]);
    }
}

/// Forgets what is in a directory, and all whose paths are too long to tell where they are.
fn forget_below(session: Session<'_>, path: &str) {
    for prefix in [key_of(session, &format!("{path}/")), key_of(session, HASHED)] {
        while let Ok(keys) = kv::keys(&prefix, None, KEYS_AT_ONCE) {
            let forgotten = keys.iter().try_for_each(|key| kv::delete(key));
            if let Err(error) = &forgotten {
                log::warn("cannot forget checksums", &[("error", &format!("{error:?}"))]);
            }
            if keys.is_empty() || forgotten.is_err() {
                break;
            }
        }
    }
}

fn key(session: Session<'_>, path: &str) -> String {
    let key = key_of(session, path);
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    key_of(session, &format!("{HASHED}{}", sums::sha256(path.as_bytes())))
}

/// No name of a user has a NUL in it, and every path begins with a slash.
fn key_of(session: Session<'_>, path: &str) -> String {
    format!("{}\0{path}", session.user().unwrap_or_default())
}

/// A path that a client gave, seen from its working directory.
fn resolved(cwd: &str, path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { cwd };
    for step in start.split('/').chain(path.split('/')) {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

waft_plugin_sdk::export!(Checksum: file_filter, content_filter, site_command);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn plugin(values: &[(&str, &str)]) -> Checksum {
        Checksum::new(&Settings::of(values.iter().copied())).unwrap()
    }

    /// Uploads in pieces; false where the plugin did not want to see it.
    fn upload(plugin: &Checksum, session: &TestSession, path: &str, kind: WriteKind) -> bool {
        let session = session.session();
        plugin.on_file(session, &FileOp::Write((path.to_owned(), kind)));
        if plugin.wants(session, Direction::Upload, path, None) == ContentInterest::Skip {
            return false;
        }
        let mut filter = plugin.open(session, Direction::Upload, path);
        filter.push(b"a".to_vec()).unwrap();
        filter.push(b"bc".to_vec()).unwrap();
        assert_eq!(filter.finish(), Verdict::Accept(Vec::new()));
        true
    }

    #[test]
    fn a_client_is_told_the_checksum_of_what_it_uploaded() {
        let plugin = plugin(&[]);
        let session = TestSession::new().user("alice").cwd("/pub");
        let ask = |path: &str| plugin.on_site(session.session(), "SITE CHECKSUM", Some(path));
        assert!(upload(&plugin, &session, "/pub/a.txt", WriteKind::Create));
        let told = Reply::new(213, format!("bytes 3\nsha256 {ABC}"));
        assert_eq!(ask("a.txt"), told);
        assert_eq!(ask("/pub/../pub/./a.txt"), told);
        assert_eq!(ask("b.txt").code, 550);
        assert_eq!(ask(" ").code, 501);
        let bob = TestSession::new().user("bob");
        let asked = plugin.on_site(bob.session(), "SITE CHECKSUM", Some("/pub/a.txt"));
        assert_eq!(asked.code, 550);
    }

    #[test]
    fn what_happens_to_a_file_makes_its_checksum_forgotten() {
        let plugin = plugin(&[]);
        let session = TestSession::new().user("alice");
        let known = || kv::get("alice\0/a").unwrap().is_some();
        let removed = FileOp::Remove("/a".to_owned());
        let renamed = FileOp::Rename(("/b".to_owned(), "/a".to_owned()));
        for op in [removed, renamed] {
            assert!(upload(&plugin, &session, "/a", WriteKind::Replace));
            assert!(known());
            plugin.on_file(session.session(), &op);
            assert!(!known());
        }
        assert!(upload(&plugin, &session, "/a", WriteKind::Replace));
        assert!(!upload(&plugin, &session, "/a", WriteKind::Append));
        assert!(!known());
    }

    #[test]
    fn a_directory_is_renamed_with_the_files_in_it() {
        let plugin = plugin(&[]);
        let session = TestSession::new().user("alice");
        let long = format!("/d/{}", "d/".repeat(2000));
        let inside: Vec<String> = (0..KEYS_AT_ONCE + 1).map(|n| format!("/d/{n}")).collect();
        let all = || inside.iter().map(String::as_str).chain([long.as_str(), "/dx", "/e/a"]);
        assert!(all().all(|path| upload(&plugin, &session, path, WriteKind::Create)));
        plugin.on_file(session.session(), &FileOp::Rename(("/d".to_owned(), "/e".to_owned())));
        let known: Vec<_> = all()
            .filter(|path| kv::get(&key(session.session(), path)).unwrap().is_some())
            .collect();
        assert_eq!(known, ["/dx"]);
    }

    #[test]
    fn files_with_long_paths_are_told_apart() {
        let plugin = plugin(&[]);
        let session = TestSession::new().user("alice");
        let [one, other] = ["a", "b"].map(|end| format!("/{}{end}", "d/".repeat(2000)));
        assert!(upload(&plugin, &session, &one, WriteKind::Create));
        let ask = |path: &str| plugin.on_site(session.session(), "SITE CHECKSUM", Some(path)).code;
        assert_eq!((ask(&one), ask(&other)), (213, 550));
        plugin.on_file(session.session(), &FileOp::Remove(one.clone()));
        assert_eq!(ask(&one), 550);
    }

    #[test]
    fn every_algorithm_is_known() {
        let all: Vec<_> =
            (0..).zip(ALGORITHMS).map(|(n, name)| (format!("algorithms.{n}"), name)).collect();
        let plugin = Checksum::new(&Settings::of(all)).unwrap();
        let session = TestSession::new().user("alice");
        upload(&plugin, &session, "/a", WriteKind::Create);
        let told = plugin.on_site(session.session(), "SITE CHECKSUM", Some("a")).lines;
        assert_eq!(told[1], "crc32 352441c2");
        assert_eq!(told[2], "md5 900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(told[3], "sha1 a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(told[4], format!("sha256 {ABC}"));
        assert!(told[5].starts_with("sha384 cb00753f45a35e8b"));
        assert!(told[6].starts_with("sha512 ddaf35a193617aba"));
    }

    #[test]
    fn mistakes_name_the_nearest() {
        let settings = Settings::of([("algorithms.0", "sha265"), ("algorithms.1", "x")]);
        assert_eq!(
            Checksum::new(&settings).unwrap_err().lines().collect::<Vec<_>>(),
            [
                "algorithms.0: no algorithm, did you mean sha256: sha265",
                "algorithms.1: no algorithm: x"
            ]
        );
    }
}
