//! Every verdict, in every order, and what a guest is shown.

use std::sync::Arc;

use waft_core::hooks::HookSource;
use waft_plugin_host::{Grants, HostSettings, PluginSettings, Secret};
use waft_proto::{Code, Reply, Verb};

use crate::support::*;

#[tokio::test]
async fn a_plugin_passes_rewrites_answers_or_closes() {
    let config = [
        ("rewrite.CDUP", "CWD pub"),
        ("answer.PORT", "502 Use passive mode."),
        ("close.SITE", "421 Goodbye."),
    ];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    assert_eq!(ask(&host, "PWD").await, "pass");
    assert_eq!(ask(&host, "CDUP").await, "echo rewrites: CWD pub");
    assert_eq!(ask(&host, "PORT 1,2,3,4,5,6").await, "echo answers: 502 Use passive mode.");
    assert_eq!(ask(&host, "SITE x").await, "echo closes: 421 Goodbye.");
}

#[tokio::test]
async fn only_the_verbs_that_a_plugin_names_reach_it() {
    let config = [("answer.PORT", "502 no"), ("answer.XFOO", "502 no"), ("reply.PWD", "257 x")];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    let hooks = host.current();
    assert!(is_asked(&host, "PORT 1,2,3,4,5,6") && is_asked(&host, "XFOO"));
    assert!(!is_asked(&host, "PASV"));
    assert!(hooks.reply_interest().contains(Some(Verb::Pwd)));
    assert!(!hooks.reply_interest().contains(Some(Verb::Port)));
    assert_eq!(ask(&host, "XBAR").await, "pass");
    assert_eq!(host.status().plugins[0].counts.calls, 0);
    assert_eq!(ask(&host, "XFOO").await, "echo answers: 502 no");
    assert_eq!(host.status().plugins[0].counts.calls, 1);
}

#[tokio::test]
async fn a_rewritten_command_goes_on_to_the_next_plugin_and_never_back() {
    let directory = Directory::new();
    directory.put("a.wasm", &echo());
    directory.put("b.wasm", &echo());
    let a = plugin("a", &[("rewrite.CDUP", "CWD one"), ("answer.MKD", "550 never")]);
    let b = plugin("b", &[("rewrite.CWD", "MKD two"), ("answer.LIST", "550 b")]);
    let host = load(HostSettings { plugins: vec![a, b], ..directory.settings() }).await;
    assert_eq!(ask(&host, "CDUP").await, "b rewrites: MKD two");
    assert_eq!(ask(&host, "LIST").await, "b answers: 550 b");
}

#[tokio::test]
async fn what_answers_first_stops_the_command_and_no_later_plugin_sees_it() {
    let directory = Directory::new();
    for name in ["a", "b", "c"] {
        directory.put(&format!("{name}.wasm"), &echo());
    }
    let plugins = ["a", "b", "c"].map(|name| {
        plugin(
            name,
            &[("answer.NOOP", &format!("200 {name}")), ("reply.PWD", &format!("257 {name}"))],
        )
    });
    let in_order = |order: &[&str]| HostSettings {
        plugins: plugins.to_vec(),
        order: order.iter().map(|&name| name.to_owned()).collect(),
        ..directory.settings()
    };
    let host = load(in_order(&[])).await;
    let pwd = || reply(257, "server");
    assert_eq!(ask(&host, "NOOP").await, "a answers: 200 a");
    assert_eq!(reword(&host, Some("PWD"), pwd()).await, "a: 257 a", "replies come back in reverse");
    assert_eq!(host.status().plugins[1].counts.calls, 1, "b saw the reply only");
    host.reconfigure(in_order(&["c", "b"])).await.unwrap();
    assert_eq!(ask(&host, "NOOP").await, "c answers: 200 c");
    let mut settings = in_order(&[]);
    settings.plugins[1].priority = 1;
    host.reconfigure(settings).await.unwrap();
    assert_eq!(ask(&host, "NOOP").await, "b answers: 200 b");
}

#[tokio::test]
async fn a_guest_sees_the_session_as_it_is() {
    let (_directory, host) = host_of(&echo(), plugin("echo", &[("echo", "SITE")])).await;
    assert_eq!(
        ask(&host, "SITE helpé").await,
        "echo answers: 200-verb SITE\r\n arg helpé\r\n id 7\r\n remote 192.0.2.5 40001\r\n \
         listener outside\r\n tls TLSv1.3\r\n user alice\r\n200 cwd /pub/\\xff"
    );
}

#[tokio::test]
async fn a_secret_reaches_no_guest() {
    let config = [("echo", "PASS"), ("log", "ACCT")];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    let log = Log::listen();
    let seen = ask(&host, "PASS hunter2").await;
    assert!(seen.contains("arg none") && !seen.contains("hunter2"), "{seen}");
    assert_eq!(ask(&host, "PASS \u{ff}").await, seen);
    assert_eq!(ask(&host, b"PASS \xff\xfe").await, seen, "a password need not be UTF-8");
    ask(&host, "ACCT hunter2").await;
    assert!(log.lines_with("hunter2").is_empty());
}

#[tokio::test]
async fn an_argument_that_is_not_unicode_is_refused_where_a_plugin_decides() {
    let config = [("answer.STOR", "550 never"), ("answer.QUIT", "200 never")];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    assert_eq!(ask(&host, b"STOR \xff").await, "echo fails: 501 Argument is not UTF-8.");
    assert_eq!(ask(&host, b"RETR \xff").await, "pass", "no plugin decides about RETR");
    assert_eq!(ask(&host, b"QUIT \xff").await, "pass");
}

#[tokio::test]
async fn quit_and_abor_go_on_whatever_a_plugin_says() {
    let config = [("answer.QUIT", "500 no"), ("rewrite.ABOR", "NOOP")];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    assert_eq!(ask(&host, "QUIT").await, "pass");
    assert_eq!(ask(&host, "ABOR").await, "pass");
    let counts = host.status().plugins[0].counts;
    assert_eq!((counts.calls, counts.bad_verdicts), (2, 0));
}

#[tokio::test]
async fn an_answer_that_only_the_server_can_give_is_the_plugins_failure() {
    let config = [("answer.AUTH", "234 Go ahead"), ("answer.SITE", "200 fine")];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    assert_eq!(ask(&host, "AUTH TLS").await, "echo fails: 451 Local error: plugin failed.");
    assert_eq!(ask(&host, "SITE x").await, "echo answers: 200 fine");
    let status = host.status().plugins.remove(0);
    assert_eq!(status.counts.bad_verdicts, 1);
    let said = status.last_error.unwrap().reason;
    assert!(
        said.starts_with("bad verdict: AUTH may be refused with 4yz or 5yz, not answered: "),
        "{said}"
    );
}

#[tokio::test]
async fn a_reply_is_reworded_and_its_data_is_not() {
    let config = [("reply.PWD", "257 words"), ("reply.PASV", "227 (9,9,9,9,9,9)")];
    let (_directory, host) = host_of(&echo(), plugin("echo", &config)).await;
    assert_eq!(reword(&host, Some("PWD"), reply(257, "x")).await, "echo: 257 words");
    assert_eq!(reword(&host, Some("CWD"), reply(250, "x")).await, "250 x");
    let address = Reply::data(Code::PASSIVE, "(1,2,3,4,5,6)");
    assert_eq!(reword(&host, Some("PASV"), address).await, "227 (1,2,3,4,5,6)");
    assert_eq!(reword(&host, Some("PWD"), reply(550, "x")).await, "550 x", "it must not lie");
    let counts = host.status().plugins[0].counts;
    assert_eq!(counts.bad_verdicts, 1, "only the lie was a mistake");
}

#[tokio::test]
async fn a_reply_that_is_not_unicode_stays_as_it_is() {
    let (_directory, host) = host_of(&echo(), plugin("echo", &[("reply.PWD", "257 x")])).await;
    let odd = Reply::new(Code::PATHNAME, b"\"/\xff\"".to_vec());
    assert_eq!(reword(&host, Some("PWD"), odd).await, "257 \"/\u{fffd}\"");
    assert_eq!(host.status().plugins[0].counts.calls, 0);
}

#[tokio::test]
async fn the_greeting_goes_through_a_plugin_that_wants_everything() {
    let config = [("reply", "code-226")];
    let (_directory, host) = host_of(&hostile(), plugin("hostile", &config)).await;
    assert_eq!(reword(&host, None, reply(220, "Ready.")).await, "hostile: 226 made up");
}

#[tokio::test]
async fn what_a_guest_keeps_of_a_session_outlives_its_instances() {
    let (directory, host) = host_of(&echo(), plugin("echo", &[("count", "NOOP")])).await;
    let one = session();
    assert_eq!(ask_in(&host, &one, "NOOP").await, "echo answers: 200 session 1, instance 1");
    assert_eq!(ask_in(&host, &one, "NOOP").await, "echo answers: 200 session 2, instance 2");
    let other = session();
    assert_eq!(ask_in(&host, &other, "NOOP").await, "echo answers: 200 session 1, instance 3");
    let mut new = plugin("echo", &[("count", "NOOP")]);
    new.limits.instances_max = 3;
    host.reconfigure(HostSettings { plugins: vec![new], ..directory.settings() }).await.unwrap();
    assert_eq!(ask_in(&host, &one, "NOOP").await, "echo answers: 200 session 3, instance 1");
}

#[tokio::test]
async fn an_instance_is_replaced_after_so_many_calls() {
    let mut settings = plugin("echo", &[("count", "NOOP")]);
    settings.limits.instance_calls = 2;
    let (_directory, host) = host_of(&echo(), settings).await;
    let one = session();
    let mut instances = Vec::new();
    for _ in 0..5 {
        let answer = ask_in(&host, &one, "NOOP").await;
        instances.push(answer.rsplit(' ').next().unwrap().to_owned());
    }
    assert_eq!(instances, ["1", "2", "1", "2", "1"]);
}

#[tokio::test]
async fn instances_that_nobody_needs_are_dropped() {
    let mut settings = plugin("echo", &[("answer.NOOP", "200 ok")]);
    settings.limits.instances_min = 0;
    let (_directory, host) = host_of(&echo(), settings).await;
    tokio::time::pause();
    assert_eq!(ask(&host, "NOOP").await, "echo answers: 200 ok");
    pass(59).await;
    assert_eq!(host.status().plugins[0].instances_idle, 1);
    pass(59).await;
    assert_eq!(host.status().plugins[0].instances_idle, 0);
    assert_eq!(ask(&host, "NOOP").await, "echo answers: 200 ok");
}

#[tokio::test]
async fn a_line_of_the_log_names_plugin_generation_session_and_hook() {
    let log = Log::listen();
    let (_directory, host) = host_of(&echo(), plugin("echo", &[("log", "NOOP")])).await;
    ask(&host, "NOOP").await;
    let lines = log.lines_with("seen");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        lines[0].trim(),
        "INFO waft::plugin: seen plugin=\"echo\" generation=1 session=7 hook=\"command-filter\" \
         fields=\"verb=\\\"NOOP\\\"\""
    );
}

#[tokio::test]
async fn two_plugins_share_one_component_and_nothing_else() {
    let directory = Directory::new();
    directory.put("echo.wasm", &echo());
    let named = |name: &str, config: &[(&str, &str)]| PluginSettings {
        path: Some(directory.file("echo.wasm")),
        ..plugin(name, config)
    };
    let plugins = vec![
        named("first", &[("answer.NOOP", "200 first")]),
        named("second", &[("answer.PWD", "257 second")]),
    ];
    let host = load(HostSettings { plugins, ..directory.settings() }).await;
    assert_eq!(ask(&host, "NOOP").await, "first answers: 200 first");
    assert_eq!(ask(&host, "PWD").await, "second answers: 257 second");
    assert_eq!(host.status().plugins.len(), 2, "the file is not loaded a third time");
}

#[tokio::test]
async fn sessions_are_served_at_the_same_time() {
    let (_directory, host) = host_of(&echo(), plugin("echo", &[("answer.NOOP", "200 ok")])).await;
    let host = Arc::new(host);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { ask(&host, "NOOP").await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "echo answers: 200 ok");
    }
    assert_eq!(host.status().plugins[0].counts.calls, 100);
}

#[tokio::test]
async fn the_bundled_policy_denies_active_mode_in_the_operators_words() {
    let words = "ACTIVE mode is not supported - use PASSIVE instead!";
    let config = [("deny.0", "active-mode"), ("message", words), ("replies.226", "Got it.")];
    let (directory, host) = host_of(&component("command-policy"), plugin("policy", &config)).await;
    let denied = format!("policy answers: 502 {words}");
    assert_eq!(ask(&host, "PORT 127,0,0,1,4,1").await, denied);
    assert_eq!(ask(&host, "EPRT |1|127.0.0.1|1025|").await, denied);
    assert_eq!(ask(&host, "EPSV").await, "pass");
    assert!(!is_asked(&host, "RETR a"));
    let done = reply(226, "Transfer complete.");
    assert_eq!(reword(&host, Some("RETR a"), done).await, "policy: 226 Got it.");
    let plugins = vec![plugin("policy", &[("deny.0", "nonsense")])];
    let errors = host.reconfigure(HostSettings { plugins, ..directory.settings() }).await;
    let error = errors.unwrap_err().to_string();
    assert!(error.contains("init failed: ") && error.contains("nonsense"), "{error}");
    assert_eq!(ask(&host, "PORT 127,0,0,1,4,1").await, denied);
}

#[test]
fn secrets_are_never_shown() {
    let secrets = vec![("key".to_owned(), Secret::new("hunter2"))];
    let grants = Grants { secrets, ..Grants::default() };
    assert!(format!("{grants:?}").ends_with("secrets: [(\"key\", ***)] }"), "{grants:?}");
}
