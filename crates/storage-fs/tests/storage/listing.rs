use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use waft_core::storage::{Batch, ErrorKind, FileKind, Metadata, Storage};

use super::support::{Tree, kind, path};

const HIDDEN: &str = ".waft-0123456789abcdef.tmp";

#[tokio::test]
async fn every_entry_is_listed_once_whatever_their_number() {
    let tree = Tree::new();
    for (directory, count) in [("none", 0), ("few", 3), ("many", 3000)] {
        fs::create_dir(tree.local(directory)).unwrap();
        for number in 0..count {
            tree.put(format!("{directory}/file number {number:05}"), vec![0; number % 7]);
        }
        let entries = tree.list(directory).await.unwrap();
        assert_eq!(entries.len(), count);
        for (number, (name, facts)) in entries.iter().enumerate() {
            assert_eq!(*name, format!("file number {number:05}").into_bytes());
            assert_eq!((facts.kind, facts.size), (FileKind::File, number as u64 % 7));
        }
    }
}

#[tokio::test]
async fn batches_are_bounded_and_the_end_stays_the_end() {
    let tree = Tree::new();
    for number in 0..6000 {
        tree.put(format!("file number {number:05}"), b"");
    }
    let mut directory = tree.storage.open_directory(&path("/")).await.unwrap();
    let (mut batch, mut batches) = (Batch::default(), 0);
    loop {
        directory.read(&mut batch).await.unwrap();
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() < 2000);
        batches += 1;
    }
    assert!(batches >= 3);
    directory.read(&mut batch).await.unwrap();
    assert!(batch.is_empty());
}

#[tokio::test]
async fn many_batches_that_wait_for_their_reader_have_every_entry_once() {
    let tree = Tree::new();
    for number in 0..8000 {
        tree.put(format!("a file with a name of some length {number:05}"), b"");
    }
    let mut directory = tree.storage.open_directory(&path("/")).await.unwrap();
    let (mut batch, mut names) = (Batch::default(), Vec::new());
    loop {
        directory.read(&mut batch).await.unwrap();
        if batch.is_empty() {
            break;
        }
        names.extend(batch.iter().map(|(name, _)| name.to_vec()));
        // Those who read ahead have to end and to begin anew.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 8000);
}

#[tokio::test]
async fn a_listing_that_is_given_up_leaves_nothing_behind() {
    let tree = Tree::new();
    for number in 0..3000 {
        tree.put(format!("file number {number:05}"), b"");
    }
    let mut directory = tree.storage.open_directory(&path("/")).await.unwrap();
    directory.read(&mut Batch::default()).await.unwrap();
    drop(directory);
    assert_eq!(tree.list("/").await.unwrap().len(), 3000);
}

#[tokio::test]
async fn only_times_of_creation_are_spared() {
    let tree = Tree::new();
    for number in 0..200 {
        tree.put(format!("file number {number:05}"), vec![0; number]);
    }
    fs::create_dir(tree.local("directory")).unwrap();
    fs::hard_link(tree.local("file number 00007"), tree.local("other")).unwrap();
    fs::set_permissions(tree.local("other"), fs::Permissions::from_mode(0o4751)).unwrap();
    let old = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
    File::open(tree.local("file number 00008")).unwrap().set_modified(old).unwrap();
    tree.link("nowhere", "dangling");
    let all = tree.list("/").await.unwrap();
    let mut directory = tree.storage.open_directory(&path("/")).await.unwrap();
    directory.spare_created();
    let (mut batch, mut spared) = (Batch::default(), Vec::new());
    loop {
        directory.read(&mut batch).await.unwrap();
        if batch.is_empty() {
            break;
        }
        spared.extend(batch.iter().map(|(name, facts)| (name.to_vec(), *facts)));
    }
    spared.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(all.len(), spared.len());
    for ((name, facts), (spared_name, spared)) in all.into_iter().zip(spared) {
        assert_eq!((name, Metadata { created: None, ..facts }), (spared_name, spared));
    }
}

#[tokio::test]
async fn entries_have_the_facts_that_stat_tells() {
    let tree = Tree::new();
    fs::create_dir(tree.local("directory")).unwrap();
    tree.put("directory/file", b"x");
    tree.link("directory", "link");
    tree.link("nowhere", "dangling");
    for (name, facts) in tree.list("/").await.unwrap() {
        let name = String::from_utf8(name).unwrap();
        assert_eq!(facts, tree.storage.stat(&path(&name)).await.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_directory_is_not_listed() {
    let tree = Tree::new();
    tree.put("file", b"");
    assert_eq!(kind(tree.list("file").await), ErrorKind::NotADirectory);
    assert_eq!(kind(tree.list("missing").await), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_directory_of_hidden_names_alone_is_empty() {
    let tree = Tree::new();
    for number in 0..2000 {
        tree.put(format!(".waft-{number:016x}.tmp"), b"");
    }
    assert!(tree.list("/").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_listing_sweeps_what_a_crash_has_left_and_nothing_else() {
    let tree = Tree::new();
    let names = [HIDDEN, ".waft-00000000000000aa.tmp", ".waft-00000000000000bb.tmp"];
    let [crashed, alive, fresh] = names;
    let foreign = ".waft-notes.tmp";
    for name in [crashed, alive, fresh, foreign, "old"] {
        let file = File::create(tree.local(name)).unwrap();
        if name != fresh {
            file.set_modified(SystemTime::now() - Duration::from_secs(2 * 3600)).unwrap();
        }
    }
    let owner = File::open(tree.local(alive)).unwrap();
    rustix::fs::flock(&owner, FlockOperation::LockExclusive).unwrap();
    let listed = tree.list("/").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, b"old");
    let mut left = [alive, fresh, foreign, "old"].map(String::from);
    left.sort();
    assert_eq!(tree.names(), left);
    drop(owner);
    tree.list("/").await.unwrap();
    assert!(!tree.names().iter().any(|name| name == alive));
}

#[tokio::test]
async fn an_open_directory_that_goes_away_does_not_disturb_others() {
    let tree = Tree::new();
    fs::create_dir(tree.local("gone")).unwrap();
    let mut directory = tree.storage.open_directory(&path("gone")).await.unwrap();
    tree.storage.remove_directory(&path("gone")).await.unwrap();
    let mut batch = Batch::default();
    assert_eq!(kind(directory.read(&mut batch).await), ErrorKind::NotFound);
    assert!(tree.list("/").await.unwrap().is_empty());
}
