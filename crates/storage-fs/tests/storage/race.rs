//! Names that change while they are looked up.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use waft_core::storage::{FileKind, Replace, Storage, WriteMode};

use super::support::{SECRET, Tree, names_in, path};

/// Swaps two names over and over, until dropped.
struct Swapper {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Swapper {
    fn new(one: &Path, other: &Path) -> Swapper {
        let stop = Arc::new(AtomicBool::new(false));
        let (one, other, stopped) = (one.to_owned(), other.to_owned(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        Swapper { stop, thread: Some(thread) }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// How often both outcomes must have been seen before a race counts as run.
const SEEN: usize = 100;
const ATTEMPTS_MAX: usize = 1_000_000;

/// Runs `attempt` until it has succeeded and failed often enough.
async fn until_both_seen(mut attempt: impl AsyncFnMut() -> bool) {
    let mut seen = [0; 2];
    for _ in 0..ATTEMPTS_MAX {
        seen[usize::from(attempt().await)] += 1;
        if seen.iter().all(|&count| count >= SEEN) {
            return;
        }
    }
    panic!("the race was not run: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_directory_swapped_for_a_link_never_leads_out() {
    let tree = Tree::new();
    fs::create_dir(tree.local("d")).unwrap();
    tree.put("d/secret", b"inside");
    tree.link("../out", "link");
    let swapper = Swapper::new(&tree.local("d"), &tree.local("link"));
    until_both_seen(async || {
        if let Ok(facts) = tree.storage.stat(&path("d/secret")).await {
            assert_eq!(facts.size, 6);
        }
        for (_, facts) in tree.list("d").await.unwrap_or_default() {
            assert_eq!(facts.size, 6);
        }
        let read = tree.download("d/secret", 0).await;
        if let Ok(contents) = &read {
            assert_eq!(contents, b"inside");
        }
        read.is_ok()
    })
    .await;
    drop(swapper);
    tree.assert_outside_untouched();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_swapped_for_a_link_is_never_read_through_it() {
    let tree = Tree::new();
    tree.put("file", b"inside");
    tree.link("../secret", "link");
    let swapper = Swapper::new(&tree.local("file"), &tree.local("link"));
    until_both_seen(async || {
        if let Ok(facts) = tree.storage.stat(&path("file")).await {
            assert!(facts.kind == FileKind::Symlink || facts.size == 6);
        }
        match tree.download("file", 0).await {
            Ok(contents) => {
                assert_ne!(contents, SECRET);
                true
            }
            Err(_) => false,
        }
    })
    .await;
    drop(swapper);
    tree.assert_outside_untouched();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_written_made_or_removed_through_a_swapped_directory() {
    let tree = Tree::new();
    fs::create_dir(tree.local("d")).unwrap();
    tree.link("../out", "link");
    let swapper = Swapper::new(&tree.local("d"), &tree.local("link"));
    until_both_seen(async || {
        let (file, directory) = (path("d/file"), path("d/directory"));
        let Ok(writer) = tree.storage.open_write(&file, WriteMode::Replace).await else {
            return false;
        };
        writer.finish().await.unwrap();
        let _ = tree.storage.make_directory(&directory).await;
        let _ = tree.storage.rename(&file, &path("d/renamed"), Replace::File).await;
        let _ = tree.storage.remove_file(&path("d/secret")).await;
        let _ = tree.storage.remove_directory(&directory).await;
        true
    })
    .await;
    drop(swapper);
    tree.assert_outside_untouched();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn appending_never_goes_through_a_swapped_name() {
    let tree = Tree::new();
    tree.put("file", b"");
    tree.link("../secret", "link");
    let swapper = Swapper::new(&tree.local("file"), &tree.local("link"));
    until_both_seen(async || {
        let appended = tree.storage.open_write(&path("file"), WriteMode::Append).await;
        let Ok(mut writer) = appended else { return false };
        writer.write(b"x".to_vec()).await.unwrap();
        let _ = writer.finish().await;
        true
    })
    .await;
    drop(swapper);
    tree.assert_outside_untouched();
    assert!(names_in(&tree.local("")).len() >= 2);
}
