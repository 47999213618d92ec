//! What is kept of uploads that did not complete, and how they go on.

use std::fs;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;

use waft_core::storage::{ErrorKind, Interrupted, Storage, WriteMode};

use super::support::{Tree, kind, path, write};

#[tokio::test]
async fn what_arrived_of_a_new_file_is_kept_beside_its_name() {
    let tree = Tree::new();
    for mode in [WriteMode::CreateNew, WriteMode::Replace] {
        tree.interrupt("file", mode, b"half", Interrupted::Keep).await;
        assert_eq!(tree.names(), ["file.partial"]);
        assert_eq!(tree.get("file.partial"), b"half");
        assert_eq!(kind(tree.storage.stat(&path("file")).await), ErrorKind::NotFound);
        assert_eq!(tree.storage.resume_offset(&path("file")).await.unwrap(), 4);
    }
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_arrived() {
    let tree = Tree::new();
    tree.put("file", b"old contents");
    for (name, mode) in [
        ("new", WriteMode::CreateNew),
        ("file", WriteMode::Replace),
        ("file", WriteMode::At(3)),
        ("file", WriteMode::Append),
    ] {
        tree.interrupt(name, mode, b"", Interrupted::Keep).await;
        assert_eq!(tree.names(), ["file"]);
        assert_eq!(tree.get("file"), b"old contents");
    }
}

#[tokio::test]
async fn the_old_file_stays_when_its_replacement_is_interrupted() {
    let tree = Tree::new();
    tree.put("file", b"old contents");
    tree.interrupt("file", WriteMode::Replace, b"new", Interrupted::Keep).await;
    assert_eq!(tree.get("file"), b"old contents");
    assert_eq!(tree.get("file.partial"), b"new");
    assert_eq!(tree.storage.resume_offset(&path("file")).await.unwrap(), 12, "the file's own");
    tree.interrupt("file", WriteMode::At(4), b"other", Interrupted::Keep).await;
    assert_eq!(tree.get("file"), b"old contents");
    assert_eq!(tree.get("file.partial"), b"old other", "replaces the older one");
}

#[tokio::test]
async fn what_was_appended_stays_or_goes_as_told() {
    let tree = Tree::new();
    tree.put("file", b"old");
    tree.interrupt("file", WriteMode::Append, b" and", Interrupted::Keep).await;
    assert_eq!(tree.get("file"), b"old and");
    tree.interrupt("file", WriteMode::At(7), b" gone", Interrupted::Delete).await;
    assert_eq!(tree.get("file"), b"old and");
    assert_eq!(tree.names(), ["file"]);
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_and_is_published_at_the_end() {
    for (mode, expected) in [
        (WriteMode::Append, &b"first half, second half"[..]),
        (WriteMode::At(10), b"first half, second half"),
        (WriteMode::At(6), b"first , second half"),
    ] {
        let tree = Tree::new();
        tree.interrupt("file", WriteMode::Replace, b"first half", Interrupted::Keep).await;
        let mut writer = tree.open_write("file", mode).await.unwrap();
        write(&mut writer, b", second half").await;
        assert_eq!(tree.names(), ["file.partial"]);
        writer.finish().await.unwrap();
        assert_eq!(tree.names(), ["file"]);
        assert_eq!(tree.get("file"), expected);
    }
}

#[tokio::test]
async fn an_interrupted_upload_does_not_go_on_from_beyond_its_end() {
    let tree = Tree::new();
    tree.interrupt("file", WriteMode::Replace, b"12345", Interrupted::Keep).await;
    assert_eq!(kind(tree.upload("file", WriteMode::At(6), b"x").await), ErrorKind::BadOffset);
    assert_eq!(tree.get("file.partial"), b"12345");
}

#[tokio::test]
async fn an_upload_that_is_interrupted_again_can_go_on_again() {
    let tree = Tree::new();
    tree.interrupt("file", WriteMode::Replace, b"1", Interrupted::Keep).await;
    tree.interrupt("file", WriteMode::Append, b"2", Interrupted::Keep).await;
    tree.interrupt("file", WriteMode::At(2), b"lost", Interrupted::Delete).await;
    drop(tree.open_write("file", WriteMode::Append).await.unwrap());
    assert_eq!(tree.get("file.partial"), b"12");
    tree.upload("file", WriteMode::At(2), b"3").await.unwrap();
    assert_eq!(tree.get("file"), b"123");
    assert_eq!(tree.names(), ["file"]);
}

#[tokio::test]
async fn a_complete_upload_removes_what_an_interrupted_one_has_left() {
    let tree = Tree::new();
    for mode in [WriteMode::CreateNew, WriteMode::Replace, WriteMode::Append, WriteMode::At(1)] {
        tree.put("file.partial", b"half");
        if mode == WriteMode::CreateNew {
            let _ = fs::remove_file(tree.local("file"));
        }
        tree.upload("file", mode, b"x").await.unwrap();
        assert_eq!(tree.names(), ["file"], "{mode:?}");
    }
}

#[tokio::test]
async fn an_interrupted_upload_may_be_resumed_under_its_own_name() {
    let tree = Tree::new();
    tree.put("file", b"old");
    tree.interrupt("file", WriteMode::Replace, b"half", Interrupted::Keep).await;
    tree.upload("file.partial", WriteMode::Append, b" and half").await.unwrap();
    assert_eq!(tree.get("file.partial"), b"half and half");
    assert_eq!(tree.get("file"), b"old");
}

#[tokio::test]
async fn two_cannot_go_on_with_one_upload() {
    let tree = Tree::new();
    tree.put("file.partial", b"half");
    let mut first = tree.open_write("file", WriteMode::Append).await.unwrap();
    let second = tree.storage.open_write(&path("file"), WriteMode::At(2)).await;
    assert_eq!(kind(second), ErrorKind::Busy);
    write(&mut first, b" done").await;
    first.finish().await.unwrap();
    assert_eq!(tree.get("file"), b"half done");
}

#[tokio::test]
async fn an_upload_that_goes_on_is_neither_replaced_nor_removed_by_others() {
    let tree = Tree::new();
    tree.put("file.partial", b"half");
    let mut going_on = tree.open_write("file", WriteMode::Append).await.unwrap();
    let mut other = tree.open_write("file", WriteMode::Replace).await.unwrap();
    write(&mut other, b"other").await;
    assert_eq!(kind(other.abandon(Interrupted::Keep).await), ErrorKind::Busy);
    assert_eq!(tree.get("file.partial"), b"half");
    tree.upload("file", WriteMode::Replace, b"complete").await.unwrap();
    assert_eq!(tree.names(), ["file", "file.partial"]);
    write(&mut going_on, b" late").await;
    assert_eq!(kind(going_on.finish().await), ErrorKind::Exists, "the name is no longer free");
    assert_eq!(tree.get("file"), b"complete");
    assert_eq!(tree.get("file.partial"), b"half");
}

#[tokio::test]
async fn what_is_no_file_of_ours_is_not_taken_for_an_interrupted_upload() {
    let tree = Tree::new();
    fs::create_dir(tree.local("one.partial")).unwrap();
    tree.link("../secret", "two.partial");
    for name in ["one", "two"] {
        let offset = tree.storage.resume_offset(&path(name)).await;
        assert_eq!(kind(offset), ErrorKind::NotFound);
        let mut writer = tree.open_write(name, WriteMode::Append).await.unwrap();
        assert_eq!(writer.local_file().unwrap().offset, 0);
        write(&mut writer, b"x").await;
        assert_eq!(kind(writer.abandon(Interrupted::Keep).await), ErrorKind::Exists);
        tree.upload(name, WriteMode::Replace, b"x").await.unwrap();
    }
    assert_eq!(tree.names(), ["one", "one.partial", "two", "two.partial"]);
    tree.assert_outside_untouched();
}

#[tokio::test]
async fn a_name_too_long_for_its_suffix_is_uploaded_but_not_kept() {
    let tree = Tree::new();
    let name = "n".repeat(255);
    let mut writer = tree.open_write(&name, WriteMode::Replace).await.unwrap();
    write(&mut writer, b"half").await;
    assert_eq!(kind(writer.abandon(Interrupted::Keep).await), ErrorKind::BadName);
    assert!(tree.names().is_empty());
    assert_eq!(kind(tree.storage.resume_offset(&path(&name)).await), ErrorKind::NotFound);
    tree.upload(&name, WriteMode::Append, b"whole").await.unwrap();
    assert_eq!(tree.get(&name), b"whole");
}

#[test]
fn a_write_that_was_under_way_when_an_upload_was_given_up_changes_nothing_any_more() {
    // One thread for all that may wait, and it is kept busy: the write cannot begin.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        for interrupted in [Some(Interrupted::Delete), Some(Interrupted::Keep), None] {
            let tree = Tree::new();
            tree.put("log", b"old");
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let mut writer = tree.open_write("log", WriteMode::Append).await.unwrap();
            {
                let mut writing = pin!(writer.write(b" and new".to_vec()));
                poll_fn(|cx| {
                    assert!(writing.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            match interrupted {
                Some(interrupted) => writer.abandon(interrupted).await.unwrap(),
                None => drop(writer),
            }
            release.send(()).unwrap();
            busy.await.unwrap().unwrap();
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            assert_eq!(tree.get("log"), b"old");
        }
    });
}
