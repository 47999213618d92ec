use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use waft_core::storage::{ErrorKind, FileKind, Interrupted, Storage, WriteMode, Writer};
use waft_storage_fs::Options;

use super::support::{Tree, kind, path, write};

#[tokio::test]
async fn a_new_file_is_there_when_it_is_complete_and_not_before() {
    let tree = Tree::with(Options { file_mode: 0o600, ..Options::default() });
    for mode in [WriteMode::CreateNew, WriteMode::Replace, WriteMode::Append, WriteMode::At(0)] {
        let mut writer = tree.open_write("file", mode).await.unwrap();
        assert!(tree.names().is_empty());
        write(&mut writer, b"first ").await;
        write(&mut writer, b"second").await;
        assert!(tree.names().is_empty());
        assert!(tree.list("/").await.unwrap().is_empty());
        let facts = writer.finish().await.unwrap();
        assert_eq!((facts.kind, facts.size, facts.links), (FileKind::File, 12, 1));
        assert_eq!(facts, tree.storage.stat(&path("file")).await.unwrap());
        assert_eq!(facts.mode, Some(0o600));
        assert_eq!(tree.get("file"), b"first second");
        tree.storage.remove_file(&path("file")).await.unwrap();
    }
}

#[tokio::test]
async fn an_empty_upload_is_an_empty_file() {
    let tree = Tree::new();
    tree.upload("empty", WriteMode::CreateNew, b"").await.unwrap();
    assert_eq!(tree.get("empty"), b"");
    tree.put("full", b"x");
    tree.upload("full", WriteMode::Replace, b"").await.unwrap();
    assert_eq!(tree.get("full"), b"");
}

#[tokio::test]
async fn the_old_file_stays_whole_until_the_new_one_is() {
    let tree = Tree::new();
    tree.put("file", b"old");
    let before = fs::metadata(tree.local("file")).unwrap();
    let mut writer = tree.open_write("file", WriteMode::Replace).await.unwrap();
    write(&mut writer, b"new contents").await;
    assert_eq!(tree.get("file"), b"old");
    let during = fs::metadata(tree.local("file")).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (during.ino(), during.mtime_nsec()));
    writer.finish().await.unwrap();
    assert_eq!(tree.get("file"), b"new contents");
    assert_eq!(tree.names(), ["file"]);
}

#[tokio::test]
async fn an_upload_that_ends_in_any_other_way_leaves_everything_as_it_was() {
    let tree = Tree::new();
    tree.put("file", b"old contents");
    let modes = [
        WriteMode::Replace,
        WriteMode::Append,
        WriteMode::At(0),
        WriteMode::At(3),
        WriteMode::At(12),
    ];
    for (name, modes) in [("file", &modes[..]), ("new", &[WriteMode::CreateNew, WriteMode::Append])]
    {
        for &mode in modes {
            for contents in [&b""[..], b"arrived"] {
                let mut dropped = tree.open_write(name, mode).await.unwrap();
                write(&mut dropped, contents).await;
                drop(dropped);
                tree.interrupt(name, mode, contents, Interrupted::Delete).await;
                assert_eq!(tree.names(), ["file"], "{mode:?}");
                assert_eq!(tree.get("file"), b"old contents", "{mode:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_new_name_must_be_free_at_the_beginning_and_at_the_end() {
    let tree = Tree::new();
    tree.put("taken", b"old");
    fs::create_dir(tree.local("directory")).unwrap();
    tree.link("nowhere", "dangling");
    assert_eq!(kind(tree.upload("taken", WriteMode::CreateNew, b"x").await), ErrorKind::Exists);
    assert_eq!(kind(tree.upload("directory", WriteMode::CreateNew, b"x").await), ErrorKind::Exists);
    let mut writer = tree.open_write("raced", WriteMode::CreateNew).await.unwrap();
    write(&mut writer, b"mine").await;
    tree.put("raced", b"somebody else's");
    assert_eq!(kind(writer.finish().await), ErrorKind::Exists);
    assert_eq!(tree.get("raced"), b"somebody else's");
    assert_eq!(tree.names(), ["dangling", "directory", "raced", "taken"]);
}

#[tokio::test]
async fn a_file_that_comes_while_it_is_replaced_is_replaced_as_well() {
    let tree = Tree::new();
    let mut writer = tree.open_write("file", WriteMode::Replace).await.unwrap();
    write(&mut writer, b"mine").await;
    tree.put("file", b"somebody else's");
    writer.finish().await.unwrap();
    assert_eq!(tree.get("file"), b"mine");
    assert_eq!(tree.names(), ["file"]);
}

#[tokio::test]
async fn a_directory_that_comes_meanwhile_is_not_replaced() {
    let tree = Tree::new();
    let writer = tree.open_write("name", WriteMode::Replace).await.unwrap();
    fs::create_dir(tree.local("name")).unwrap();
    assert_eq!(kind(writer.finish().await), ErrorKind::IsADirectory);
    assert_eq!(tree.names(), ["name"]);
}

#[tokio::test]
async fn a_replaced_file_keeps_its_permission_bits_but_not_those_that_run_as_its_owner() {
    let tree = Tree::new();
    for (before, after) in [(0o600, 0o600), (0o640, 0o640), (0o777, 0o777), (0o4755, 0o755)] {
        tree.put("file", b"old");
        fs::set_permissions(tree.local("file"), fs::Permissions::from_mode(before)).unwrap();
        let replaced = tree.upload("file", WriteMode::Replace, b"new").await.unwrap();
        assert_eq!(replaced.mode, Some(after));
    }
}

#[tokio::test]
async fn a_replaced_file_keeps_its_owner_and_group_where_the_system_allows() {
    let tree = Tree::new();
    tree.put("file", b"old");
    fs::set_permissions(tree.local("file"), fs::Permissions::from_mode(0o660)).unwrap();
    // Only the superuser can set the scene; for everybody else the owner is the same anyway.
    let given_away = std::os::unix::fs::chown(tree.local("file"), Some(1234), Some(1235)).is_ok();
    let before = fs::metadata(tree.local("file")).unwrap();
    assert!(!given_away || (before.uid(), before.gid()) == (1234, 1235));
    let replaced = tree.upload("file", WriteMode::Replace, b"new").await.unwrap();
    let after = fs::metadata(tree.local("file")).unwrap();
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_eq!(replaced.mode, Some(0o660));
}

#[tokio::test]
async fn a_hard_link_keeps_the_old_contents() {
    let tree = Tree::new();
    tree.put("file", b"old");
    fs::hard_link(tree.local("file"), tree.local("link")).unwrap();
    tree.upload("file", WriteMode::Replace, b"new").await.unwrap();
    assert_eq!((tree.get("file"), tree.get("link")), (b"new".to_vec(), b"old".to_vec()));
}

#[tokio::test]
async fn uploads_go_to_regular_files_only() {
    let tree = Tree::new();
    fs::create_dir(tree.local("directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.local("socket")).unwrap();
    for mode in [WriteMode::Replace, WriteMode::Append, WriteMode::At(0), WriteMode::At(9)] {
        assert_eq!(kind(tree.upload("directory", mode, b"x").await), ErrorKind::IsADirectory);
        assert_eq!(kind(tree.upload("/", mode, b"x").await), ErrorKind::IsADirectory);
        assert_eq!(kind(tree.upload("socket", mode, b"x").await), ErrorKind::Denied);
        assert_eq!(kind(tree.upload("missing/file", mode, b"x").await), ErrorKind::NotFound);
    }
    for name in ["directory", "/"] {
        let offset = tree.storage.resume_offset(&path(name)).await;
        assert_eq!(kind(offset), ErrorKind::IsADirectory);
    }
}

#[tokio::test]
async fn appending_goes_behind_the_end() {
    let tree = Tree::new();
    tree.put("file", b"old");
    let writer = tree.open_write("file", WriteMode::Append).await.unwrap();
    assert_eq!(writer.local_file().unwrap().offset, 3);
    drop(writer);
    let facts = tree.upload("file", WriteMode::Append, b" and new").await.unwrap();
    assert_eq!(facts.size, 11);
    tree.upload("file", WriteMode::At(11), b"er").await.unwrap();
    assert_eq!(tree.get("file"), b"old and newer");
    assert_eq!(tree.names(), ["file"]);
}

#[tokio::test]
async fn what_is_appended_unseen_is_seen_when_it_is_complete() {
    let tree = Tree::new();
    tree.put("file", b"old");
    let path = path("file");
    for mode in [WriteMode::Append, WriteMode::At(3)] {
        let mut writer = tree.storage.open_write_unseen(&path, mode).await.unwrap();
        writer.write(b" and new".to_vec()).await.unwrap();
        assert_eq!(tree.get("file"), b"old");
        writer.abandon(Interrupted::Delete).await.unwrap();
        assert_eq!((tree.get("file"), tree.names()), (b"old".to_vec(), vec!["file".to_owned()]));
    }
    let mut writer = tree.storage.open_write_unseen(&path, WriteMode::Append).await.unwrap();
    writer.write(b" and new".to_vec()).await.unwrap();
    assert_eq!(writer.finish().await.unwrap().size, 11);
    assert_eq!(tree.get("file"), b"old and new");
}

#[tokio::test]
async fn two_cannot_append_unseen_to_one_file_at_a_time() {
    let tree = Tree::new();
    tree.put("file", b"old");
    let path = path("file");
    let mut first = tree.storage.open_write_unseen(&path, WriteMode::Append).await.unwrap();
    for mode in [WriteMode::Append, WriteMode::At(3)] {
        assert_eq!(kind(tree.storage.open_write_unseen(&path, mode).await), ErrorKind::Busy);
        assert_eq!(kind(tree.storage.open_write(&path, mode).await), ErrorKind::Busy);
    }
    write(&mut first, b" first").await;
    first.finish().await.unwrap();
    let mut second = tree.storage.open_write_unseen(&path, WriteMode::Append).await.unwrap();
    write(&mut second, b" second").await;
    second.finish().await.unwrap();
    assert_eq!(tree.get("file"), b"old first second");
}

#[tokio::test]
async fn what_is_appended_unseen_to_a_file_that_changed_meanwhile_is_not_published() {
    let tree = Tree::new();
    let changes: [fn(&Tree); 3] = [
        |tree| tree.put("file", b"longer"),
        |tree| {
            tree.put("other", b"new");
            fs::rename(tree.local("other"), tree.local("file")).unwrap();
        },
        |tree| fs::remove_file(tree.local("file")).unwrap(),
    ];
    for change in changes {
        tree.put("file", b"old");
        let mut writer =
            tree.storage.open_write_unseen(&path("file"), WriteMode::Append).await.unwrap();
        write(&mut writer, b" more").await;
        change(&tree);
        let before = fs::read(tree.local("file")).ok();
        assert_eq!(kind(writer.finish().await), ErrorKind::Busy);
        assert_eq!(fs::read(tree.local("file")).ok(), before);
    }
    assert!(tree.names().is_empty());
}

#[tokio::test]
async fn what_an_interrupted_upload_has_left_is_gone_on_with_unseen() {
    let tree = Tree::new();
    let target = path("file");
    for (mode, expected) in [
        (WriteMode::Append, &b"begin and end"[..]),
        (WriteMode::At(5), b"begin and end"),
        (WriteMode::At(2), b"be and end"),
    ] {
        tree.put("file.partial", b"begin");
        for interrupted in [Interrupted::Delete, Interrupted::Keep] {
            let mut writer = tree.storage.open_write_unseen(&target, mode).await.unwrap();
            write(&mut writer, b" and bad").await;
            assert_eq!(tree.get("file.partial"), b"begin", "unseen");
            let second = tree.storage.open_write_unseen(&target, mode).await;
            assert_eq!(kind(second), ErrorKind::Busy);
            assert_eq!(kind(tree.storage.open_write(&target, mode).await), ErrorKind::Busy);
            writer.abandon(interrupted).await.unwrap();
            assert_eq!(tree.names(), ["file.partial"]);
            assert_eq!(tree.get("file.partial"), b"begin");
        }
        let mut writer = tree.storage.open_write_unseen(&target, mode).await.unwrap();
        write(&mut writer, b" and end").await;
        writer.finish().await.unwrap();
        assert_eq!((tree.get("file"), tree.names()), (expected.to_vec(), vec!["file".to_owned()]));
        fs::remove_file(tree.local("file")).unwrap();
    }
}

#[tokio::test]
async fn an_upload_from_within_keeps_what_stands_before_and_drops_what_stands_behind() {
    let tree = Tree::new();
    let old: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    for offset in [1, 4096, 299_999] {
        tree.put("file", &old);
        let mut writer = tree.open_write("file", WriteMode::At(offset)).await.unwrap();
        assert_eq!(writer.local_file().unwrap().offset, offset);
        write(&mut writer, b"new").await;
        assert!(tree.get("file") == old, "whole until the end");
        writer.finish().await.unwrap();
        let expected = [&old[..offset as usize], b"new"].concat();
        assert!(tree.get("file") == expected);
        assert_eq!(tree.names(), ["file"]);
    }
}

#[tokio::test]
async fn an_upload_from_beyond_the_end_is_refused() {
    let tree = Tree::new();
    tree.put("file", b"12345");
    assert_eq!(kind(tree.upload("file", WriteMode::At(6), b"x").await), ErrorKind::BadOffset);
    assert_eq!(kind(tree.upload("missing", WriteMode::At(1), b"x").await), ErrorKind::BadOffset);
    assert_eq!(tree.storage.resume_offset(&path("file")).await.unwrap(), 5);
    let missing = tree.storage.resume_offset(&path("missing")).await;
    assert_eq!(kind(missing), ErrorKind::NotFound);
    assert_eq!(tree.names(), ["file"]);
}

#[tokio::test]
async fn whoever_takes_the_file_beneath_writes_the_upload() {
    let tree = Tree::new();
    tree.put("appended", b"old ");
    for (name, mode, expected) in [
        ("new", WriteMode::CreateNew, &b"by hand"[..]),
        ("appended", WriteMode::Append, b"old by hand"),
        ("appended", WriteMode::At(4), b"old by hand"),
    ] {
        let writer = tree.open_write(name, mode).await.unwrap();
        let local = writer.local_file().unwrap();
        local.file.write_all_at(b"by hand", local.offset).unwrap();
        assert_eq!(writer.finish().await.unwrap().size, expected.len() as u64);
        assert_eq!(tree.get(name), expected);
    }
}

#[tokio::test]
async fn two_cannot_append_to_one_file_at_a_time() {
    let tree = Tree::new();
    tree.put("file", b"old");
    let mut first = tree.open_write("file", WriteMode::Append).await.unwrap();
    let second = tree.storage.open_write(&path("file"), WriteMode::Append).await;
    assert_eq!(kind(second), ErrorKind::Busy);
    write(&mut first, b" first").await;
    first.finish().await.unwrap();
    tree.upload("file", WriteMode::Append, b" second").await.unwrap();
    assert_eq!(tree.get("file"), b"old first second");
}

#[tokio::test]
async fn appending_to_a_file_that_is_replaced_or_removed_meanwhile_fails() {
    let tree = Tree::new();
    for replaced in [true, false] {
        tree.put("file", b"old");
        let mut writer = tree.open_write("file", WriteMode::Append).await.unwrap();
        write(&mut writer, b" lost").await;
        if replaced {
            tree.upload("file", WriteMode::Replace, b"new").await.unwrap();
        } else {
            tree.storage.remove_file(&path("file")).await.unwrap();
        }
        assert_eq!(kind(writer.finish().await), ErrorKind::Busy);
        assert_eq!(fs::read(tree.local("file")).ok(), replaced.then(|| b"new".to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_uploads_to_one_new_name_one_wins_and_none_is_mixed() {
    let tree = Tree::new();
    for mode in [WriteMode::CreateNew, WriteMode::Replace] {
        let uploads: Vec<_> = (0..16_u8)
            .map(|number| {
                let storage = tree.storage.clone();
                tokio::spawn(async move {
                    let mut writer = storage.open_write(&path("file"), mode).await?;
                    for _ in 0..20 {
                        writer.write(vec![number; 1000]).await?;
                    }
                    writer.finish().await
                })
            })
            .collect();
        let mut won = 0;
        for upload in uploads {
            match upload.await.unwrap() {
                Ok(facts) => {
                    assert_eq!(facts.size, 20_000);
                    won += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Exists),
            }
        }
        assert_eq!(won, if mode == WriteMode::CreateNew { 1 } else { 16 });
        let contents = tree.get("file");
        assert_eq!(contents.len(), 20_000);
        assert!(contents.iter().all(|octet| *octet == contents[0]));
        assert_eq!(tree.names(), ["file"]);
        tree.storage.remove_file(&path("file")).await.unwrap();
    }
}

#[tokio::test]
async fn durable_uploads_end_the_same() {
    let tree = Tree::with(Options { durable: true, ..Options::default() });
    fs::create_dir(tree.local("d")).unwrap();
    for contents in [&b"first"[..], b"second"] {
        tree.upload("d/file", WriteMode::Replace, contents).await.unwrap();
        assert_eq!(tree.get("d/file"), contents);
    }
    tree.upload("d/file", WriteMode::Append, b" third").await.unwrap();
    assert_eq!(tree.get("d/file"), b"second third");
}

#[tokio::test]
async fn large_files_are_replaced_and_given_up_too() {
    let tree = Tree::new();
    let large = fs::File::create(tree.local("large")).unwrap();
    large.set_len(100 << 20).unwrap();
    let abandoned = tree.open_write("large", WriteMode::Replace).await.unwrap();
    abandoned.local_file().unwrap().file.set_len(100 << 20).unwrap();
    abandoned.abandon(Interrupted::Delete).await.unwrap();
    assert_eq!(tree.names(), ["large"]);
    tree.upload("large", WriteMode::Replace, b"small now").await.unwrap();
    assert_eq!(tree.get("large"), b"small now");
}

#[tokio::test]
async fn an_upload_into_a_directory_that_is_gone_fails_and_leaves_nothing() {
    let tree = Tree::new();
    fs::create_dir(tree.local("d")).unwrap();
    let mut writer: Box<dyn Writer> = tree.open_write("d/file", WriteMode::Replace).await.unwrap();
    write(&mut writer, b"x").await;
    tree.storage.remove_directory(&path("d")).await.unwrap();
    assert_eq!(kind(writer.finish().await), ErrorKind::NotFound);
    assert!(tree.names().is_empty());
}
