use std::fs;
use std::path::PathBuf;

use waft_core::storage::{ErrorKind, FileKind, Replace, Storage, WriteMode};
use waft_proto::time::Timestamp;
use waft_storage_fs::{LocalStorage, Options};

use super::support::{Tree, kind, path};

/// Links that lead out of the root, each in another way, with a directory or the secret behind.
fn links_out(tree: &Tree) -> Vec<&'static str> {
    let outside = tree.outside().to_owned();
    tree.link("../out", "up");
    tree.link(outside.join("out"), "absolute");
    tree.link("up", "chain");
    fs::create_dir(tree.local("inner")).unwrap();
    tree.link("../../out", "inner/up");
    tree.link("inner/up", "by-directory");
    tree.link("/", "slash");
    tree.link("inner/../../out", "around");
    tree.link("..", "parent");
    vec!["up", "absolute", "chain", "inner/up", "by-directory", "slash", "around", "parent"]
}

#[test]
fn a_root_beneath_another_is_reached_by_no_link_that_leads_out() {
    let tree = Tree::new();
    fs::create_dir_all(tree.local("a/b")).unwrap();
    tree.link("a", "inside");
    let open =
        |name: &str| LocalStorage::open_beneath(&tree.local("."), &path(name), Options::default());
    assert!(open("a/b").is_ok() && open("inside/b").is_ok() && open("/").is_ok());
    for name in links_out(&tree) {
        assert!(open(name).is_err(), "{name}");
    }
    assert_eq!(open("missing").unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn links_that_stay_inside_are_followed() {
    let tree = Tree::new();
    fs::create_dir_all(tree.local("a/b")).unwrap();
    tree.put("a/file", b"contents");
    tree.link("a", "directory");
    tree.link("../file", "a/b/up");
    tree.link("directory/b/up", "chain");
    assert_eq!(tree.download("directory/file", 0).await.unwrap(), b"contents");
    assert_eq!(tree.download("a/b/up", 0).await.unwrap(), b"contents");
    assert_eq!(tree.download("chain", 0).await.unwrap(), b"contents");
    assert_eq!(tree.storage.stat(&path("chain")).await.unwrap().size, 8);
    assert_eq!(tree.storage.stat(&path("directory")).await.unwrap().kind, FileKind::Directory);
    assert_eq!(tree.list("directory/b").await.unwrap()[0].1.kind, FileKind::File);
    assert_eq!(tree.storage.resume_offset(&path("chain")).await.unwrap(), 8);
}

#[tokio::test]
async fn nothing_is_reached_through_links_that_lead_out() {
    let tree = Tree::new();
    for link in links_out(&tree) {
        let secret = format!("{link}/secret");
        assert_eq!(kind(tree.storage.stat(&path(&secret)).await), ErrorKind::Denied, "{link}");
        assert_eq!(kind(tree.download(&secret, 0).await), ErrorKind::Denied);
        assert_eq!(kind(tree.list(link).await), ErrorKind::Denied);
        assert_eq!(kind(tree.storage.remove_file(&path(&secret)).await), ErrorKind::Denied);
        let new = format!("{link}/new");
        assert_eq!(kind(tree.storage.make_directory(&path(&new)).await), ErrorKind::Denied);
        for mode in [WriteMode::CreateNew, WriteMode::Replace, WriteMode::Append, WriteMode::At(0)]
        {
            assert_eq!(kind(tree.upload(&new, mode, b"x").await), ErrorKind::Denied);
            assert_eq!(kind(tree.upload(&secret, mode, b"x").await), ErrorKind::Denied);
        }
        assert_eq!(kind(tree.storage.resume_offset(&path(&secret)).await), ErrorKind::Denied);
        let facts = tree.storage.facts().unwrap();
        assert_eq!(kind(facts.set_mode(&path(&secret), 0o777).await), ErrorKind::Denied);
        let modified = facts.set_modified(&path(&secret), Timestamp::EPOCH).await;
        assert_eq!(kind(modified), ErrorKind::Denied);
        let space = tree.storage.space().unwrap();
        assert_eq!(kind(space.available(&path(link)).await), ErrorKind::Denied);
        let out = tree.storage.rename(&path("inner"), &path(&new), Replace::File).await;
        assert_eq!(kind(out), ErrorKind::Denied);
        let home = tree.storage.rename(&path(&secret), &path("stolen"), Replace::File).await;
        assert_eq!(kind(home), ErrorKind::Denied);
    }
    tree.assert_outside_untouched();
}

#[tokio::test]
async fn a_link_to_a_file_outside_is_refused_in_every_way() {
    let tree = Tree::new();
    tree.link("../secret", "relative");
    tree.link(tree.outside().join("secret"), "absolute");
    tree.link(tree.local("inside"), "absolute-inside");
    tree.put("inside", b"absolute links are refused wherever they lead");
    for link in ["relative", "absolute", "absolute-inside"] {
        assert_eq!(kind(tree.download(link, 0).await), ErrorKind::Denied);
        assert_eq!(kind(tree.storage.resume_offset(&path(link)).await), ErrorKind::Denied);
        for mode in [WriteMode::Replace, WriteMode::Append, WriteMode::At(0), WriteMode::At(5)] {
            assert_eq!(kind(tree.upload(link, mode, b"x").await), ErrorKind::Denied);
        }
        let facts = tree.storage.facts().unwrap();
        assert_eq!(kind(facts.set_mode(&path(link), 0o777).await), ErrorKind::Denied);
        assert_eq!(tree.storage.stat(&path(link)).await.unwrap().kind, FileKind::Symlink);
    }
    for (name, facts) in tree.list("/").await.unwrap() {
        let inside = name == b"inside";
        assert_eq!(facts.kind, if inside { FileKind::File } else { FileKind::Symlink });
    }
    tree.assert_outside_untouched();
}

#[tokio::test]
async fn magic_links_of_proc_are_not_followed() {
    let tree = Tree::new();
    tree.link("/proc/self/root", "root");
    tree.link("/proc/self/cwd", "cwd");
    for link in ["root", "cwd"] {
        assert_eq!(kind(tree.list(link).await), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn loops_and_dangling_links_end() {
    let tree = Tree::new();
    tree.link("two", "one");
    tree.link("one", "two");
    tree.link("self/self", "self");
    tree.link("nowhere", "dangling");
    for link in ["one", "self"] {
        assert_eq!(kind(tree.download(link, 0).await), ErrorKind::Denied);
        assert_eq!(kind(tree.upload(link, WriteMode::Replace, b"x").await), ErrorKind::Denied);
        assert_eq!(tree.storage.stat(&path(link)).await.unwrap().kind, FileKind::Symlink);
    }
    assert_eq!(kind(tree.download("dangling", 0).await), ErrorKind::NotFound);
    assert_eq!(tree.storage.stat(&path("dangling")).await.unwrap().kind, FileKind::Symlink);
    assert_eq!(tree.list("/").await.unwrap().len(), 4);
}

#[tokio::test]
async fn an_upload_to_a_link_replaces_what_it_names_and_keeps_the_link() {
    let tree = Tree::new();
    fs::create_dir_all(tree.local("a/b")).unwrap();
    tree.put("a/file", b"old");
    tree.link("a/b/../file", "link");
    tree.link("a/new", "to-new");
    tree.upload("link", WriteMode::Replace, b"replaced").await.unwrap();
    tree.upload("link", WriteMode::Append, b" and more").await.unwrap();
    tree.upload("to-new", WriteMode::Replace, b"new").await.unwrap();
    assert_eq!(tree.get("a/file"), b"replaced and more");
    assert_eq!(tree.get("a/new"), b"new");
    assert_eq!(fs::read_link(tree.local("link")).unwrap(), PathBuf::from("a/b/../file"));
    assert_eq!(kind(tree.upload("link", WriteMode::CreateNew, b"").await), ErrorKind::Exists);
    tree.link("a", "to-directory");
    tree.link("a/", "to-directory-too");
    for link in ["to-directory", "to-directory-too"] {
        let uploaded = tree.upload(link, WriteMode::Replace, b"").await;
        assert_eq!(kind(uploaded), ErrorKind::IsADirectory);
    }
}

#[tokio::test]
async fn removing_and_renaming_a_link_does_not_touch_what_it_names() {
    let tree = Tree::new();
    fs::create_dir(tree.local("directory")).unwrap();
    tree.put("file", b"contents");
    tree.link("file", "link");
    tree.link("directory", "to-directory");
    tree.link("../secret", "out");
    tree.storage.rename(&path("link"), &path("moved"), Replace::Never).await.unwrap();
    tree.storage.remove_file(&path("moved")).await.unwrap();
    tree.storage.remove_file(&path("out")).await.unwrap();
    let removed = tree.storage.remove_directory(&path("to-directory")).await;
    assert_eq!(kind(removed), ErrorKind::NotADirectory);
    tree.storage.remove_file(&path("to-directory")).await.unwrap();
    assert_eq!(tree.names(), ["directory", "file"]);
    assert_eq!(tree.get("file"), b"contents");
    tree.assert_outside_untouched();
}
