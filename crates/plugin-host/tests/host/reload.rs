//! Files and settings that change under a running host.

use std::fs;
use std::io::Write;
use std::time::Duration;

use waft_core::hooks::HookSource;
use waft_plugin_host::{HostSettings, OnLoadError, Refusal, What};

use crate::support::*;

/// Another component with the behaviour of `bytes`: a custom section more.
fn variant(bytes: &[u8], tag: u8) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other.extend([0, 3, 1, b'v', tag]);
    other
}

fn answering(directory: &Directory, words: &str) -> HostSettings {
    let plugins = vec![plugin("p", &[("answer.PORT", words)])];
    HostSettings { plugins, ..directory.settings() }
}

#[tokio::test]
async fn a_replaced_file_is_loaded_and_the_next_command_gets_it() {
    let directory = Directory::new();
    directory.put("p.wasm", &hostile());
    let host = load(directory.settings()).await;
    let _watching = host.watch().unwrap();
    let before = host.status().plugins[0].sha256.clone();
    assert_eq!(
        (host.generation(), said(&report(&host, 1).await)),
        (1, vec!["p: Loaded".to_owned()])
    );
    directory.put("p.wasm", &variant(&hostile(), 1));
    let second = report(&host, 2).await;
    assert_eq!((second.generation, said(&second)), (2, vec!["p: Replaced".to_owned()]));
    let status = host.status();
    assert_eq!((status.generation, status.plugins[0].since_generation), (2, 2));
    assert_ne!(status.plugins[0].sha256, before);
}

#[tokio::test]
async fn a_command_keeps_the_generation_that_it_began_with() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(answering(&directory, "502 old")).await;
    let old = host.current();
    host.reconfigure(answering(&directory, "502 new")).await.unwrap();
    assert_eq!(ask_of(&*old, &session(), "PORT 1").await, "p answers: 502 old");
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 new");
}

#[tokio::test]
async fn garbage_leaves_the_old_version_in_force_and_is_told_once() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let log = Log::listen();
    let host = load(answering(&directory, "502 old")).await;
    let _watching = host.watch().unwrap();
    directory.overwrite("p.wasm", b"garbage");
    let second = report(&host, 2).await;
    assert_eq!(second.generation, 1);
    assert!(matches!(&second.changes[0].what, What::Kept(Refusal::NotWasm(_))), "{second:?}");
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
    // Touched, the same bytes are no news.
    directory.put("p.wasm", b"garbage");
    assert_eq!(host.rescan().await.sequence, 2);
    assert_eq!(host.rescan().await.sequence, 2);
    assert_eq!(log.lines_with("plugin not replaced").len(), 1);
    directory.put("p.wasm", b"other garbage");
    report(&host, 3).await;
    let told = log.lines_with("plugin not replaced");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("ERROR") && told[0].contains("not a WebAssembly component"));
    directory.put("p.wasm", &variant(&echo(), 1));
    assert_eq!(said(&report(&host, 4).await), ["p: Replaced"]);
}

#[tokio::test]
async fn putting_the_good_file_back_is_no_reload() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(answering(&directory, "502 old")).await;
    directory.put("p.wasm", b"garbage");
    assert_eq!(host.rescan().await.sequence, 2);
    directory.put("p.wasm", &echo());
    assert_eq!(host.rescan().await.sequence, 2);
    assert_eq!(host.generation(), 1);
    directory.put("p.wasm", b"garbage");
    assert_eq!(host.rescan().await.sequence, 3, "the trouble had been put right");
}

#[tokio::test]
async fn half_a_file_is_never_loaded() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(answering(&directory, "502 old")).await;
    let _watching = host.watch().unwrap();
    let new = variant(&echo(), 1);
    let (half, rest) = new.split_at(new.len() / 2);
    let mut file = fs::File::create(directory.file("p.wasm")).unwrap();
    file.write_all(half).unwrap();
    let second = report(&host, 2).await;
    assert!(matches!(&second.changes[0].what, What::Kept(Refusal::NotWasm(_))), "{second:?}");
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
    file.write_all(rest).unwrap();
    drop(file);
    assert_eq!(said(&report(&host, 3).await), ["p: Replaced"]);
}

#[tokio::test]
async fn a_file_dropped_in_is_loaded_and_a_removed_one_is_gone() {
    let directory = Directory::new();
    let host = load(directory.settings()).await;
    let _watching = host.watch().unwrap();
    assert_eq!((host.generation(), is_asked(&host, "NOOP")), (1, false));
    directory.put("new.wasm", &hostile());
    let first = report(&host, 1).await;
    assert_eq!((first.generation, said(&first)), (2, vec!["new: Loaded".to_owned()]));
    assert!(is_asked(&host, "NOOP"));
    directory.remove("new.wasm");
    let second = report(&host, 2).await;
    assert_eq!((second.generation, said(&second)), (3, vec!["new: Removed".to_owned()]));
    assert!(!is_asked(&host, "NOOP"));
}

#[tokio::test]
async fn settings_wait_for_the_component_that_is_dropped_in() {
    let directory = Directory::new();
    let host = load(answering(&directory, "502 waited")).await;
    let _watching = host.watch().unwrap();
    assert_eq!(ask(&host, "PORT 1").await, "pass");
    directory.put("p.wasm", &echo());
    assert_eq!(said(&report(&host, 1).await), ["p: Loaded"]);
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 waited");
}

#[tokio::test]
async fn a_required_plugin_outlives_its_file() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let required = |words: &str| {
        let mut settings = answering(&directory, words);
        settings.plugins[0].required = true;
        settings
    };
    let host = load(required("502 kept")).await;
    let _watching = host.watch().unwrap();
    directory.remove("p.wasm");
    assert_eq!(said(&report(&host, 2).await), ["p: Kept(Missing)"]);
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 kept");
    host.reconfigure(required("502 reworded")).await.unwrap();
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 reworded");
}

#[tokio::test]
async fn a_plugin_that_is_named_comes_back_with_its_file() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(answering(&directory, "502 here")).await;
    directory.remove("p.wasm");
    assert_eq!(said(&host.rescan().await), ["p: Removed"]);
    assert_eq!(ask(&host, "PORT 1").await, "pass");
    directory.put("p.wasm", &echo());
    assert_eq!(said(&host.rescan().await), ["p: Loaded"]);
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 here");
}

#[tokio::test]
async fn settings_change_as_one_generation_or_not_at_all() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    directory.put("q.wasm", &echo());
    let host = load(answering(&directory, "502 old")).await;
    let mut broken = answering(&directory, "502 new");
    broken.plugins.push(plugin("q", &[("answer.NOOP", "no code")]));
    let errors = host.reconfigure(broken.clone()).await.unwrap_err();
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!((host.generation(), ask(&host, "PORT 1").await), (1, "p answers: 502 old".into()));
    broken.plugins[1] = plugin("q", &[("answer.NOOP", "200 q")]);
    assert_eq!(host.reconfigure(broken.clone()).await, Ok(2));
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 new");
    assert_eq!(ask(&host, "NOOP").await, "q answers: 200 q");
    assert_eq!(host.reconfigure(broken).await, Ok(2), "nothing new");
}

#[tokio::test]
async fn settings_that_are_not_taken_stay_trouble_until_a_start_with_them_succeeds() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let settings = |words: &str| {
        let mut settings = answering(&directory, words);
        settings.plugins[0].on_load_error = OnLoadError::Disable;
        settings
    };
    let host = load(settings("502 old")).await;
    host.reconfigure(settings("no code")).await.unwrap();
    let trouble = || host.status().plugins[0].trouble.clone().unwrap_or_default();
    assert!(trouble().starts_with("init failed"), "{}", trouble());
    directory.put("p.wasm", &echo());
    host.rescan().await;
    assert!(trouble().starts_with("init failed"), "{}", trouble());
    let changes = host.reload(Some("p")).await.unwrap();
    assert!(matches!(changes[0].what, What::Kept(Refusal::SaidNo(_))), "{changes:?}");
    assert!(trouble().starts_with("init failed"), "{}", trouble());
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 old");
    host.reconfigure(settings("502 new")).await.unwrap();
    assert_eq!(
        (trouble().as_str(), ask(&host, "PORT 1").await.as_str()),
        ("", "p answers: 502 new")
    );
}

#[tokio::test]
async fn settings_change_although_a_file_went_bad_meanwhile() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let host = load(answering(&directory, "502 old")).await;
    directory.put("p.wasm", b"garbage");
    host.rescan().await;
    assert_eq!(host.reconfigure(answering(&directory, "502 new")).await, Ok(2));
    assert_eq!(ask(&host, "PORT 1").await, "p answers: 502 new");
}

#[tokio::test]
async fn a_directory_that_comes_with_new_settings_is_watched_too() {
    let (one, other) = (Directory::new(), Directory::new());
    let host = load(one.settings()).await;
    let _watching = host.watch().unwrap();
    host.reconfigure(other.settings()).await.unwrap();
    other.put("p.wasm", &hostile());
    assert_eq!(said(&report(&host, 1).await), ["p: Loaded"]);
}

#[tokio::test]
async fn changes_that_nobody_announces_are_found_from_time_to_time() {
    let directory = Directory::new();
    let target = Directory::new();
    target.put("p.wasm", &echo());
    std::os::unix::fs::symlink(target.file("p.wasm"), directory.file("p.wasm")).unwrap();
    let settings = HostSettings { poll: Duration::from_millis(5), ..directory.settings() };
    let host = load(settings).await;
    let _watching = host.watch().unwrap();
    // Nothing happens in the directory that is watched.
    target.put("p.wasm", &variant(&echo(), 1));
    assert_eq!(said(&report(&host, 2).await), ["p: Replaced"]);
}

#[tokio::test]
async fn an_unreadable_directory_takes_nothing_away() {
    let directory = Directory::new();
    let inner = directory.file("plugins");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("p.wasm"), hostile()).unwrap();
    let settings = HostSettings { directory: Some(inner.clone()), ..directory.settings() };
    let host = load(settings).await;
    fs::rename(&inner, directory.file("away")).unwrap();
    let report = host.rescan().await;
    assert_eq!(said(&report), ["(directory): Refused(Missing)"]);
    assert_eq!((host.generation(), host.status().plugins.len()), (1, 1));
    assert_eq!(host.rescan().await.sequence, report.sequence, "told once");
    fs::rename(directory.file("away"), &inner).unwrap();
    assert_eq!(host.rescan().await.sequence, report.sequence);
    assert_eq!(host.generation(), 1);
}
