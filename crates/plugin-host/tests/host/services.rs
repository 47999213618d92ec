//! What plugins reach beside their hooks: what is granted is there, and nothing else is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use waft_core::control::{Control, Network};
use waft_core::hooks::HookSource;
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{
    CallLimits, Grants, Hook, Host, HostSettings, HttpGrant, Isolation, KvGrant, Listed,
    MetricKind, MetricValue, OnLoadError, PluginSettings, Refusal, Unlisted, What,
};

use crate::support::*;

/// A plugin that asks for what it is told to.
fn asking(grants: Grants) -> PluginSettings {
    let mut settings = PluginSettings { grants, ..plugin("p", &[]) };
    // Long enough on a busy machine.
    settings.limits.cpu = Some(Duration::from_secs(60));
    settings.limits.wall = Some(Duration::from_secs(60));
    settings
}

fn kv(bytes: u64, persistent: bool) -> Grants {
    Grants { kv: Some(KvGrant { bytes, persistent }), ..Grants::without_effect() }
}

fn http(urls: &[&str], private: bool) -> Grants {
    let urls = urls.iter().map(|&url| url.to_owned()).collect();
    Grants { http: Some(HttpGrant { urls, private }), ..Grants::without_effect() }
}

async fn asker(grants: Grants) -> (Directory, Host) {
    host_of(&component("tests/services"), asking(grants)).await
}

/// The answer to a command, without who answers.
async fn told(host: &Host, line: &str) -> String {
    let answer = ask(host, line).await;
    answer.strip_prefix("p answers: ").unwrap_or(&answer).to_owned()
}

#[tokio::test]
async fn what_is_not_granted_is_not_loaded_and_the_lines_that_grant_it_are_told() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let errors = load_errors(directory.settings()).await.to_string();
    let imports = "imports waft:plugin/kv@0.1.1, waft:plugin/http@0.1.1, \
                   waft:plugin/control@0.1.1, which it is not granted";
    assert!(errors.contains(imports), "{errors}");
    let lines = "remedy: write:\n[[plugin]]\nname = \"p\"\n[plugin.grant]\nkv = \"1 MiB\"\n\
                 http = [\"https://service.example.org/path\"]\ncontrol = true";
    assert!(errors.ends_with(lines), "{errors}");
    let plugins = vec![asking(Grants { control: false, ..Grants::without_effect() })];
    let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await;
    assert_eq!(
        errors.0[0].refusal.remedy().unwrap(),
        "write under the [[plugin]] whose name is \"p\":\n[plugin.grant]\ncontrol = true"
    );
}

#[tokio::test]
async fn a_new_file_that_wants_more_than_its_predecessor_waits_until_that_is_granted() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    let settings = |grants| {
        let plugins = vec![PluginSettings { grants, ..plugin("p", &[]) }];
        HostSettings { plugins, ..directory.settings() }
    };
    let host = load(settings(Grants::default())).await;
    directory.put("p.wasm", &component("tests/services"));
    let report = host.rescan().await;
    assert!(
        matches!(&report.changes[0].what, What::Kept(Refusal::NotGranted { imports, .. })
            if imports.len() == 3),
        "{report:?}"
    );
    assert_eq!((host.generation(), told(&host, "XKV get a").await.as_str()), (1, "pass"));
    host.reconfigure(settings(Grants::without_effect())).await.unwrap();
    host.rescan().await;
    assert_eq!(told(&host, "XKV get a").await, "200 none");
}

#[tokio::test]
async fn a_plugin_that_cannot_do_without_a_grant_taken_from_it_does_not_go_on_with_it() {
    let log = Log::listen();
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let settings = |control| {
        let on_load_error = OnLoadError::Disable;
        let grants = Grants { control, ..Grants::without_effect() };
        let plugins = vec![PluginSettings { on_load_error, ..asking(grants) }];
        HostSettings { plugins, ..directory.settings() }
    };
    let host = load(settings(true)).await;
    assert_eq!(host.reconfigure(settings(false)).await, Ok(2));
    let is_out = || {
        let status = host.status();
        assert!(status.plugins.is_empty(), "{status:?}");
        assert!(status.absent[0].reason.ends_with("which it is not granted"), "{status:?}");
    };
    is_out();
    assert_eq!(told(&host, "XKV get a").await, "pass");
    let line = log.lines_with("plugin taken out of force");
    assert!(line.len() == 1 && line[0].contains("control@0.1.1, which it is not"), "{line:?}");
    // Neither the same file again nor the operator's word gives the grant back.
    directory.put("p.wasm", &component("tests/services"));
    host.rescan().await;
    is_out();
    let changes = host.reload(Some("p")).await.unwrap();
    assert!(matches!(changes[0].what, What::Refused(Refusal::NotGranted { .. })), "{changes:?}");
    is_out();
    host.reconfigure(settings(true)).await.unwrap();
    assert_eq!(told(&host, "XKV get a").await, "200 none");
}

#[tokio::test]
async fn what_is_granted_and_not_imported_is_told() {
    let log = Log::listen();
    let written = || Grants { made_up: false, ..Grants::without_effect() };
    let (directory, _host) = host_of(&echo(), asking(written())).await;
    let told = log.lines_with("granted what it does not use");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("plugin=\"p\" grant=kv"), "{told:?}");
    let path = Some(directory.file("p.wasm"));
    let check = async |grants| {
        let settings = PluginSettings { path: path.clone(), ..asking(grants) };
        waft_plugin_host::check(&settings, &HostSettings::default()).await.unwrap().idle_grants
    };
    assert_eq!(check(written()).await, ["kv", "http", "control"]);
    assert!(check(Grants::without_effect()).await.is_empty(), "nobody wrote them");
}

#[tokio::test]
async fn components_that_nobody_named_are_loaded_as_the_operator_says() {
    let directory = Directory::new();
    directory.put("p.wasm", &echo());
    for (unlisted, plugins) in [(Unlisted::Off, 0), (Unlisted::HooksOnly, 1), (Unlisted::On, 1)] {
        let host = load(HostSettings { unlisted, ..directory.settings() }).await;
        assert_eq!(host.status().plugins.len(), plugins, "{unlisted:?}");
    }
    let settings = PluginSettings { listed: Listed::HooksOnly, ..plugin("p", &[]) };
    let named =
        HostSettings { unlisted: Unlisted::Off, plugins: vec![settings], ..directory.settings() };
    assert_eq!(load(named).await.status().plugins.len(), 1);
}

#[tokio::test]
async fn a_store_keeps_counts_and_compares() {
    let (_directory, host) = asker(kv(1 << 20, false)).await;
    for (line, answer) in [
        ("XKV get a", "200 none"),
        ("XKV set a 1", "200 done"),
        ("XKV inc a 41", "200 42"),
        ("XKV get a", "200 42"),
        ("XKV cas a 41 0", "500 Error::Conflict"),
        ("XKV cas a 42 x", "200 done"),
        ("XKV inc a 1", "500 Error::Conflict"),
        ("XKV del a", "200 done"),
        ("XKV cas a - y", "200 done"),
        ("XKV set b z 0", "200 done"),
        ("XKV get b", "200 none"),
        ("XKV set k1 v", "200 done"),
        ("XKV set k2 v", "200 done"),
        ("XKV set k3 v", "200 done"),
        ("XKV set k4 v", "200 done"),
        ("XKV keys k", "200 k1,k2,k3"),
        ("XKV keys k k3", "200 k4"),
    ] {
        assert_eq!(told(&host, line).await, answer, "{line}");
    }
}

#[tokio::test]
async fn a_full_store_says_so_and_the_host_counts_what_is_in_it() {
    let (_directory, host) = asker(kv(100_000, false)).await;
    assert_eq!(told(&host, "XKV fill 936").await, "200 99");
    let large = format!("XKV set a {}", "x".repeat(1000));
    assert_eq!(told(&host, &large).await, "500 Error::Quota");
    let counts = host.status().plugins[0].counts;
    assert!(counts.kv_bytes > 98_000 && counts.kv_bytes <= 100_000, "{counts:?}");
    assert_eq!(counts.traps, 0);
}

#[tokio::test]
async fn a_store_survives_its_plugin_and_one_that_lasts_survives_the_server() {
    let directory = Directory::new();
    let state = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let settings = |persistent, rehearsal| {
        let mut settings = asking(kv(1 << 20, persistent));
        settings.priority += i32::from(persistent);
        let state = Some(state.path().to_owned());
        HostSettings { plugins: vec![settings], state, rehearsal, ..directory.settings() }
    };
    let host = load(settings(false, false)).await;
    assert_eq!(told(&host, "XKV inc n 1").await, "200 1");
    host.reconfigure(settings(true, false)).await.unwrap();
    assert_eq!(told(&host, "XKV inc n 1").await, "200 2");
    // A rehearsal leaves alone what a server has open.
    let rehearsal = load(settings(true, true)).await;
    assert_eq!(told(&rehearsal, "XKV inc n 1").await, "200 1");
    drop(rehearsal);
    host.flush().await;
    let second = Host::load(settings(true, false)).await.unwrap_err();
    assert!(matches!(second.0[0].refusal, Refusal::Store(_)), "{second}");
    drop(host);
    let host = load(settings(true, false)).await;
    assert_eq!(told(&host, "XKV inc n 1").await, "200 3");
}

#[tokio::test]
async fn settings_that_are_refused_leave_a_store_in_use_as_it_is() {
    let directory = Directory::new();
    let state = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let settings = |grants| HostSettings {
        plugins: vec![asking(grants)],
        state: Some(state.path().to_owned()),
        ..directory.settings()
    };
    let host = load(settings(kv(1 << 20, true))).await;
    let mut refused = settings(kv(1, false));
    refused.plugins.push(PluginSettings { required: true, ..plugin("missing", &[]) });
    host.reconfigure(refused).await.unwrap_err();
    assert_eq!(told(&host, "XKV inc n 1").await, "200 1");
    host.flush().await;
    drop(host);
    let host = load(settings(kv(1 << 20, true))).await;
    assert_eq!(told(&host, "XKV inc n 1").await, "200 2");
    host.reconfigure(settings(kv(1, true))).await.unwrap();
    assert_eq!(told(&host, "XKV set m 1").await, "500 Error::Quota");
}

#[tokio::test]
async fn metrics_are_bounded_and_survive_their_plugin() {
    let (directory, host) = asker(Grants::without_effect()).await;
    told(&host, "XMETER count refused 2").await;
    told(&host, "XMETER gauge level 1.5").await;
    told(&host, "XMETER observe took 0.2").await;
    let mut again = asking(Grants::without_effect());
    again.priority += 1;
    let settings = HostSettings { plugins: vec![again], ..directory.settings() };
    host.reconfigure(settings).await.unwrap();
    told(&host, "XMETER count refused 3").await;
    let metrics = host.metrics();
    let names: Vec<_> = metrics.iter().map(|m| (m.name.as_str(), m.kind)).collect();
    let expected = [
        ("waft_plugin_user_level", MetricKind::Gauge),
        ("waft_plugin_user_refused", MetricKind::Counter),
        ("waft_plugin_user_took", MetricKind::Histogram),
    ];
    assert_eq!(names, expected);
    assert_eq!(metrics[1].series[0].labels, pairs(&[("plugin", "p"), ("by", "test")]));
    assert_eq!(metrics[1].series[0].value, MetricValue::Counter(5));
    told(&host, "XMETER flood 10000").await;
    let series: usize = host.metrics().iter().map(|metric| metric.series.len()).sum();
    assert_eq!(series, 500);
    assert_eq!(host.status().plugins[0].counts.metrics_dropped, 10_003 - 500);
}

/// A web service that answers every request with that; its URL.
async fn service(answer: impl Into<String>) -> String {
    let answer: Arc<str> = answer.into().into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let mut length = 0;
                while !request[..length].windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut request[length..]).await {
                        Ok(0) | Err(_) => return,
                        Ok(read) => length += read,
                    }
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    url
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfine";

#[tokio::test]
async fn a_service_that_is_granted_answers_and_no_other_does() {
    let url = service(FINE).await;
    let (_directory, host) = asker(http(&[&format!("{url}/v1")], true)).await;
    assert_eq!(told(&host, &format!("XGET {url}/v1/a?b")).await, "200 200 fine");
    assert_eq!(told(&host, &format!("XPOST {url}/v1 100000")).await, "200 200 fine");
    for other in [format!("{url}/v2"), format!("{url}/v1/../v2"), "http://[::1]:1/".to_owned()] {
        let answer = told(&host, &format!("XGET {other}")).await;
        assert!(
            answer.starts_with("500 Error::Denied(\"the grant http does not cover"),
            "{answer}"
        );
    }
    let counts = host.status().plugins[0].counts;
    assert_eq!((counts.http_requests, counts.http_denied), (5, 3));
    let (_directory, host) = asker(http(&[], true)).await;
    assert!(told(&host, &format!("XGET {url}/v1")).await.contains("does not cover"));
}

#[tokio::test]
async fn an_address_of_this_machine_is_out_of_bounds_unless_the_operator_says_otherwise() {
    let url = service(FINE).await;
    let port = url.rsplit(':').next().unwrap();
    let urls = [url.clone(), format!("http://localhost:{port}"), "http://169.254.169.254".into()];
    let (_directory, host) = asker(http(&urls.each_ref().map(String::as_str), false)).await;
    for url in &urls[..2] {
        let answer = told(&host, &format!("XGET {url}/")).await;
        assert!(answer.contains("out of bounds: ") && answer.contains("http_private"), "{answer}");
    }
    let (_directory, host) = asker(http(&urls.each_ref().map(String::as_str), true)).await;
    assert_eq!(told(&host, &format!("XGET {}/", urls[1])).await, "200 200 fine");
    let answer = told(&host, "XGET http://169.254.169.254/").await;
    assert!(answer.ends_with("is out of bounds: 169.254.169.254\")"), "{answer}");
}

#[tokio::test]
async fn a_call_that_waits_for_memory_gets_the_instance_that_comes_back_first() {
    let url = service(FINE).await;
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let mut settings = asking(http(&[&url], true));
    settings.limits.queue = Duration::from_secs(5);
    // Room for the one that every plugin has, and for no other.
    let memory_budget = memory_of(&directory, &settings).await;
    let host =
        load(HostSettings { plugins: vec![settings], memory_budget, ..directory.settings() }).await;
    let line = format!("XGET {url}/");
    // The first has the instance before the second asks.
    let both = tokio::join!(told(&host, &line), told(&host, &line));
    assert_eq!(both, ("200 200 fine".to_owned(), "200 200 fine".to_owned()));
}

#[tokio::test]
async fn a_redirect_is_a_response() {
    let url = service(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\
         connection: close\r\n\r\n",
    )
    .await;
    let (_directory, host) = asker(http(&[&url], true)).await;
    assert_eq!(told(&host, &format!("XGET {url}/")).await, "200 302 ");
}

#[tokio::test]
async fn a_service_that_never_answers_costs_the_guest_an_error_and_not_its_instance() {
    let url = service("").await;
    let mut settings = asking(http(&[&url], true));
    settings.limits.wall = Some(Duration::from_secs(3));
    let (_directory, host) = host_of(&component("tests/services"), settings).await;
    assert_eq!(told(&host, &format!("XGET {url}/ 10")).await, "500 Error::Timeout");
    assert_eq!(told(&host, &format!("XGET {url}/")).await, "500 Error::Timeout");
    let status = host.status().plugins.remove(0);
    assert_eq!((status.instances_idle, status.counts.timeouts), (1, 0));
}

#[tokio::test]
async fn a_request_that_is_given_up_with_its_call_is_counted() {
    let url = service("").await;
    let (_directory, host) = asker(http(&[&url], true)).await;
    let counts = || host.status().plugins[0].counts;
    let line = format!("XGET {url}/");
    let asked = async {
        while counts().http_requests == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = told(&host, &line) => panic!("{answer}"),
        () = asked => {}
    }
    assert_eq!((counts().http_requests, counts().http_timeouts), (1, 1));
}

#[tokio::test]
async fn a_call_that_is_given_up_is_counted_and_one_that_had_its_time_is_a_failure() {
    let url = service("").await;
    let mut settings = asking(http(&[&url], true));
    settings.limits.wall = Some(Duration::from_secs(2));
    let (_directory, host) = host_of(&component("tests/services"), settings).await;
    let status = || host.status().plugins.remove(0);
    let line = format!("XGET {url}/");
    tokio::time::pause();
    let give_up = async |after: u64| {
        let answer = tokio::time::timeout(Duration::from_millis(after), told(&host, &line));
        answer.await.expect_err("nobody answers");
    };
    let may_take_long = || host.current().may_take_long(&session(), &command(&line));
    assert!(!may_take_long(), "nothing is known of it");
    for _ in 0..10 {
        give_up(900).await;
        assert!(may_take_long());
    }
    assert_eq!((status().counts.given_up, status().breaker_open), (10, false));
    for _ in 0..5 {
        give_up(1100).await;
    }
    let status = status();
    assert_eq!((status.counts.given_up, status.counts.calls), (15, 15));
    assert!(status.breaker_open, "clients that wait no longer are no excuse");
    let reason = status.last_error.unwrap().reason;
    assert!(reason.ends_with("by whoever waited for it"), "{reason}");
}

#[tokio::test]
async fn calls_that_are_slow_do_not_keep_failures_out_of_the_log() {
    let url = service("").await;
    let mut settings = asking(http(&[&url], true));
    let (cpu, wall) = (settings.limits.cpu, Some(Duration::from_millis(50)));
    settings.limits.by_hook = [(Hook::CommandFilter, CallLimits { cpu, wall })].into();
    settings.limits.instances_max = 1;
    settings.limits.queue = Duration::from_millis(1);
    let (_directory, host) = host_of(&component("tests/services"), settings).await;
    let log = Log::listen();
    tokio::time::pause();
    // All within one second of the clock, which stands still but for those who wait.
    let line = format!("XGET {url}/");
    for _ in 0..10 {
        assert_eq!(told(&host, &line).await, "500 Error::Timeout");
    }
    let both = tokio::join!(told(&host, &line), told(&host, &line));
    assert_eq!(both.1, "p fails: 451 Local error: plugin failed.");
    assert_eq!(log.lines_with("plugin is slow").len(), 10);
    assert_eq!(log.lines_with("plugin failed").len(), 1);
}

#[tokio::test]
async fn bodies_are_bounded_in_both_directions() {
    let large = "x".repeat(3_000_000);
    let url = service(format!("HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n{large}")).await;
    let (_directory, host) = asker(http(&[&url], true)).await;
    assert_eq!(told(&host, &format!("XGET {url}/")).await, "500 Error::TooLarge");
    let url = service("nonsense\r\n\r\n").await;
    let (_directory, host) = asker(http(&[&url], true)).await;
    let answer = told(&host, &format!("XGET {url}/")).await;
    assert!(answer.starts_with("500 Error::Network("), "{answer}");
}

#[tokio::test]
async fn a_grant_that_is_no_url_is_refused() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/services"));
    let plugins = vec![asking(http(&["example.org"], false))];
    let errors = load_errors(HostSettings { plugins, ..directory.settings() }).await;
    assert!(matches!(errors.0[0].refusal, Refusal::Url(_)), "{errors}");
}

/// Notes what it is told to do.
#[derive(Default)]
struct Server(Mutex<Vec<String>>);

impl Server {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Control for Server {
    fn disconnect(&self, session: SessionId, message: &str) -> bool {
        self.note(format!("disconnect {session} {message}"));
        session.0 == 7
    }

    fn ban(&self, network: Network, period: Duration) -> Result<(), String> {
        self.note(format!("ban {network} {period:?}"));
        Ok(())
    }

    fn unban(&self, network: Network) {
        self.note(format!("unban {network}"));
    }
}

#[tokio::test]
async fn a_plugin_acts_on_the_server_and_the_log_tells_who_did() {
    let log = Log::listen();
    let (_directory, host) = asker(Grants::without_effect()).await;
    let nobody = told(&host, "XCTL ban 192.0.2.7/24 60").await;
    assert_eq!(nobody, "500 there is no server to act on");
    let server = Arc::<Server>::default();
    host.act_on(Arc::clone(&server) as _);
    assert_eq!(told(&host, "XCTL ban 192.0.2.7/24 60").await, "200 done");
    assert_eq!(told(&host, "XCTL unban 192.0.2.0/24").await, "200 done");
    assert_eq!(told(&host, "XCTL kick 7 bye").await, "200 true");
    assert_eq!(told(&host, "XCTL kick 8 bye").await, "200 false");
    let answer = told(&host, "XCTL ban everybody 60").await;
    assert!(answer.starts_with("500 not a network"), "{answer}");
    let done =
        ["ban 192.0.2.0/24 60s", "unban 192.0.2.0/24", "disconnect 7 bye", "disconnect 8 bye"];
    assert_eq!(*server.0.lock().unwrap(), done);
    assert_eq!(log.lines_with("plugin bans addresses").len(), 1);
}

/// How often it is asked about a command that it lets pass.
async fn calls(host: &Host, session: &Arc<SessionFacts>, line: &str, times: u64) -> u64 {
    let calls = || host.status().plugins[0].counts.calls;
    let before = calls();
    for _ in 0..times {
        assert_eq!(ask_in(host, session, line).await, "pass", "{line}");
    }
    calls() - before
}

#[tokio::test]
async fn what_a_plugin_lets_pass_by_a_session_alone_is_remembered_and_nothing_else() {
    let (_directory, host) = asker(kv(1 << 20, false)).await;
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    let times = 8 * processors;
    let here = session();
    let other = Arc::new(SessionFacts {
        peer: "192.0.2.6:40001".parse().unwrap(),
        listener: "inside".into(),
        tls: None,
        user: None,
        cwd: VirtualPath::root(),
        attributes: Arc::new([("0".to_owned(), "1".to_owned())]),
        ..SessionFacts::clone(&here)
    });
    // Each processor learns it the second time, and again where the thread moves on between question and
    // answer.
    for what in ["nothing", "user", "ip", "listener", "tls", "cwd", "attributes 16"] {
        let asked = calls(&host, &here, &format!("XASK {what}"), times).await;
        assert!((2..=4 * processors).contains(&asked), "{what}: {asked} calls");
        let asked = calls(&host, &other, &format!("XASK {what}"), 1).await;
        assert_eq!(asked, u64::from(what != "nothing"), "{what}, of another session");
    }
    assert_eq!(calls(&host, &here, "NOOP", times).await, 1, "all processors know it at once");
    assert_eq!(calls(&host, &other, "NOOP", times).await, 0, "and it is the same in any session");
    for what in [
        "id",
        "port",
        "scratch",
        "keep",
        "clock",
        "random",
        "kv",
        "http",
        "control",
        "metrics",
        "log",
        "attributes 17",
    ] {
        assert_eq!(calls(&host, &here, &format!("XASK {what}"), times).await, times, "{what}");
    }
}

#[tokio::test]
async fn an_instance_that_a_session_has_to_itself_is_asked_every_time() {
    let mut settings = asking(kv(1 << 20, false));
    settings.isolation = Isolation::Session;
    let (_directory, host) = host_of(&component("tests/services"), settings).await;
    assert_eq!(calls(&host, &session(), "XASK user", 100).await, 100);
}
