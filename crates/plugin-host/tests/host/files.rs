//! Which files become plugins, and who may write to them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use waft_plugin_host::{
    Changed, ClientReach, Concern, Host, HostSettings, PluginSettings, Refusal, What,
};

use crate::support::*;

fn names(host: &Host) -> Vec<String> {
    host.status().plugins.into_iter().map(|plugin| plugin.name).collect()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn every_component_dropped_in_is_loaded_in_the_order_of_names() {
    let directory = Directory::new();
    for name in ["b.wasm", "a.wasm", ".hidden.wasm", "c.wasm.tmp", "c.part", "c.wasm~", "c.txt"] {
        directory.put(name, &echo());
    }
    let host = load(directory.settings()).await;
    assert_eq!(names(&host), ["a", "b"]);
}

#[tokio::test]
async fn settings_find_their_file_by_name_or_by_path() {
    let directory = Directory::new();
    directory.put("by-name.wasm", &echo());
    directory.put("file.wasm", &echo());
    let around = directory.path().join("../").join(directory.path().file_name().unwrap());
    let plugins = vec![
        plugin("by-name", &[("answer.NOOP", "200 by name")]),
        PluginSettings {
            path: Some(around.join("file.wasm")),
            ..plugin("by-path", &[("answer.PWD", "200 by path")])
        },
    ];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    assert_eq!(names(&host), ["by-name", "by-path"]);
    assert_eq!(ask(&host, "NOOP").await, "by-name answers: 200 by name");
    assert_eq!(ask(&host, "PWD").await, "by-path answers: 200 by path");
}

#[tokio::test]
async fn a_plugin_that_others_could_replace_is_refused() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    chmod(directory.path(), 0o757);
    let errors = load_errors(directory.settings()).await;
    let path = directory.path().to_owned();
    assert_eq!(errors.0[0].refusal, Refusal::WritableByOthers { path, mode: 0o757 });
    assert!(errors.to_string().contains("remedy: chmod go-w"), "{errors}");
    chmod(directory.path(), 0o1777);
    assert!(load_errors(directory.settings()).await.to_string().contains("mode 1777"));
    chmod(directory.path(), 0o700);
    chmod(&directory.file("echo.wasm"), 0o666);
    assert!(load_errors(directory.settings()).await.to_string().contains("echo.wasm is writable"));
    chmod(&directory.file("echo.wasm"), 0o644);
    load(directory.settings()).await;
}

/// Gives a file to another user, which root alone can do: tells whether it was done.
fn give_away(path: &Path, uid: u32) -> bool {
    std::os::unix::fs::lchown(path, Some(uid), None).is_ok()
}

#[tokio::test]
async fn a_plugin_that_belongs_to_another_user_is_refused_unless_the_server_becomes_that_user() {
    const STRANGER: u32 = 4711;
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    let named = || {
        let plugins =
            vec![PluginSettings { path: Some(directory.file("echo.wasm")), ..plugin("echo", &[]) }];
        HostSettings { plugins, directory: None, ..directory.settings() }
    };
    let as_stranger = |settings| HostSettings { run_as: Some(STRANGER), ..settings };
    // What is one's own may belong to the user that one becomes, too.
    load(as_stranger(directory.settings())).await;
    for path in [directory.path().to_owned(), directory.file("echo.wasm")] {
        let own = fs::metadata(&path).unwrap().uid();
        if !give_away(&path, STRANGER) {
            assert_ne!(own, 0, "root can");
            return;
        }
        for settings in [directory.settings(), named()] {
            let errors = load_errors(settings.clone()).await;
            let refusal = Refusal::OwnedByOthers { path: path.clone(), uid: STRANGER };
            assert_eq!(errors.0[0].refusal, refusal);
            let remedy = format!("if you trust what it holds: chown root {}", path.display());
            assert!(errors.to_string().ends_with(&remedy), "{errors}");
            load(as_stranger(settings)).await;
        }
        give_away(&path, own);
    }
    load(directory.settings()).await;
}

#[tokio::test]
async fn a_component_that_is_given_to_another_user_does_not_replace_the_one_in_force() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    let host = load(directory.settings()).await;
    if !give_away(&directory.file("echo.wasm"), 4711) {
        return;
    }
    let report = host.rescan().await;
    let refusal = Refusal::OwnedByOthers { path: directory.file("echo.wasm"), uid: 4711 };
    assert_eq!(report.changes[0].what, What::Kept(refusal));
    assert_eq!(names(&host), ["echo"]);
}

#[tokio::test]
async fn several_names_are_told_of_where_clients_write_them_as_the_user_of_the_server() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    fs::hard_link(directory.file("echo.wasm"), directory.file("other")).unwrap();
    let device = fs::metadata(directory.path()).unwrap().dev();
    let changed = Changed { root: "/srv".into(), who: "alice".to_owned() };
    let there = changed.clone();
    let on = move |of: u64| (of == device).then(|| there.clone());
    let clients = |reach| HostSettings { clients: Some(reach), ..directory.settings() };
    let concerned = clients(ClientReach::new(|_| None, on));
    let concerns = |host: Host| host.status().plugins[0].concerns.clone();
    let file = directory.file("echo.wasm");
    let concern = Concern::SeveralNames { file, names: 2, changed };
    assert_eq!(concerns(load(concerned.clone()).await), [concern]);
    // Stores of packages and images are root's, and the server another user.
    let elsewhere = clients(ClientReach::new(|_| None, |_| None));
    let as_another = HostSettings { run_as: Some(4711), ..concerned };
    for settings in [directory.settings(), elsewhere, as_another] {
        assert_eq!(concerns(load(settings).await), []);
    }
}

#[tokio::test]
async fn a_file_named_in_the_settings_may_lie_in_a_sticky_directory() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    chmod(directory.path(), 0o1777);
    let path = Some(directory.file("echo.wasm"));
    let plugins = vec![PluginSettings { path: path.clone(), ..plugin("echo", &[]) }];
    load(HostSettings { plugins: plugins.clone(), ..HostSettings::default() }).await;
    chmod(directory.path(), 0o777);
    load_errors(HostSettings { plugins, ..HostSettings::default() }).await;
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_a_mistake() {
    let directory = Directory::new();
    let settings =
        HostSettings { directory: Some(directory.file("no")), ..HostSettings::default() };
    let errors = load_errors(settings).await;
    assert_eq!(errors.0[0].refusal, Refusal::Missing);
    assert_eq!(errors.0[0].file, Some(directory.file("no")));
    let host = load(HostSettings::default()).await;
    assert_eq!(names(&host), [""; 0], "no directory at all is fine");
}

#[tokio::test]
async fn a_rehearsal_leaves_nothing_that_the_user_of_the_server_could_not_read() {
    let (directory, state) = (Directory::new(), Directory::new());
    directory.put("echo.wasm", &echo());
    let rehearse = |path: std::path::PathBuf| {
        let state = Some(path);
        load(HostSettings { state, rehearsal: true, ..directory.settings() })
    };
    rehearse(state.file("none")).await;
    assert!(!state.file("none").exists());
    if give_away(state.path(), 4711) {
        rehearse(state.path().to_owned()).await;
        assert!(!state.file("plugins").exists());
        give_away(state.path(), 0);
    }
    rehearse(state.path().to_owned()).await;
    assert!(state.file("plugins").exists());
}

#[tokio::test]
async fn compiled_components_are_kept_in_the_state_directory_and_damaged_ones_made_anew() {
    let (directory, state) = (Directory::new(), Directory::new());
    directory.put("echo.wasm", &echo());
    let settings = HostSettings { state: Some(state.path().to_owned()), ..directory.settings() };
    load(settings.clone()).await;
    let compiled = || {
        let files = fs::read_dir(state.file("plugins")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        files.find(|file| file.extension().is_some_and(|e| e == "cwasm")).unwrap()
    };
    let good = fs::read(compiled()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.file("plugins")), 0o700);
    assert_eq!(mode(&state.file("plugins/key")), 0o600);
    load(settings.clone()).await;
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    // Beside it first: what is mapped is not written to.
    state.put("damaged", &damaged);
    fs::rename(state.file("damaged"), compiled()).unwrap();
    let host = load(settings).await;
    assert_eq!(ask(&host, "NOOP").await, "pass");
    assert_ne!(fs::read(compiled()).unwrap(), damaged, "it was compiled and kept again");
}
