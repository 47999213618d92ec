//! A storage in the memory of one instance, so that tests allow no second one, with files that are
//! made up as well: `/made/N` has N octets ([`octet`]), and what is written to `/sink/NAME` must be
//! such octets and is not kept.
//!
//! | setting | what it does |
//! |---|---|
//! | `abilities = ["append", ...]` | has these abilities, none by default |
//! | `[fail]` `read = "no-space"` | answers a call with this error; `trap` breaks in it |
//! | `listing = "endless"` | lists what no listing may: see [`Vault::list_dir`] |
//! | `too_much = true` | reads more than it was asked for |
//! | `unchecked = true` | does not look at what is written to `/sink` |

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use waft_plugin_sdk::{
    Abilities, ErrorCode, FileStat, Page, Plugin, Reader, Session, Settings, Storage, StorageError,
    WriteMode, Writer,
};

/// Error codes by their names.
const CODES: [(&str, ErrorCode); 12] = [
    ("not-found", ErrorCode::NotFound),
    ("denied", ErrorCode::Denied),
    ("exists", ErrorCode::Exists),
    ("not-empty", ErrorCode::NotEmpty),
    ("not-a-directory", ErrorCode::NotADirectory),
    ("is-a-directory", ErrorCode::IsADirectory),
    ("no-space", ErrorCode::NoSpace),
    ("quota", ErrorCode::Quota),
    ("unsupported", ErrorCode::Unsupported),
    ("bad-name", ErrorCode::BadName),
    ("busy", ErrorCode::Busy),
    ("io", ErrorCode::Io),
];

/// Abilities by their names.
const ABILITIES: [(&str, Abilities); 7] = [
    ("append", Abilities::APPEND),
    ("write-at-offset", Abilities::WRITE_AT_OFFSET),
    ("rename", Abilities::RENAME),
    ("make-dir", Abilities::MAKE_DIR),
    ("remove", Abilities::REMOVE),
    ("set-modified", Abilities::SET_MODIFIED),
    ("free-space", Abilities::FREE_SPACE),
];

/// Octets that are said to be free.
const FREE: u64 = 1 << 30;

/// Made-up files repeat after so many octets.
const PERIOD: u64 = 251;

/// Octets that a made-up file gives at a time, and that are checked at a time.
const PIECE: usize = 256 * 1024;

/// The octet of a made-up file at that place.
pub fn octet(place: u64) -> u8 {
    (place % PERIOD) as u8
}

/// What is there, by path: the contents of files, nothing for directories, and their times.
type Tree = BTreeMap<String, (Option<Vec<u8>>, u64)>;

/// The storage.
#[derive(Debug)]
pub struct Vault(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    tree: RefCell<Tree>,
    abilities: Abilities,
    fail: Vec<(String, String)>,
    listing: Option<String>,
    too_much: bool,
    unchecked: bool,
    /// A made-up file's beginning, long enough to have all its pieces in it.
    pattern: Vec<u8>,
}

impl Plugin for Vault {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let named = root.texts("abilities");
        let chosen = ABILITIES.iter().filter(|(name, _)| named.iter().any(|n| n == name));
        let directories = ["/", "/made", "/sink"].map(|path| (path.to_owned(), (None, 0)));
        let inner = Inner {
            tree: RefCell::new(Tree::from(directories)),
            abilities: chosen.fold(Abilities::empty(), |all, (_, one)| all | *one),
            fail: root.entries("fail"),
            listing: root.text("listing"),
            too_much: root.text("too_much").is_some_and(|text| text == "true"),
            unchecked: root.text("unchecked").is_some_and(|text| text == "true"),
            pattern: (0..PIECE as u64 + PERIOD).map(octet).collect(),
        };
        settings.finish().map(|()| Self(Rc::new(inner)))
    }
}

impl Inner {
    #[expect(clippy::panic, reason = "this is what the guest is for")]
    fn fail_in(&self, place: &str) -> Result<(), StorageError> {
        let Some((_, how)) = self.fail.iter().find(|(name, _)| name == place) else {
            return Ok(());
        };
        match CODES.iter().find(|(name, _)| name == how) {
            Some((_, code)) => Err(StorageError::new(*code, "as told,\r\nwith a line end")),
            None => panic!("broken as told"),
        }
    }

    /// The octets of a made-up file from that place on, as many as there are in one piece.
    fn made(&self, from: u64) -> &[u8] {
        self.pattern.get((from % PERIOD) as usize..).unwrap_or_default()
    }

    fn stat(&self, path: &str) -> Result<FileStat, StorageError> {
        if let Some(size) = made(path) {
            return Ok(FileStat::file(size));
        }
        match self.tree.borrow().get(path) {
            Some((Some(content), time)) => {
                Ok(FileStat { modified: Some(*time), ..FileStat::file(content.len() as u64) })
            }
            Some((None, _)) => Ok(FileStat::directory()),
            None => Err(ErrorCode::NotFound.into()),
        }
    }
}

impl Storage for Vault {
    type Reader = Reading;
    type Writer = Writing;

    fn abilities(&self) -> Abilities {
        self.0.abilities
    }

    fn stat(&self, _: Session<'_>, path: &str) -> Result<FileStat, StorageError> {
        self.0.fail_in("stat")?;
        self.0.stat(path)
    }

    /// One entry a page. With `listing`: `endless` never ends, `stuck` gives one cursor again and
    /// again, `slash` and `line-end` have such names, `large` gives more than was asked for.
    fn list_dir(
        &self,
        _: Session<'_>,
        path: &str,
        cursor: Option<&str>,
        max: u32,
    ) -> Result<Page, StorageError> {
        self.0.fail_in("list")?;
        let file = || FileStat::file(1);
        let number: u64 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let page = |names: Vec<String>, next| {
            let entries = names.into_iter().map(|name| (name, file())).collect();
            Ok(Page { entries, next })
        };
        match self.0.listing.as_deref() {
            Some("endless") => {
                let names = (0..max).map(|n| format!("{number}-{n}")).collect();
                page(names, Some((number + 1).to_string()))
            }
            Some("stuck") => page(Vec::new(), Some("here".to_owned())),
            Some("slash") => page(vec!["a/b".to_owned()], None),
            Some("line-end") => page(vec!["a\r\nb".to_owned()], None),
            Some("large") => page((0..=max).map(|n| n.to_string()).collect(), None),
            _ => self.page_of(path, cursor),
        }
    }

    fn open_read(&self, _: Session<'_>, path: &str, from: u64) -> Result<Reading, StorageError> {
        self.0.fail_in("open-read")?;
        let content = match (made(path), self.0.tree.borrow().get(path)) {
            (Some(size), _) => Content::Made(size),
            (None, Some((Some(content), _))) => Content::Kept(content.clone()),
            (None, Some((None, _))) => return Err(ErrorCode::IsADirectory.into()),
            (None, None) => return Err(ErrorCode::NotFound.into()),
        };
        Ok(Reading { vault: Rc::clone(&self.0), content, at: from })
    }

    fn open_write(
        &self,
        _: Session<'_>,
        path: &str,
        mode: WriteMode,
        offset: u64,
    ) -> Result<Writing, StorageError> {
        self.0.fail_in("open-write")?;
        let old = self.0.tree.borrow().get(path).and_then(|(content, _)| content.clone());
        let content = match mode {
            WriteMode::CreateNew if old.is_some() => return Err(ErrorCode::Exists.into()),
            WriteMode::CreateNew | WriteMode::Truncate => Vec::new(),
            WriteMode::Append => old.unwrap_or_default(),
            WriteMode::AtOffset => {
                let mut content = old.unwrap_or_default();
                content.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
                content
            }
        };
        let is_sink = path.starts_with("/sink/");
        Ok(Writing {
            vault: Rc::clone(&self.0),
            path: path.to_owned(),
            content,
            is_sink,
            length: 0,
        })
    }

    fn make_dir(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        self.0.fail_in("make-dir")?;
        let mut tree = self.0.tree.borrow_mut();
        if tree.contains_key(path) {
            return Err(ErrorCode::Exists.into());
        }
        tree.insert(path.to_owned(), (None, 0));
        Ok(())
    }

    fn remove_dir(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        self.0.fail_in("remove-dir")?;
        let beneath = format!("{path}/");
        if self.0.tree.borrow().keys().any(|known| known.starts_with(&beneath)) {
            return Err(ErrorCode::NotEmpty.into());
        }
        self.0.tree.borrow_mut().remove(path).map(drop).ok_or(ErrorCode::NotFound.into())
    }

    fn remove_file(&self, _: Session<'_>, path: &str) -> Result<(), StorageError> {
        self.0.fail_in("remove-file")?;
        self.0.tree.borrow_mut().remove(path).map(drop).ok_or(ErrorCode::NotFound.into())
    }

    fn rename(
        &self,
        _: Session<'_>,
        source: &str,
        target: &str,
        replace: bool,
    ) -> Result<(), StorageError> {
        self.0.fail_in("rename")?;
        let mut tree = self.0.tree.borrow_mut();
        if !replace && tree.contains_key(target) {
            return Err(ErrorCode::Exists.into());
        }
        let moved = tree.remove(source).ok_or(ErrorCode::NotFound)?;
        tree.insert(target.to_owned(), moved);
        Ok(())
    }

    fn set_modified(
        &self,
        _: Session<'_>,
        path: &str,
        modified_ms: u64,
    ) -> Result<(), StorageError> {
        self.0.fail_in("set-modified")?;
        match self.0.tree.borrow_mut().get_mut(path) {
            Some((_, time)) => {
                *time = modified_ms;
                Ok(())
            }
            None => Err(ErrorCode::NotFound.into()),
        }
    }

    fn free_space(&self, _: Session<'_>) -> Result<Option<u64>, StorageError> {
        self.0.fail_in("free-space")?;
        Ok(Some(FREE))
    }
}

impl Vault {
    fn page_of(&self, path: &str, cursor: Option<&str>) -> Result<Page, StorageError> {
        let tree = self.0.tree.borrow();
        match tree.get(path) {
            Some((None, _)) => {}
            Some(_) => return Err(ErrorCode::NotADirectory.into()),
            None => return Err(ErrorCode::NotFound.into()),
        }
        let above = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let mut names = tree.keys().filter_map(|known| known.strip_prefix(&above)).filter(|name| {
            !name.is_empty() && !name.contains('/') && cursor.is_none_or(|cursor| *name > cursor)
        });
        let Some(name) = names.next() else { return Ok(Page { entries: Vec::new(), next: None }) };
        let stat = self.0.stat(&format!("{above}{name}"))?;
        let next = names.next().map(|_| name.to_owned());
        Ok(Page { entries: vec![(name.to_owned(), stat)], next })
    }
}

fn made(path: &str) -> Option<u64> {
    path.strip_prefix("/made/")?.parse().ok()
}

/// A file that is being read.
#[derive(Debug)]
pub struct Reading {
    vault: Rc<Inner>,
    content: Content,
    at: u64,
}

#[derive(Debug)]
enum Content {
    Made(u64),
    Kept(Vec<u8>),
}

impl Reader for Reading {
    fn read(&mut self, max: u32) -> Result<Vec<u8>, StorageError> {
        self.vault.fail_in("read")?;
        if self.vault.too_much {
            return Ok(vec![0; max as usize + 1]);
        }
        let end = match &self.content {
            Content::Made(size) => *size,
            Content::Kept(content) => content.len() as u64,
        };
        let until = end.min(self.at + u64::from(max).min(PIECE as u64));
        let piece = match &self.content {
            Content::Made(_) => {
                let octets = self.vault.made(self.at);
                octets.get(..(until - self.at) as usize).unwrap_or_default().to_vec()
            }
            Content::Kept(content) => {
                content.get(self.at as usize..until as usize).unwrap_or_default().to_vec()
            }
        };
        self.at = until;
        Ok(piece)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct Writing {
    vault: Rc<Inner>,
    path: String,
    content: Vec<u8>,
    is_sink: bool,
    length: u64,
}

impl Writer for Writing {
    fn write(&mut self, data: Vec<u8>) -> Result<(), StorageError> {
        self.vault.fail_in("write")?;
        if !self.is_sink {
            self.content.extend(data);
            return Ok(());
        }
        if self.vault.unchecked {
            self.length += data.len() as u64;
            return Ok(());
        }
        for piece in data.chunks(PIECE) {
            if !self.vault.made(self.length).starts_with(piece) {
                return Err(StorageError::new(ErrorCode::Io, "not the octets that should be here"));
            }
            self.length += piece.len() as u64;
        }
        Ok(())
    }

    fn finish(self) -> Result<FileStat, StorageError> {
        self.vault.fail_in("finish")?;
        if self.is_sink {
            return Ok(FileStat::file(self.length));
        }
        let stat = FileStat::file(self.content.len() as u64);
        self.vault.tree.borrow_mut().insert(self.path, (Some(self.content), 0));
        Ok(stat)
    }
}

waft_plugin_sdk::export!(Vault: storage);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn what_is_finished_is_there_and_what_is_dropped_is_not() {
        let vault = Vault::new(&Settings::of(Vec::<(String, String)>::new())).unwrap();
        let session = TestSession::new();
        let open = || {
            let session = session.session();
            let mut writer = vault.open_write(session, "/a", WriteMode::Truncate, 0).unwrap();
            writer.write(b"abc".to_vec()).unwrap();
            writer
        };
        drop(open());
        assert!(vault.stat(session.session(), "/a").is_err());
        open().finish().unwrap();
        assert_eq!(vault.stat(session.session(), "/a").unwrap().size, 3);
        let mut reader = vault.open_read(session.session(), "/a", 1).unwrap();
        assert_eq!(reader.read(1).unwrap(), b"b");
    }
}
