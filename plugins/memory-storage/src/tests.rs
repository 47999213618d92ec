use waft_plugin_sdk::testing::{TestSession, advance_clock, fail_kv, meanwhile_kv, set_clock};
use waft_plugin_sdk::{FileKind, Reader, Writer, kv};

use super::*;

fn storage(values: &[(&str, &str)]) -> MemoryStorage {
    MemoryStorage::new(&Settings::of(values.iter().copied())).unwrap()
}

fn octets(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

/// An area, and a user of it.
struct User {
    storage: MemoryStorage,
    session: TestSession,
}

impl User {
    fn of(storage: MemoryStorage, name: &str) -> Self {
        Self { storage, session: TestSession::new().user(name) }
    }

    fn session(&self) -> Session<'_> {
        self.session.session()
    }

    fn write(
        &self,
        path: &str,
        mode: WriteMode,
        offset: u64,
        octets: &[u8],
    ) -> Result<FileStat, ErrorCode> {
        let open = self.storage.open_write(self.session(), path, mode, offset);
        let written = open.and_then(|mut writer| {
            octets.chunks(10_000).try_for_each(|chunk| writer.write(chunk.to_vec()))?;
            writer.finish()
        });
        written.map_err(|error| error.code)
    }

    fn put(&self, path: &str, octets: &[u8]) -> Result<FileStat, ErrorCode> {
        self.write(path, WriteMode::Truncate, 0, octets)
    }

    fn get(&self, path: &str, offset: u64) -> Result<Vec<u8>, ErrorCode> {
        let open = self.storage.open_read(self.session(), path, offset);
        let mut reader = open.map_err(|error| error.code)?;
        let mut octets = Vec::new();
        loop {
            match reader.read(7_000).map_err(|error| error.code)? {
                piece if piece.is_empty() => return Ok(octets),
                piece => octets.extend(piece),
            }
        }
    }

    fn rename(&self, source: &str, target: &str, replace: bool) -> Result<(), ErrorCode> {
        let renamed = self.storage.rename(self.session(), source, target, replace);
        renamed.map_err(|error| error.code)
    }

    fn make(&self, path: &str) -> Result<(), ErrorCode> {
        self.storage.make_dir(self.session(), path).map_err(|error| error.code)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.storage.list_dir(self.session(), path, cursor.as_deref(), 2).unwrap();
            names.extend(page.entries.into_iter().map(|(name, _)| name));
            cursor = page.next;
            if cursor.is_none() {
                return names;
            }
        }
    }
}

fn alice(values: &[(&str, &str)]) -> User {
    User::of(storage(values), "alice")
}

/// How many pieces and entries are kept.
fn kept() -> [usize; 2] {
    ["piece:", tree::ENTRIES].map(|prefix| kv::keys(prefix, None, u32::MAX).unwrap().len())
}

#[test]
fn what_was_put_is_found_from_any_offset() {
    let alice = alice(&[]);
    for size in [0, 1, pieces::PIECE - 1, pieces::PIECE, pieces::PIECE + 1, 200_000] {
        let content = octets(size);
        let stat = alice.put("/a b.bin", &content).unwrap();
        assert_eq!((stat.kind, stat.size), (FileKind::File, size as u64));
        assert_eq!(alice.get("/a b.bin", 0).unwrap(), content);
        assert_eq!(kept(), [size.div_ceil(pieces::PIECE), 1]);
    }
    assert_eq!(alice.get("/a b.bin", 65_537).unwrap(), &octets(200_000)[65_537..]);
    assert_eq!(alice.get("/a b.bin", 300_000).unwrap(), b"");
    alice.storage.remove_file(alice.session(), "/a b.bin").unwrap();
    assert_eq!((kept(), alice.get("/a b.bin", 0)), ([0, 0], Err(ErrorCode::NotFound)));
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_and_takes_nothing_away() {
    let alice = alice(&[]);
    alice.put("/a", b"before").unwrap();
    let before = kept();
    for mode in [WriteMode::Truncate, WriteMode::Append] {
        let mut writer = alice.storage.open_write(alice.session(), "/a", mode, 0).unwrap();
        writer.write(vec![0; 200_000]).unwrap();
        assert_eq!(alice.get("/a", 0).unwrap(), b"before");
        drop(writer);
        assert_eq!(kept(), before);
    }
}

#[test]
fn uploads_go_on_where_they_are_told_to() {
    let alice = alice(&[]);
    let content = octets(150_000);
    for offset in [0, 1, pieces::PIECE, pieces::PIECE + 1, 100_000, 150_000] {
        alice.put("/a", &content).unwrap();
        alice.write("/a", WriteMode::AtOffset, offset as u64, b"tail").unwrap();
        let expected = [&content[..offset], b"tail"].concat();
        assert_eq!(alice.get("/a", 0).unwrap(), expected);
        alice.write("/a", WriteMode::Append, 0, &content).unwrap();
        assert_eq!(alice.get("/a", 0).unwrap(), [expected, content.clone()].concat());
    }
    alice.write("/new", WriteMode::Append, 0, b"new").unwrap();
    assert_eq!(alice.get("/new", 0).unwrap(), b"new");
    assert_eq!(alice.write("/new", WriteMode::CreateNew, 0, b""), Err(ErrorCode::Exists));
}

#[test]
fn nothing_goes_on_from_where_there_is_nothing() {
    let alice = alice(&[]);
    assert_eq!(alice.write("/a", WriteMode::AtOffset, 1, b"1"), Err(ErrorCode::NotFound));
    alice.write("/a", WriteMode::AtOffset, 0, b"1").unwrap();
    assert_eq!(alice.write("/a", WriteMode::AtOffset, 2, b"3"), Err(ErrorCode::Busy));
    assert_eq!((alice.get("/a", 0).unwrap(), kept()), (b"1".to_vec(), [1, 1]));
}

#[test]
fn who_goes_on_from_a_file_that_was_replaced_meanwhile_is_refused() {
    let alice = alice(&[]);
    alice.put("/a", b"one").unwrap();
    let mut writer = alice.storage.open_write(alice.session(), "/a", WriteMode::Append, 0).unwrap();
    writer.write(b"two".to_vec()).unwrap();
    alice.put("/a", b"other").unwrap();
    assert_eq!(writer.finish().unwrap_err().code, ErrorCode::Busy);
    assert_eq!(alice.get("/a", 0).unwrap(), b"other");
    let writer = alice.storage.open_write(alice.session(), "/b", WriteMode::CreateNew, 0).unwrap();
    alice.put("/b", b"first").unwrap();
    assert_eq!(writer.finish().unwrap_err().code, ErrorCode::Exists);
    assert_eq!(kept(), [2, 2]);
}

/// Has another instance do something just before an entry changes.
fn meanwhile<T>(act: impl FnOnce(&User) -> T + 'static) {
    meanwhile_kv(tree::ENTRIES, move || {
        act(&alice(&[]));
    });
}

#[test]
fn of_two_uploads_that_finish_together_one_is_refused_and_leaves_nothing() {
    let alice = alice(&[]);
    let begin = |path: &str, mode| {
        let mut writer = alice.storage.open_write(alice.session(), path, mode, 0).unwrap();
        writer.write(b"loses".to_vec()).unwrap();
        writer
    };
    alice.put("/a", b"one").unwrap();
    let writer = begin("/a", WriteMode::Append);
    meanwhile(|other| other.write("/a", WriteMode::Append, 0, b"two").unwrap());
    assert_eq!(writer.finish().unwrap_err().code, ErrorCode::Busy);
    assert_eq!((alice.get("/a", 0).unwrap(), kept()), (b"onetwo".to_vec(), [1, 1]));
    let writer = begin("/b", WriteMode::CreateNew);
    meanwhile(|other| other.write("/b", WriteMode::CreateNew, 0, b"wins").unwrap());
    assert_eq!(writer.finish().unwrap_err().code, ErrorCode::Exists);
    assert_eq!((alice.get("/b", 0).unwrap(), kept()), (b"wins".to_vec(), [2, 2]));
}

#[test]
fn of_two_that_replace_a_file_together_the_later_stays_and_nothing_else() {
    let alice = alice(&[]);
    alice.put("/a", b"before").unwrap();
    meanwhile(|other| other.put("/a", b"first").unwrap());
    alice.put("/a", b"second").unwrap();
    assert_eq!((alice.get("/a", 0).unwrap(), kept()), (b"second".to_vec(), [1, 1]));
}

#[test]
fn what_is_replaced_meanwhile_is_changed_and_removed_as_it_is_then() {
    let alice = alice(&[]);
    alice.put("/a", b"old").unwrap();
    meanwhile(|other| other.put("/a", b"new").unwrap());
    alice.storage.set_modified(alice.session(), "/a", 5).unwrap();
    assert_eq!(alice.get("/a", 0).unwrap(), b"new");
    assert_eq!(alice.storage.stat(alice.session(), "/a").unwrap().modified, Some(5));
    meanwhile(|other| other.put("/a", b"newer").unwrap());
    alice.storage.remove_file(alice.session(), "/a").unwrap();
    assert_eq!(kept(), [0, 0]);
}

#[test]
fn what_is_renamed_while_others_change_it_is_never_half_a_file() {
    let alice = alice(&[]);
    for (path, content) in [("/a", b"a"), ("/b", b"b")] {
        alice.put(path, content).unwrap();
    }
    // The first change is that of the new name.
    meanwhile(|_| meanwhile(|other| other.put("/a", b"other").unwrap()));
    assert_eq!(alice.rename("/a", "/b", true), Err(ErrorCode::Busy));
    assert_eq!(alice.get("/a", 0).unwrap(), b"other");
    assert_eq!((alice.get("/b", 0).unwrap(), kept()), (b"b".to_vec(), [2, 2]));
    meanwhile(|other| other.put("/b", b"third").unwrap());
    alice.rename("/a", "/b", true).unwrap();
    assert_eq!((alice.get("/b", 0).unwrap(), kept()), (b"other".to_vec(), [1, 1]));
    meanwhile(|other| other.rename("/b", "/c", true).unwrap());
    assert_eq!(alice.rename("/b", "/c", true), Err(ErrorCode::Busy));
    assert_eq!((alice.get("/c", 0).unwrap(), kept()), (b"other".to_vec(), [1, 1]));
}

#[test]
fn a_file_stays_whose_directory_is_renamed_while_another_one_comes() {
    let alice = alice(&[]);
    alice.make("/d").unwrap();
    alice.put("/d/a", b"before").unwrap();
    let writer = alice.storage.open_write(alice.session(), "/d/a", WriteMode::Truncate, 0).unwrap();
    alice.rename("/d", "/e", false).unwrap();
    assert_eq!(writer.finish().unwrap_err().code, ErrorCode::NotFound);
    assert_eq!((alice.get("/e/a", 0).unwrap(), kept()), (b"before".to_vec(), [1, 2]));
}

#[test]
fn directories_hold_what_was_made_in_them_and_take_it_along() {
    let alice = alice(&[]);
    assert_eq!(alice.put("/d/a", b"1"), Err(ErrorCode::NotFound));
    for path in ["/d", "/d/e", "/f"] {
        alice.make(path).unwrap();
    }
    assert_eq!(alice.make("/d"), Err(ErrorCode::Exists));
    for path in ["/d/a", "/d/b", "/d/e/c"] {
        alice.put(path, path.as_bytes()).unwrap();
    }
    assert_eq!((alice.names("/d"), alice.names("/")), (names("a b e"), names("d f")));
    let remove = |path: &str| alice.storage.remove_dir(alice.session(), path);
    assert_eq!(remove("/d").unwrap_err().code, ErrorCode::NotEmpty);
    assert_eq!(remove("/d/a").unwrap_err().code, ErrorCode::NotADirectory);
    assert_eq!(remove("/").unwrap_err().code, ErrorCode::Denied);
    alice.rename("/d", "/f/g", false).unwrap();
    assert_eq!((alice.names("/"), alice.names("/f/g")), (names("f"), names("a b e")));
    assert_eq!(alice.get("/f/g/e/c", 0).unwrap(), b"/d/e/c");
    remove("/f").unwrap_err();
    for path in ["/f/g/a", "/f/g/b", "/f/g/e/c"] {
        alice.storage.remove_file(alice.session(), path).unwrap();
    }
    for path in ["/f/g/e", "/f/g", "/f"] {
        remove(path).unwrap();
    }
    assert_eq!(kept(), [0, 0]);
}

fn names(names: &str) -> Vec<String> {
    names.split(' ').map(str::to_owned).collect()
}

#[test]
fn nothing_is_renamed_onto_what_it_must_not_replace() {
    let alice = alice(&[]);
    alice.make("/d").unwrap();
    alice.make("/d/e").unwrap();
    alice.put("/a", b"a").unwrap();
    alice.put("/b", b"b").unwrap();
    assert_eq!(alice.rename("/a", "/b", false), Err(ErrorCode::Exists));
    assert_eq!(alice.rename("/a", "/d", true), Err(ErrorCode::Exists));
    assert_eq!(alice.rename("/d", "/a", true), Err(ErrorCode::Exists));
    assert_eq!(alice.rename("/d", "/d/e/f", true), Err(ErrorCode::Denied));
    assert_eq!(alice.rename("/c", "/e", true), Err(ErrorCode::NotFound));
    assert_eq!(alice.rename("/a", "/x/a", true), Err(ErrorCode::NotFound));
    alice.rename("/d", "/dd", false).unwrap();
    alice.rename("/a", "/a", true).unwrap();
    alice.rename("/a", "/b", true).unwrap();
    assert_eq!((alice.get("/b", 0).unwrap(), kept()[0]), (b"a".to_vec(), 1));
}

#[test]
fn files_expire_with_all_that_they_hold() {
    set_clock(1_000_000);
    let alice = alice(&[("expire", "1h")]);
    alice.make("/d").unwrap();
    let mut slow =
        alice.storage.open_write(alice.session(), "/slow", WriteMode::Truncate, 0).unwrap();
    slow.write(octets(100_000)).unwrap();
    alice.put("/d/a", &octets(100_000)).unwrap();
    advance_clock(Duration::from_secs(3599));
    alice.storage.set_modified(alice.session(), "/d/a", 5).unwrap();
    alice.rename("/d/a", "/d/b", false).unwrap();
    assert_eq!(alice.get("/d/b", 0).unwrap().len(), 100_000);
    advance_clock(Duration::from_secs(1));
    assert_eq!(alice.get("/d/b", 0), Err(ErrorCode::NotFound));
    assert_eq!(slow.finish().unwrap_err().code, ErrorCode::Io);
    advance_clock(Duration::from_secs(1));
    assert_eq!((kept(), alice.names("/")), ([0, 1], names("d")));
}

#[test]
fn what_has_expired_stands_in_nobodys_way() {
    set_clock(1_000_000);
    let alice = alice(&[("expire", "1h")]);
    alice.make("/d").unwrap();
    alice.put("/d/a", b"1").unwrap();
    alice.put("/b", b"1").unwrap();
    let refused = alice.storage.remove_dir(alice.session(), "/d").unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotEmpty);
    advance_clock(Duration::from_secs(3600));
    alice.storage.remove_dir(alice.session(), "/d").unwrap();
    alice.write("/b", WriteMode::CreateNew, 0, b"2").unwrap();
    assert_eq!(alice.get("/b", 0).unwrap(), b"2");
    advance_clock(Duration::from_secs(3601));
    assert_eq!(kept(), [0, 1]);
    let refusals = Cell::new(0);
    let full_once = || match refusals.replace(1) {
        0 => Err(kv::Error::Quota),
        _ => Ok(()),
    };
    assert_eq!((tree::with_room(full_once), kept()), (Ok(()), [0, 0]));
}

#[test]
fn quotas_are_kept_for_all_for_a_user_and_for_a_file() {
    let values = [("quota", "100"), ("user_quota", "60"), ("max_file", "50")];
    let (alice, bob) = (alice(&values), User::of(storage(&values), "bob b"));
    let left = |user: &User| user.storage.free_space(user.session()).unwrap();
    assert_eq!(alice.storage.abilities() & Abilities::FREE_SPACE, Abilities::FREE_SPACE);
    assert_eq!(alice.put("/a", &[0; 51]), Err(ErrorCode::Quota));
    alice.put("/a", &[0; 50]).unwrap();
    assert_eq!((left(&alice), left(&bob)), (Some(10), Some(50)));
    assert_eq!(alice.put("/b", &[0; 11]), Err(ErrorCode::Quota));
    // What is replaced does not count.
    alice.put("/a", &[0; 45]).unwrap();
    bob.put("/c", &[0; 50]).unwrap();
    assert_eq!((left(&alice), left(&bob)), (Some(5), Some(5)));
    assert_eq!(bob.write("/c", WriteMode::Append, 0, b"1"), Err(ErrorCode::Quota));
    assert_eq!(kept()[0], 2);
    let unbounded = storage(&[]);
    assert_eq!(unbounded.abilities() & Abilities::FREE_SPACE, Abilities::empty());
}

#[test]
fn a_store_that_is_full_is_no_space() {
    let alice = alice(&[]);
    let mut writer =
        alice.storage.open_write(alice.session(), "/a", WriteMode::Truncate, 0).unwrap();
    fail_kv(Some(kv::Error::Quota));
    assert_eq!(writer.write(octets(70_000)).unwrap_err().code, ErrorCode::NoSpace);
    fail_kv(None);
    drop(writer);
    assert_eq!(kept(), [0, 0]);
}

#[test]
fn names_that_are_too_long_are_refused() {
    let alice = alice(&[]);
    alice.put(&format!("/{}", "n".repeat(255)), b"").unwrap();
    assert_eq!(alice.put(&format!("/{}", "n".repeat(256)), b""), Err(ErrorCode::BadName));
}

#[test]
fn an_upload_into_a_directory_that_goes_meanwhile_is_refused() {
    let alice = alice(&[]);
    alice.make("/d").unwrap();
    let writer = alice.storage.open_write(alice.session(), "/d/a", WriteMode::Truncate, 0).unwrap();
    alice.storage.remove_dir(alice.session(), "/d").unwrap();
    assert_eq!(writer.finish().unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(kept(), [0, 0]);
}

#[test]
fn directories_of_the_settings_are_there_and_stay() {
    let values = [("directories.0", "/in/deep/"), ("directories.1", "/out")];
    let alice = alice(&values);
    alice.put("/in/deep/a", b"1").unwrap();
    let again = User::of(storage(&values), "alice");
    assert_eq!((again.names("/"), again.names("/in/deep")), (names("in out"), names("a")));
    for path in ["/in", "/in/deep", "/out"] {
        let refused = alice.storage.remove_dir(alice.session(), path).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Denied);
        assert_eq!(alice.rename(path, "/other", false), Err(ErrorCode::Denied));
    }
    alice.make("/i").unwrap();
    alice.storage.remove_dir(alice.session(), "/i").unwrap();
}

#[test]
fn times_are_set_of_files() {
    let alice = alice(&[]);
    alice.put("/a", b"1").unwrap();
    alice.make("/d").unwrap();
    alice.storage.set_modified(alice.session(), "/a", 1_700_000_000_000).unwrap();
    let stat = alice.storage.stat(alice.session(), "/a").unwrap();
    assert_eq!(stat.modified, Some(1_700_000_000_000));
    let refused = alice.storage.set_modified(alice.session(), "/d", 1).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unsupported);
}

#[test]
fn mistakes_are_told() {
    let wrong = [("expire", "10ms"), ("quota", "much"), ("ttl", "1h"), ("directories", "in/../x")];
    let wrong = Settings::of(wrong);
    assert_eq!(
        MemoryStorage::new(&wrong).unwrap_err(),
        "expire: files live for a second at least\n\
         quota: a size such as 64KiB or 10MB is wanted, not: much\n\
         directories: a path such as /in is wanted, not: in/../x\n\
         unknown key: ttl"
    );
}
