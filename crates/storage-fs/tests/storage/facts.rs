use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use waft_core::storage::{ErrorKind, FileKind, Storage};
use waft_proto::time::Timestamp;

use super::support::{Tree, kind, path};

#[tokio::test]
async fn facts_are_what_the_system_tells() {
    let tree = Tree::new();
    fs::create_dir(tree.local("directory")).unwrap();
    tree.put("directory/file", b"12345");
    fs::hard_link(tree.local("directory/file"), tree.local("other")).unwrap();
    fs::set_permissions(tree.local("other"), fs::Permissions::from_mode(0o640)).unwrap();
    let facts = tree.storage.stat(&path("directory/file")).await.unwrap();
    let known = fs::metadata(tree.local("other")).unwrap();
    assert_eq!(facts.kind, FileKind::File);
    assert_eq!(facts.size, 5);
    assert_eq!(facts.mode, Some(0o640));
    assert_eq!(facts.links, 2);
    assert_eq!(facts.unique, Some((known.dev(), known.ino())));
    let modified = facts.modified.unwrap();
    assert_eq!((modified.seconds, i64::from(modified.nanos)), (known.mtime(), known.mtime_nsec()));
    assert_eq!(tree.storage.stat(&path("directory")).await.unwrap().kind, FileKind::Directory);
    assert_eq!(tree.storage.stat(&path("/")).await.unwrap().kind, FileKind::Directory);
    assert_eq!(kind(tree.storage.stat(&path("missing")).await), ErrorKind::NotFound);
    assert_eq!(kind(tree.storage.stat(&path("other/below")).await), ErrorKind::NotADirectory);
}

#[tokio::test]
async fn the_time_of_the_last_change_is_set_to_the_nanosecond_and_no_other_time() {
    let tree = Tree::new();
    tree.put("file", b"");
    let facts = tree.storage.facts().unwrap();
    let accessed = fs::metadata(tree.local("file")).unwrap().atime();
    for modified in [
        Timestamp { seconds: 981_173_106, nanos: 123_456_789 },
        Timestamp { seconds: 0, nanos: 0 },
        Timestamp { seconds: -86_400, nanos: 0 },
        Timestamp { seconds: 4_102_444_800, nanos: 0 },
    ] {
        facts.set_modified(&path("file"), modified).await.unwrap();
        assert_eq!(tree.storage.stat(&path("file")).await.unwrap().modified, Some(modified));
        assert_eq!(fs::metadata(tree.local("file")).unwrap().atime(), accessed);
    }
    let missing = facts.set_modified(&path("missing"), Timestamp::EPOCH).await;
    assert_eq!(kind(missing), ErrorKind::NotFound);
    let created = facts.set_created(&path("file"), Timestamp::EPOCH).await;
    assert_eq!(kind(created), ErrorKind::Unsupported);
}

#[tokio::test]
async fn permission_bits_are_set_and_no_other_bits() {
    let tree = Tree::new();
    tree.put("file", b"");
    fs::create_dir(tree.local("directory")).unwrap();
    let facts = tree.storage.facts().unwrap();
    for (name, mode) in [("file", 0o000), ("file", 0o751), ("directory", 0o700)] {
        facts.set_mode(&path(name), mode).await.unwrap();
        assert_eq!(tree.storage.stat(&path(name)).await.unwrap().mode, Some(mode));
    }
    facts.set_mode(&path("file"), 0o6644).await.unwrap();
    assert_eq!(tree.storage.stat(&path("file")).await.unwrap().mode, Some(0o644));
}

#[tokio::test]
async fn facts_of_what_is_neither_file_nor_directory_are_not_changed() {
    let tree = Tree::new();
    let _socket = std::os::unix::net::UnixListener::bind(tree.local("socket")).unwrap();
    let facts = tree.storage.facts().unwrap();
    assert_eq!(kind(facts.set_mode(&path("socket"), 0o777).await), ErrorKind::Denied);
    let modified = facts.set_modified(&path("socket"), Timestamp::EPOCH).await;
    assert_eq!(kind(modified), ErrorKind::Denied);
    assert_eq!(tree.storage.stat(&path("socket")).await.unwrap().kind, FileKind::Other);
}

#[tokio::test]
async fn free_space_is_told_for_directories() {
    let tree = Tree::new();
    tree.put("file", b"");
    let space = tree.storage.space().unwrap();
    assert!(space.available(&path("/")).await.unwrap() > 0);
    assert_eq!(kind(space.available(&path("file")).await), ErrorKind::NotADirectory);
    assert_eq!(kind(space.available(&path("missing")).await), ErrorKind::NotFound);
}
