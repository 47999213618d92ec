//! What `inspect` and `check` tell.

use waft_plugin_host::{HostSettings, PluginSettings, Refusal, check, inspect};

use crate::support::*;

#[tokio::test]
async fn a_component_is_told_with_its_hooks_and_capabilities() {
    let bytes = component("command-policy");
    let told = inspect(&bytes).await.unwrap();
    assert_eq!(told.problems, []);
    assert_eq!(told.bytes, bytes.len() as u64);
    assert_eq!(told.sha256.len(), 64);
    assert_eq!(told.wit_version.as_deref(), Some("0.1.1"));
    let hooks: Vec<_> = told.hooks.iter().map(|hook| hook.name.as_str()).collect();
    assert!(hooks.contains(&"command-filter") && hooks.contains(&"reply-filter"), "{hooks:?}");
    assert!(told.hooks.iter().all(|hook| hook.available));
    assert!(told.capabilities.iter().all(|capability| capability.available));
    assert!(told.capabilities.iter().any(|known| known.name == "waft:plugin/config@0.1.1"));
    let descriptor = told.descriptor.unwrap();
    assert!(!descriptor.name.is_empty() && !descriptor.version.is_empty());
    assert!(told.producers.iter().any(|producer| producer.name == "rustc"), "{:?}", told.producers);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let bytes = wat(r#"(component
            (import "waft:plugin/telepathy@0.1.0" (instance))
            (import "wasi:nn/graph@0.2.0" (instance))
            (import "waft:plugin/kv@0.1.0" (instance))
            (import "wasi:http/types@0.2.3" (instance))
            (instance $hook)
            (export "waft:plugin/telepath@0.1.0" (instance $hook))
        )"#);
    let told = inspect(&bytes).await.unwrap();
    let problems: Vec<_> = told.problems.iter().map(|problem| problem.reason.as_str()).collect();
    assert_eq!(
        problems,
        [
            "exports no waft:plugin/lifecycle",
            "exports waft:plugin/telepath@0.1.0, which is no hook of this server",
            "imports waft:plugin/telepathy@0.1.0, which is not available in this version",
            "imports wasi:nn/graph@0.2.0, which is not available in this version",
        ]
    );
    assert!(told.problems.iter().all(|problem| problem.remedy.is_some()));
    assert!(told.descriptor.is_none());
    assert!(!told.capabilities[0].available && !told.hooks[0].available);
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["hooks"][0]["name"], "telepath");
    assert_eq!(json["capabilities"][2]["grant"], "kv");
    let lines = "[plugin.grant]\nkv = \"1 MiB\"\nhttp = [\"https://service.example.org/path\"]";
    assert_eq!(told.grants.as_deref(), Some(lines));
}

#[tokio::test]
async fn what_is_no_component_cannot_be_inspected() {
    assert!(matches!(inspect(b"#!/bin/sh\n").await, Err(Refusal::NotWasm(_))));
    assert_eq!(inspect(&wat("(module)")).await.unwrap_err(), Refusal::CoreModule);
}

#[tokio::test]
async fn check_loads_a_plugin_with_its_settings() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    let path = Some(directory.file("echo.wasm"));
    let good = PluginSettings { path: path.clone(), ..plugin("echo", &[("answer.NOOP", "200 x")]) };
    let host = HostSettings::default();
    let told = check(&good, &host).await.unwrap();
    let verbs = told.descriptor.unwrap().command_verbs;
    assert_eq!(verbs.as_deref(), Some(&["NOOP".to_owned()][..]));
    let bad = PluginSettings { path, ..plugin("echo", &[("answer.NOOP", "hello")]) };
    let error = check(&bad, &host).await.unwrap_err();
    assert!(
        matches!(&error.refusal, Refusal::SaidNo(reason) if reason.contains("hello")),
        "{error}"
    );
    let missing = PluginSettings { path: Some(directory.file("no.wasm")), ..plugin("no", &[]) };
    assert_eq!(check(&missing, &host).await.unwrap_err().refusal, Refusal::Missing);
}
