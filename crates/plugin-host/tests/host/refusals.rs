//! Components that are not taken, and what is said of them.

use waft_plugin_host::{
    Crowd, Host, HostSettings, Isolation, OnLoadError, PluginSettings, Refusal,
};

use crate::support::*;

/// Why a dropped-in component is refused.
async fn refusal(bytes: &[u8]) -> Refusal {
    let directory = Directory::new();
    directory.put("p.wasm", bytes);
    let mut errors = load_errors(directory.settings()).await;
    assert_eq!(errors.0.len(), 1);
    errors.0.remove(0).refusal
}

#[tokio::test]
async fn what_cannot_be_bound_is_refused_by_name() {
    assert!(matches!(refusal(b"garbage").await, Refusal::NotWasm(_)));
    assert_eq!(refusal(b"").await, Refusal::Empty);
    assert_eq!(refusal(&wat("(module)")).await, Refusal::CoreModule);
    assert_eq!(refusal(&wat("(component)")).await, Refusal::NoLifecycle);
    let future =
        r#"(component (instance $i) (export "waft:plugin/lifecycle@0.2.0" (instance $i)))"#;
    assert_eq!(
        refusal(&wat(future)).await.to_string(),
        "built for waft:plugin 0.2.0, this server speaks 0.1.1"
    );
}

#[tokio::test]
async fn a_capability_that_is_not_here_is_named_with_a_remedy() {
    let with = |more: &str| {
        wat(&format!(
            r#"(component {more} (instance $i) (export "waft:plugin/lifecycle@0.1.0" (instance $i)))"#
        ))
    };
    let import = r#"(import "waft:plugin/telepathy@0.1.0" (instance))"#;
    let refused = refusal(&with(import)).await;
    assert_eq!(refused, Refusal::ImportNotServed("waft:plugin/telepathy@0.1.0".to_owned()));
    let import = r#"(import "wasi:filesystem/types@0.3.0" (instance))"#;
    let refused = refusal(&with(import)).await;
    assert!(refused.remedy().unwrap().contains("WASI 0.2"));
    assert!(matches!(refusal(&with("")).await, Refusal::Misfit(_)), "an empty lifecycle");
}

#[tokio::test]
async fn all_that_is_wrong_is_told_together() {
    let directory = Directory::new();
    directory.put("a.wasm", b"garbage");
    directory.put("b.wasm", &wat("(module)"));
    directory.put("good.wasm", &echo());
    let plugins = vec![
        PluginSettings { required: true, ..plugin("c", &[]) },
        PluginSettings { path: Some(directory.file("elsewhere.wasm")), ..plugin("good", &[]) },
    ];
    let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await;
    let told: Vec<_> = errors.0.iter().map(|e| (e.plugin.as_str(), &e.refusal)).collect();
    assert_eq!(told.len(), 5, "{errors}");
    assert_eq!(told[0], ("c", &Refusal::Missing));
    assert_eq!(told[1], ("good", &Refusal::Missing));
    assert!(matches!(told[2], ("a", Refusal::NotWasm(_))));
    assert_eq!(told[3], ("b", &Refusal::CoreModule));
    assert_eq!(told[4], ("good", &Refusal::NameTaken("good".to_owned())));
    assert_eq!(errors.to_string().lines().count(), 5);
    assert!(errors.to_string().contains("remedy: rename the file"));
}

#[tokio::test]
async fn a_plugin_may_be_disabled_by_its_own_failure() {
    let directory = Directory::new();
    directory.put("broken.wasm", b"garbage");
    directory.put("echo.wasm", &echo());
    let mut broken = plugin("broken", &[]);
    broken.on_load_error = OnLoadError::Disable;
    let plugins = vec![broken, plugin("echo", &[("answer.NOOP", "200 here")])];
    let log = Log::listen();
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    assert_eq!(ask(&host, "NOOP").await, "echo answers: 200 here");
    let told = log.lines_with("plugin not loaded");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("ERROR") && told[0].contains("plugin=\"broken\""));
}

#[tokio::test]
async fn instances_of_all_plugins_together_are_bounded() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    let mut greedy = plugin("echo", &[]);
    greedy.limits.instances_max = 100_000;
    let errors = load_errors(HostSettings { plugins: vec![greedy], ..directory.settings() }).await;
    assert!(matches!(errors.0[0].refusal, Refusal::TooManyInstances { wanted: 100_000, .. }));
}

#[tokio::test]
async fn instances_that_plugins_may_want_together_and_are_not_there_are_told() {
    let directory = Directory::new();
    let plugins: Vec<_> = [("a", 1500), ("b", 500), ("c", 100)]
        .map(|(name, places)| {
            directory.put(&format!("{name}.wasm"), &component("tests/customs"));
            let mut plugin = plugin(name, &[]);
            plugin.limits.transfers_max = places;
            plugin
        })
        .into();
    let settings = HostSettings { plugins, ..directory.settings() };
    let told =
        |host: &Host| -> Vec<_> { host.status().crowds.iter().map(Crowd::to_string).collect() };
    let host = load(settings.clone()).await;
    let expected = "transfers of all plugins may take 2100 instances, and there are 2048: a 1500, b 500, c 100";
    assert_eq!(told(&host), [expected]);
    assert_eq!(host.status().crowds[0].beyond(), Some("c"));
    // As many as there are sessions at most, and less where transfers share instances.
    host.reconfigure(HostSettings { sessions: Some(200), ..settings.clone() }).await.unwrap();
    assert_eq!(told(&host), [""; 0]);
    let mut sharing = settings;
    sharing.plugins[0].share = 2;
    host.reconfigure(sharing.clone()).await.unwrap();
    assert_eq!(told(&host), [""; 0]);
    // What comes by a file is logged by the host: there is no line that says so.
    let log = Log::listen();
    sharing.plugins.pop();
    sharing.dropped_in.limits.transfers_max = 1000;
    host.reconfigure(sharing).await.unwrap();
    assert_eq!(told(&host).len(), 1);
    directory.put("d.wasm", &component("tests/customs"));
    host.rescan().await;
    host.rescan().await;
    let lines = log.lines_with("a 750, b 500, c 1000, d 1000");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("plugin=\"c\"") && lines[0].contains("remedy="), "{}", lines[0]);
}

#[tokio::test]
async fn sessions_count_where_they_have_instances_of_their_own() {
    let directory = Directory::new();
    let plugins: Vec<_> =
        [("a", Isolation::Session), ("b", Isolation::Session), ("c", Isolation::Pool)]
            .map(|(name, isolation)| {
                directory.put(&format!("{name}.wasm"), &echo());
                let mut plugin = PluginSettings { isolation, ..plugin(name, &[]) };
                plugin.limits.sessions_max = 1500;
                plugin
            })
            .into();
    let host =
        load(HostSettings { plugins, memory_budget: 16 << 30, ..directory.settings() }).await;
    let crowds = host.status().crowds;
    assert_eq!((crowds.len(), crowds[0].of, crowds[0].wanted), (1, "sessions", 3000));
    assert_eq!(crowds[0].beyond(), Some("b"));
}

#[tokio::test]
async fn memory_that_a_component_wants_at_once_is_bounded_too() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    let mut small = plugin("echo", &[]);
    small.limits.memory = 64 * 1024;
    let errors = load_errors(HostSettings { plugins: vec![small], ..directory.settings() }).await;
    let refusal = &errors.0[0].refusal;
    assert!(matches!(refusal, Refusal::Memory { limit: 65536 }), "{refusal}");
}
