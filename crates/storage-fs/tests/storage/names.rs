use std::os::unix::fs::PermissionsExt;

use waft_core::storage::{ErrorKind, Replace, Storage, WriteMode};

use super::support::{Tree, bytes_path, kind, path};

const HIDDEN: &str = ".waft-0123456789abcdef.tmp";

#[tokio::test]
async fn any_name_that_the_system_can_hold_makes_the_round_trip() {
    let tree = Tree::new();
    let long = [b'n'; 255];
    let names: [&[u8]; 9] = [
        b"plain",
        b" leading and trailing ",
        b"-rf",
        b"\xff\xfe invalid \x80",
        "Grüße 你好".as_bytes(),
        b"tab\tbell\x07escape\x1b[31m",
        b"*?[a-z]{x,y}$(id)\"'\\",
        b"...",
        &long,
    ];
    for name in names {
        let path = bytes_path(name);
        let writer = tree.storage.open_write(&path, WriteMode::CreateNew).await.unwrap();
        writer.finish().await.unwrap();
        tree.storage.stat(&path).await.unwrap();
        tree.storage.open_read(&path, 0).await.unwrap();
    }
    let mut expected: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
    expected.sort();
    let listed: Vec<_> = tree.list("/").await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed, expected);
    for name in names {
        tree.storage.remove_file(&bytes_path(name)).await.unwrap();
    }
    assert!(tree.names().is_empty());
}

#[tokio::test]
async fn names_that_are_too_long_are_bad_names() {
    let tree = Tree::new();
    let name = "n".repeat(256);
    assert_eq!(kind(tree.upload(&name, WriteMode::Replace, b"x").await), ErrorKind::BadName);
    assert_eq!(kind(tree.storage.make_directory(&path(&name)).await), ErrorKind::BadName);
    let deep = "d/".repeat(3000);
    assert_eq!(kind(tree.storage.stat(&path(&deep)).await), ErrorKind::BadName);
    assert!(tree.names().is_empty());
}

#[tokio::test]
async fn the_names_of_incomplete_uploads_are_out_of_reach() {
    let tree = Tree::new();
    tree.put(HIDDEN, b"half of it");
    tree.put("file", b"");
    let (hidden, storage) = (path(HIDDEN), &tree.storage);
    assert_eq!(kind(storage.stat(&hidden).await), ErrorKind::BadName);
    assert_eq!(kind(storage.open_read(&hidden, 0).await), ErrorKind::NotFound);
    assert_eq!(kind(storage.open_write(&hidden, WriteMode::Append).await), ErrorKind::BadName);
    assert_eq!(kind(storage.check_write(&hidden, WriteMode::Append).await), ErrorKind::BadName);
    assert_eq!(kind(storage.resume_offset(&hidden).await), ErrorKind::BadName);
    assert_eq!(kind(storage.remove_file(&hidden).await), ErrorKind::BadName);
    assert_eq!(kind(storage.make_directory(&path(".waft-d.tmp")).await), ErrorKind::BadName);
    assert_eq!(kind(storage.make_directory(&path(".waft-d.tmp/x")).await), ErrorKind::BadName);
    for (from, to) in [(HIDDEN, "other"), ("file", HIDDEN)] {
        let renamed = storage.rename(&path(from), &path(to), Replace::File).await;
        assert_eq!(kind(renamed), ErrorKind::BadName);
    }
    let facts = storage.facts().unwrap();
    assert_eq!(kind(facts.set_mode(&hidden, 0o777).await), ErrorKind::NotFound);
    assert_eq!(tree.get(HIDDEN), b"half of it");
    assert_eq!(std::fs::metadata(tree.local(HIDDEN)).unwrap().permissions().mode() & 0o111, 0);
}

#[tokio::test]
async fn names_that_only_resemble_hidden_ones_are_ordinary() {
    let tree = Tree::new();
    for name in [".waft-x.tmp.bak", "waft-x.tmp", ".waft-x", ".waf-x.tmp"] {
        tree.upload(name, WriteMode::CreateNew, b"x").await.unwrap();
    }
    assert_eq!(tree.list("/").await.unwrap().len(), 4);
}
