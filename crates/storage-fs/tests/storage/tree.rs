use std::fs;
use std::os::unix::fs::PermissionsExt;

use waft_core::storage::{ErrorKind, Replace, Storage};
use waft_storage_fs::Options;

use super::support::{Tree, kind, path};

async fn rename(tree: &Tree, from: &str, to: &str, replace: Replace) -> Result<(), ErrorKind> {
    let renamed = tree.storage.rename(&path(from), &path(to), replace).await;
    renamed.map_err(|error| error.kind())
}

#[tokio::test]
async fn directories_are_made_where_the_one_above_is() {
    let tree = Tree::with(Options { directory_mode: 0o700, ..Options::default() });
    tree.storage.make_directory(&path("a")).await.unwrap();
    tree.storage.make_directory(&path("a/b")).await.unwrap();
    let mode = fs::metadata(tree.local("a/b")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    tree.put("file", b"");
    let made = async |name| kind(tree.storage.make_directory(&path(name)).await);
    assert_eq!(made("a").await, ErrorKind::Exists);
    assert_eq!(made("file").await, ErrorKind::Exists);
    assert_eq!(made("/").await, ErrorKind::Exists);
    assert_eq!(made("missing/b").await, ErrorKind::NotFound);
    assert_eq!(made("file/b").await, ErrorKind::NotADirectory);
}

#[tokio::test]
async fn only_empty_directories_are_removed_and_never_the_root() {
    let tree = Tree::new();
    fs::create_dir_all(tree.local("full/inner")).unwrap();
    tree.put("file", b"");
    let removed = async |name| kind(tree.storage.remove_directory(&path(name)).await);
    assert_eq!(removed("full").await, ErrorKind::NotEmpty);
    assert_eq!(removed("file").await, ErrorKind::NotADirectory);
    assert_eq!(removed("missing").await, ErrorKind::NotFound);
    assert_eq!(removed("/").await, ErrorKind::Denied);
    tree.storage.remove_directory(&path("full/inner")).await.unwrap();
    tree.storage.remove_directory(&path("full")).await.unwrap();
    assert_eq!(tree.names(), ["file"]);
}

#[tokio::test]
async fn files_are_removed_and_directories_are_not() {
    let tree = Tree::new();
    fs::create_dir(tree.local("directory")).unwrap();
    tree.put("file", b"x");
    tree.storage.remove_file(&path("file")).await.unwrap();
    let removed = async |name| kind(tree.storage.remove_file(&path(name)).await);
    assert_eq!(removed("file").await, ErrorKind::NotFound);
    assert_eq!(removed("directory").await, ErrorKind::IsADirectory);
    assert_eq!(removed("/").await, ErrorKind::Denied);
    assert_eq!(tree.names(), ["directory"]);
}

#[tokio::test]
async fn large_files_are_removed_too() {
    let tree = Tree::new();
    fs::File::create(tree.local("large")).unwrap().set_len(100 << 20).unwrap();
    tree.storage.remove_file(&path("large")).await.unwrap();
    assert!(tree.names().is_empty());
}

#[tokio::test]
async fn a_rename_replaces_a_file_only_where_that_is_asked_for() {
    let tree = Tree::new();
    tree.put("one", b"1");
    tree.put("two", b"2");
    assert_eq!(rename(&tree, "one", "two", Replace::Never).await, Err(ErrorKind::Exists));
    assert_eq!(tree.get("two"), b"2");
    assert_eq!(rename(&tree, "one", "two", Replace::File).await, Ok(()));
    assert_eq!(tree.get("two"), b"1");
    assert_eq!(rename(&tree, "two", "three", Replace::Never).await, Ok(()));
    assert_eq!(tree.names(), ["three"]);
}

#[tokio::test]
async fn a_rename_never_replaces_a_directory() {
    let tree = Tree::new();
    for name in ["empty", "full", "full/inner", "moved"] {
        fs::create_dir(tree.local(name)).unwrap();
    }
    tree.put("file", b"x");
    for replace in [Replace::Never, Replace::File] {
        for (from, to) in
            [("file", "empty"), ("file", "full"), ("moved", "empty"), ("moved", "full")]
        {
            assert_eq!(rename(&tree, from, to, replace).await, Err(ErrorKind::Exists));
        }
        assert_eq!(rename(&tree, "moved", "file", replace).await, Err(ErrorKind::Exists));
    }
    assert_eq!(rename(&tree, "moved", "full/moved", Replace::File).await, Ok(()));
    assert_eq!(tree.names(), ["empty", "file", "full"]);
}

#[tokio::test]
async fn renames_that_make_no_sense_are_refused() {
    let tree = Tree::new();
    fs::create_dir_all(tree.local("a/b")).unwrap();
    let to = async |from, to| rename(&tree, from, to, Replace::File).await.unwrap_err();
    assert_eq!(to("missing", "x").await, ErrorKind::NotFound);
    assert_eq!(to("a", "missing/x").await, ErrorKind::NotFound);
    assert_eq!(to("a", "a/b/c").await, ErrorKind::BadName);
    assert_eq!(to("/", "x").await, ErrorKind::Denied);
    assert_eq!(to("a", "/").await, ErrorKind::Denied);
    assert_eq!(tree.names(), ["a"]);
}
