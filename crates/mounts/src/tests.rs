use tempfile::TempDir;
use waft_storage_fs::{LocalStorage, Options};

use super::*;

struct World {
    base: TempDir,
    inner: TempDir,
    _third: TempDir,
    storage: Mounts,
}

/// A directory with another one at `/a/b`, in which there is `/deep`, and a third one at `/a/b/c`.
fn world() -> World {
    let [base, inner, third] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    std::fs::write(base.path().join("file"), "base").unwrap();
    std::fs::create_dir(inner.path().join("deep")).unwrap();
    std::fs::write(inner.path().join("file"), "inner").unwrap();
    let open = |directory: &TempDir| -> Arc<dyn Storage> {
        Arc::new(LocalStorage::open(directory.path(), Options::default()).unwrap())
    };
    let mounts = vec![(at("/a/b"), open(&inner)), (at("/a/b/c"), open(&third))];
    World { storage: Mounts::new(open(&base), mounts), base, inner, _third: third }
}

fn at(path: &str) -> VirtualPath {
    VirtualPath::root().join(path.as_bytes()).unwrap()
}

async fn names(storage: &Mounts, path: &str) -> Vec<String> {
    let mut directory = storage.open_directory(&at(path)).await.unwrap();
    let (mut names, mut batch) = (Vec::new(), waft_core::storage::Batch::default());
    loop {
        directory.read(&mut batch).await.unwrap();
        if batch.is_empty() {
            names.sort();
            return names;
        }
        names.extend(batch.iter().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()));
    }
}

async fn content(storage: &Mounts, path: &str) -> Vec<u8> {
    let mut reader = storage.open_read(&at(path), 0).await.unwrap();
    reader.read(Vec::with_capacity(100)).await.unwrap()
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

#[tokio::test]
async fn every_path_belongs_to_the_nearest_mount() {
    let world = world();
    assert_eq!(content(&world.storage, "/file").await, b"base");
    assert_eq!(content(&world.storage, "/a/b/file").await, b"inner");
    assert_eq!(kind(world.storage.stat(&at("/a/b/c/file")).await), ErrorKind::NotFound);
    assert_eq!(kind(world.storage.stat(&at("/a/bc")).await), ErrorKind::NotFound);
    world.storage.make_directory(&at("/a/b/new")).await.unwrap();
    assert!(world.inner.path().join("new").is_dir());
}

#[tokio::test]
async fn listings_show_mount_points_and_the_way_to_them() {
    let world = world();
    assert_eq!(names(&world.storage, "/").await, ["a", "file"]);
    assert_eq!(names(&world.storage, "/a").await, ["b"]);
    assert_eq!(names(&world.storage, "/a/b").await, ["c", "deep", "file"]);
    assert_eq!(names(&world.storage, "/a/b/c").await, [""; 0]);
    for path in ["/a", "/a/b", "/a/b/c"] {
        let found = world.storage.stat(&at(path)).await.unwrap();
        assert_eq!(found.kind, FileKind::Directory, "{path}");
    }
}

#[tokio::test]
async fn what_has_the_name_of_a_mount_point_is_hidden_by_it() {
    let world = world();
    std::fs::write(world.base.path().join("a"), "file").unwrap();
    assert_eq!(names(&world.storage, "/").await, ["a", "file"]);
    assert_eq!(names(&world.storage, "/a").await, ["b"]);
    assert_eq!(world.storage.stat(&at("/a")).await.unwrap().kind, FileKind::Directory);
    assert_eq!(kind(world.storage.open_read(&at("/a"), 0).await), ErrorKind::IsADirectory);
}

#[tokio::test]
async fn mount_points_and_the_way_to_them_stay() {
    let world = world();
    for path in ["/a", "/a/b"] {
        let path = &at(path);
        assert_eq!(kind(world.storage.remove_directory(path).await), ErrorKind::Denied);
        assert_eq!(kind(world.storage.make_directory(path).await), ErrorKind::Exists);
        let renamed = world.storage.rename(path, &at("/x"), Replace::File).await;
        assert_eq!(kind(renamed), ErrorKind::Denied);
        let renamed = world.storage.rename(&at("/file"), path, Replace::File).await;
        assert_eq!(kind(renamed), ErrorKind::Denied);
        let checked = world.storage.check_write(path, WriteMode::Replace).await;
        assert_eq!(kind(checked), ErrorKind::IsADirectory);
    }
}

#[tokio::test]
async fn nothing_is_renamed_from_one_storage_to_another() {
    let world = world();
    let renamed = world.storage.rename(&at("/file"), &at("/a/b/x"), Replace::Never).await;
    assert_eq!(kind(renamed), ErrorKind::CrossDevice);
    world.storage.rename(&at("/a/b/file"), &at("/a/b/deep/x"), Replace::Never).await.unwrap();
    assert!(world.inner.path().join("deep/x").is_file());
}

#[tokio::test]
async fn a_directory_of_a_storage_is_a_storage_and_there_is_no_way_out_of_it() {
    let world = world();
    let storage: Arc<dyn Storage> = Arc::new(world.storage.clone());
    let subtree = Subtree::new(storage, at("/a/b"));
    let listed = Mounts::new(Arc::new(subtree.clone()), Vec::new());
    assert_eq!(names(&listed, "/").await, ["c", "deep", "file"]);
    assert_eq!(content(&listed, "/file").await, b"inner");
    assert_eq!(content(&listed, "/../../file").await, b"inner");
    subtree.make_directory(&at("/deep/new")).await.unwrap();
    assert!(world.inner.path().join("deep/new").is_dir());
    subtree.rename(&at("/file"), &at("/deep/moved"), Replace::Never).await.unwrap();
    assert!(world.inner.path().join("deep/moved").is_file());
    let facts = subtree.facts().unwrap();
    facts.set_mode(&at("/deep/moved"), 0o600).await.unwrap();
    assert_eq!(subtree.stat(&at("/deep/moved")).await.unwrap().mode, Some(0o600));
    assert!(subtree.space().unwrap().available(&at("/")).await.unwrap() > 0);
}

#[tokio::test]
async fn the_root_of_a_subtree_stays_and_is_no_file() {
    let world = world();
    let storage: Arc<dyn Storage> = Arc::new(world.storage.clone());
    let of = |root: &str| Subtree::new(Arc::clone(&storage), at(root));
    let root = &at("/");
    let subtree = of("/a/b/deep");
    assert_eq!(kind(subtree.remove_directory(root).await), ErrorKind::Denied);
    assert_eq!(kind(subtree.rename(root, &at("/x"), Replace::File).await), ErrorKind::Denied);
    assert!(world.inner.path().join("deep").is_dir());
    let file = of("/file");
    assert_eq!(kind(file.open_read(root, 0).await), ErrorKind::Denied);
    assert_eq!(kind(file.check_write(root, WriteMode::Replace).await), ErrorKind::Denied);
    assert_eq!(kind(file.remove_file(root).await), ErrorKind::Denied);
    assert_eq!(kind(of("/gone").stat(root).await), ErrorKind::NotFound);
}
