use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{CWD, Mode};
use waft_core::storage::{ErrorKind, Storage};
use waft_storage_fs::{LocalStorage, Options};

use super::support::{Tree, kind, path};

#[tokio::test]
async fn a_file_is_read_from_any_offset_up_to_its_end() {
    let tree = Tree::new();
    let contents: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
    tree.put("file", &contents);
    for offset in [0, 1, 4999, 19_999, 20_000] {
        assert_eq!(tree.download("file", offset).await.unwrap(), contents[offset as usize..]);
        let reader = tree.storage.open_read(&path("file"), offset).await.unwrap();
        assert_eq!(reader.size(), Some(20_000 - offset));
    }
    assert_eq!(kind(tree.download("file", 20_001).await), ErrorKind::BadOffset);
}

#[tokio::test]
async fn a_buffer_is_filled_up_to_its_capacity() {
    let tree = Tree::new();
    tree.put("file", [7; 300]);
    let mut reader = tree.storage.open_read(&path("file"), 0).await.unwrap();
    let buffer = reader.read(Vec::with_capacity(100)).await.unwrap();
    assert_eq!(buffer, [7; 100]);
    assert_eq!(reader.read(Vec::new()).await.unwrap(), [7; 200], "a buffer without capacity grows");
}

#[tokio::test]
async fn the_file_beneath_is_handed_out_with_the_place_to_go_on() {
    let tree = Tree::new();
    tree.put("file", b"0123456789");
    let mut reader = tree.storage.open_read(&path("file"), 2).await.unwrap();
    reader.read(Vec::with_capacity(3)).await.unwrap();
    let local = reader.local_file().unwrap();
    let mut rest = [0; 5];
    local.file.read_exact_at(&mut rest, local.offset).unwrap();
    assert_eq!(&rest, b"56789");
}

#[tokio::test]
async fn what_is_no_regular_file_is_not_read_and_nobody_waits_for_it() {
    let tree = Tree::new();
    std::fs::create_dir(tree.local("directory")).unwrap();
    rustix::fs::mknodat(CWD, tree.local("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.local("socket")).unwrap();
    tree.put("file", b"");
    assert_eq!(kind(tree.download("directory", 0).await), ErrorKind::IsADirectory);
    assert_eq!(kind(tree.download("/", 0).await), ErrorKind::IsADirectory);
    assert_eq!(kind(tree.download("pipe", 0).await), ErrorKind::Denied);
    assert_eq!(kind(tree.download("socket", 0).await), ErrorKind::Denied);
    assert_eq!(kind(tree.download("missing", 0).await), ErrorKind::NotFound);
    assert_eq!(kind(tree.download("file/below", 0).await), ErrorKind::NotADirectory);
}

#[tokio::test]
async fn a_reader_goes_on_when_its_file_is_replaced_or_removed() {
    let tree = Tree::new();
    tree.put("file", b"old contents");
    let mut reader = tree.storage.open_read(&path("file"), 4).await.unwrap();
    tree.storage.remove_file(&path("file")).await.unwrap();
    assert_eq!(reader.read(Vec::new()).await.unwrap(), b"contents");
}

#[test]
fn a_root_that_is_no_directory_is_refused_at_once() {
    let tree = Tree::new();
    tree.put("file", b"");
    let open = |path: &Path| LocalStorage::open(path, Options::default()).map(drop);
    assert!(open(&tree.local("file")).is_err());
    assert!(open(&tree.local("missing")).is_err());
    tree.link(tree.local(""), "to-root");
    assert!(open(&tree.local("to-root")).is_ok(), "the operator may use links");
}
