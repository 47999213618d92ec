//! Plugins that decide about connections, logins and files: every verdict, what several of them
//! make together, and what their failure counts as.

use std::sync::{Arc, Mutex};

use waft_core::auth::{Credentials, PasswordVerifier, Secret, VerifyError};
use waft_core::hooks::{
    ConnectVerdict, FileOp, FileOpKind, FileVerdict, HookSource, LoginVerdict, WriteKind,
};
use waft_core::storage::{Batch, ErrorKind, FileKind, Metadata, Storage, StoragePlace, Storages};
use waft_core::{BoxFuture, SessionFacts, VirtualPath};
use waft_plugin_host::{Grants, Host, HostSettings, OnError, PluginSettings, Services};

use super::support::{
    Directory, Log, component, host_of, load, load_errors, plugin, session, text,
};

fn decider() -> Vec<u8> {
    component("tests/decider")
}

fn porter() -> Vec<u8> {
    component("tests/porter")
}

/// A plugin that decides by these settings.
fn deciding(config: &[(&str, &str)]) -> PluginSettings {
    plugin("decider", config)
}

async fn host(config: &[(&str, &str)]) -> (Directory, Host) {
    host_of(&decider(), deciding(config)).await
}

async fn host_that_allows(config: &[(&str, &str)]) -> (Directory, Host) {
    let settings = PluginSettings { on_error: OnError::Allow, ..deciding(config) };
    host_of(&decider(), settings).await
}

type Config<'a> = &'a [(&'a str, &'a str)];

/// Two plugins, asked in this order.
async fn host_of_two(first: Config<'_>, second: Config<'_>) -> (Directory, Host) {
    two(&decider(), first, second).await
}

/// Two that decide about logins.
async fn porters(first: Config<'_>, second: Config<'_>) -> (Directory, Host) {
    two(&porter(), first, second).await
}

/// One that decides about logins.
async fn host_of_porter(config: Config<'_>) -> (Directory, Host) {
    host_of(&porter(), plugin("porter", config)).await
}

async fn two(bytes: &[u8], first: Config<'_>, second: Config<'_>) -> (Directory, Host) {
    let directory = Directory::new();
    let plugins = [("a", first), ("b", second)].map(|(name, config)| {
        directory.put(&format!("{name}.wasm"), bytes);
        plugin(name, config)
    });
    let settings = HostSettings { plugins: plugins.to_vec(), ..directory.settings() };
    let host = Host::load_with(settings, services().0).await.unwrap();
    (directory, host)
}

/// Verifies passwords against themselves, and opens nothing.
#[derive(Default)]
struct Others {
    places: Mutex<Vec<String>>,
}

impl PasswordVerifier for Others {
    fn verify<'a>(
        &'a self,
        hash: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<bool, VerifyError>> {
        let verified = match hash.strip_prefix('$') {
            Some(hash) => Ok(hash.as_bytes() == password.expose()),
            None => Err(VerifyError::BadHash("not a hash".to_owned())),
        };
        Box::pin(std::future::ready(verified))
    }
}

impl Storages for Others {
    fn open(&self, place: &StoragePlace) -> waft_core::storage::Result<Arc<dyn Storage>> {
        self.places.lock().unwrap().push(place.to_string());
        Err(ErrorKind::NotFound.into())
    }
}

fn services() -> (Services, Arc<Others>) {
    let others = Arc::new(Others::default());
    let services = Services {
        passwords: Some(Arc::clone(&others) as _),
        storages: Some(Arc::clone(&others) as _),
        ..Services::default()
    };
    (services, others)
}

fn at(path: impl AsRef<[u8]>) -> VirtualPath {
    VirtualPath::root().join(path.as_ref()).unwrap()
}

async fn connect(host: &Host) -> String {
    let hooks = host.current();
    let Some(filter) = hooks.connections() else { return "nobody asked".to_owned() };
    match filter.on_connect(&session()).await {
        ConnectVerdict::Serve => "serve".to_owned(),
        ConnectVerdict::Drop { plugin } => format!("{plugin} drops"),
        ConnectVerdict::Reject { reply, plugin } => format!("{plugin} rejects: {}", text(&reply)),
        ConnectVerdict::Undecided { reply, plugin } => format!("{plugin} fails: {}", text(&reply)),
    }
}

async fn file(host: &Host, op: FileOp) -> String {
    match host.current().files().unwrap().on_file(&session(), &op).await {
        FileVerdict::Pass => "pass".to_owned(),
        FileVerdict::Redirect { path, plugin } => format!("{plugin} redirects to {path}"),
        FileVerdict::Deny { reply, plugin } => format!("{plugin} denies: {}", text(&reply)),
        FileVerdict::Undecided { reply, plugin } => format!("{plugin} fails: {}", text(&reply)),
    }
}

async fn list(host: &Host, names: &[&[u8]]) -> Result<Vec<bool>, String> {
    let mut entries = Batch::default();
    for name in names {
        entries.push(name, METADATA);
    }
    let hooks = host.current();
    let verdict = hooks.files().unwrap().on_list(&session(), &at("/pub"), &entries).await;
    verdict.map(|verdict| verdict.shown.unwrap()).map_err(|undecided| undecided.to_string())
}

const METADATA: Metadata = Metadata {
    kind: FileKind::File,
    size: 3,
    modified: None,
    created: None,
    mode: Some(0o644),
    links: 1,
    unique: None,
};

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.to_owned(), password: Secret::new(password.into()) }
}

async fn log_in(host: &Host, credentials: Credentials) -> String {
    log_in_of(host, &session(), credentials).await
}

async fn log_in_of(host: &Host, session: &Arc<SessionFacts>, credentials: Credentials) -> String {
    let hooks = host.current();
    let decision = hooks.logins().unwrap().authenticate(session, &credentials).await;
    let replaced = decision.replaced.map(|(credentials, plugin)| {
        let shown = match &credentials {
            Credentials::Password { password, .. } => String::from_utf8_lossy(password.expose()),
            Credentials::Certificate { sha256, .. } => sha256.into(),
        };
        format!("{plugin} replaces: {} {shown}; ", credentials.user())
    });
    let verdict = match decision.verdict {
        None => "nobody knows".to_owned(),
        Some((LoginVerdict::Accept(account), plugin)) => format!("{plugin} accepts {account:?}"),
        Some((LoginVerdict::Deny(reason), plugin)) => format!("{plugin} denies: {reason:?}"),
        Some((LoginVerdict::NeedAccount, plugin)) => format!("{plugin} needs an account"),
        Some((LoginVerdict::Failed(None), plugin)) => format!("{plugin} failed"),
        Some((LoginVerdict::Failed(Some(reason)), plugin)) => format!("{plugin} failed: {reason}"),
    };
    replaced.unwrap_or_default() + &verdict
}

#[tokio::test]
async fn clients_are_served_dropped_and_rejected() {
    let (_directory, pass) = host(&[]).await;
    assert_eq!(connect(&pass).await, "serve");
    let (_directory, drop) = host(&[("connect", "drop")]).await;
    assert_eq!(connect(&drop).await, "decider drops");
    let (_directory, reject) = host(&[("connect", "554 Not you.")]).await;
    assert_eq!(connect(&reject).await, "decider rejects: 554 Not you.");
    let (_directory, echo) = host_of(&super::support::echo(), PluginSettings::named("echo")).await;
    assert_eq!(connect(&echo).await, "nobody asked");
}

#[tokio::test]
async fn a_plugin_that_fails_on_a_connection_closes_the_door() {
    for verdict in ["trap", "226 Welcome.", "999 What?"] {
        let (_directory, deny) = host(&[("connect", verdict)]).await;
        assert_eq!(connect(&deny).await, "decider fails: 421 Service not available now.");
        let (_directory, allow) = host_that_allows(&[("connect", verdict)]).await;
        assert_eq!(connect(&allow).await, "serve");
    }
}

#[tokio::test]
async fn the_first_that_turns_a_client_away_is_heard() {
    let (_directory, host) = host_of_two(&[("connect", "421 a")], &[("connect", "drop")]).await;
    assert_eq!(connect(&host).await, "a rejects: 421 a");
    let (_directory, host) = host_of_two(&[], &[("connect", "drop")]).await;
    assert_eq!(connect(&host).await, "b drops");
}

#[tokio::test]
async fn passwords_are_verified_for_plugins_that_do_not_see_them() {
    let rules = [("login.0", "alice verify $secret"), ("login.1", "bob verify nonsense")];
    let (_directory, host) = porters(&rules, &[]).await;
    // Right: what is wrong then is the account.
    assert_eq!(log_in(&host, password("alice", "secret")).await, "a failed");
    assert_eq!(log_in(&host, password("alice", "wrong")).await, "a denies: Some(\"wrong\")");
    assert_eq!(log_in(&host, password("bob", "x")).await, "a denies: Some(\"not a hash\")");
    assert_eq!(log_in(&host, password("carol", "x")).await, "nobody knows");
}

#[tokio::test]
async fn a_clear_password_is_shown_to_those_only_who_may_see_it() {
    let settings = plugin("porter", &[("login.0", "alice clear secret")]);
    for (passwords, verdict) in [(false, "denies: Some(\"wrong\")"), (true, "failed")] {
        let grants = Grants { passwords, ..Grants::default() };
        let settings = PluginSettings { grants, ..settings.clone() };
        let (_directory, host) = host_of(&porter(), settings).await;
        let expected = format!("porter {verdict}");
        assert_eq!(log_in(&host, password("alice", "secret")).await, expected);
    }
}

#[tokio::test]
async fn a_plugin_that_cannot_tell_is_asked_again_however_often() {
    let (_directory, host) = porters(&[("login.0", "alice fail no answer")], &[]).await;
    for _ in 0..10 {
        let said = log_in(&host, password("alice", "secret")).await;
        assert_eq!(said, "a failed: no answer");
    }
    assert_eq!(host.status().plugins[0].counts.bad_verdicts, 0);
}

#[tokio::test]
async fn an_account_is_opened_in_a_directory_of_the_storage_of_a_plugin() {
    for (root, place) in [("/", "plugin:memory"), ("/in/../out", "plugin:memory/out")] {
        let account = [("login.0", "alice accept"), ("storage", "plugin:memory"), ("root", root)];
        let directory = Directory::new();
        directory.put("porter.wasm", &porter());
        let settings = vec![plugin("porter", &account)];
        let settings = HostSettings { plugins: settings, ..directory.settings() };
        let (services, others) = services();
        let host = Host::load_with(settings, services).await.unwrap();
        log_in(&host, password("alice", "x")).await;
        assert_eq!(*others.places.lock().unwrap(), [place]);
    }
}

#[tokio::test]
async fn an_account_is_opened_within_what_is_granted() {
    let account = [
        ("login.0", "alice accept"),
        ("storage", "local:/srv/ftp/alice"),
        ("root", "/pub/../in"),
        ("permissions.0", "list"),
    ];
    let directory = Directory::new();
    directory.put("porter.wasm", &porter());
    let grants = Grants { storage: vec!["/srv/ftp".into()], ..Grants::default() };
    let settings = PluginSettings { grants, ..plugin("porter", &account) };
    let settings = HostSettings { plugins: vec![settings], ..directory.settings() };
    let (services, others) = services();
    let host = Host::load_with(settings, services).await.unwrap();
    let log = Log::listen();
    assert_eq!(log_in(&host, password("alice", "x")).await, "porter failed");
    assert_eq!(*others.places.lock().unwrap(), ["local:/srv/ftp/alice/in"]);
    assert_eq!(log.lines_with("account cannot be opened").len(), 1);
    // That was no mistake of the plugin.
    assert_eq!(host.status().plugins[0].counts.bad_verdicts, 0);
}

#[tokio::test]
async fn an_account_that_is_not_granted_or_not_understood_is_a_mistake() {
    let log = Log::listen();
    for (setting, complaint) in [
        (("storage", "local:/etc"), "storage not granted: /etc"),
        (("permissions.0", "fly"), "no such permission: fly"),
        (("limits.0", "quota = 1"), "no limit that is kept here: quota"),
    ] {
        let mut account = vec![("login.0", "alice accept"), ("storage", "plugin:memory")];
        account.retain(|(key, _)| *key != setting.0);
        account.push(setting);
        let (_directory, host) = host_of_porter(&account).await;
        assert_eq!(log_in(&host, password("alice", "x")).await, "porter failed");
        assert_eq!(host.status().plugins[0].counts.bad_verdicts, 1);
        assert_eq!(log.lines_with(complaint).len(), 1, "{complaint}");
    }
}

#[tokio::test]
async fn credentials_are_replaced_for_those_behind() {
    let (_directory, host) =
        porters(&[("login.0", "alice as bob")], &[("login.0", "bob verify $secret")]).await;
    let replaced = "a replaces: bob secret; b failed";
    assert_eq!(log_in(&host, password("alice", "secret")).await, replaced);
    let (_directory, host) = porters(&[("login.0", "alice as bob")], &[]).await;
    let replaced = "a replaces: bob secret; nobody knows";
    assert_eq!(log_in(&host, password("alice", "secret")).await, replaced);
}

#[tokio::test]
async fn a_certificate_can_be_read_and_not_forged() {
    let rules = [("login.0", "alice certificate alice@example.org"), ("login.1", "bob forge")];
    let (_directory, host) = host_of_porter(&rules).await;
    let certificate = |user: &str, name: &str| Credentials::Certificate {
        user: user.to_owned(),
        sha256: "1".repeat(64),
        names: vec![name.to_owned()],
    };
    let mine = certificate("alice", "alice@example.org");
    assert_eq!(log_in(&host, mine).await, "porter failed");
    let other = certificate("alice", "bob@example.org");
    assert_eq!(log_in(&host, other).await, "porter denies: Some(\"wrong\")");
    assert_eq!(log_in(&host, certificate("bob", "x")).await, "porter failed");
    assert_eq!(host.status().plugins[0].counts.bad_verdicts, 2);
}

#[tokio::test]
async fn an_account_may_be_asked_for() {
    let (_directory, host) = host_of_porter(&[("login.0", "alice need 42")]).await;
    let offer = || password("alice", "x");
    assert_eq!(log_in(&host, offer()).await, "porter needs an account");
    let mut facts = SessionFacts::clone(&session());
    facts.attributes = Arc::new([("acct".to_owned(), "43".to_owned())]);
    let verdict = log_in_of(&host, &Arc::new(facts), offer()).await;
    assert_eq!(verdict, "porter denies: Some(\"wrong\")");
}

#[tokio::test]
async fn an_authenticator_that_breaks_lets_nobody_in() {
    let (_directory, host) =
        porters(&[("login.0", "alice trap")], &[("login.0", "alice accept")]).await;
    assert_eq!(log_in(&host, password("alice", "secret")).await, "a failed");
}

/// Whoever has accounts elsewhere can have theirs say a lot.
#[tokio::test]
async fn an_account_that_says_too_much_of_itself_is_not_held_against_whoever_tells_of_it() {
    let long = "x".repeat(20_000);
    let many: Vec<_> = (0..65).map(|number| format!("attributes.a{number}")).collect();
    let many = many.iter().map(|name| (&**name, "")).collect::<Vec<_>>();
    for attributes in [&[("attributes.note", &*long)][..], &many] {
        let rules =
            [("login.0", "alice accept"), ("login.1", "carol deny"), ("storage", "plugin:a")];
        let (_directory, host) = host_of_porter(&[&rules, attributes].concat()).await;
        for _ in 0..8 {
            assert_eq!(log_in(&host, password("alice", "x")).await, "porter failed");
        }
        assert_eq!(log_in(&host, password("carol", "x")).await, "porter denies: Some(\"\")");
        let status = host.status().plugins.remove(0);
        assert!(!status.breaker_open && status.counts.bad_verdicts == 8, "{status:?}");
        let error = status.last_error.unwrap();
        assert!(error.reason.starts_with("bad verdict: an account with "), "{}", error.reason);
        assert!(error.reason.ends_with(", at most 64 and 16384"), "{}", error.reason);
        assert!(error.remedy.unwrap().starts_with("have it tell "));
    }
}

#[tokio::test]
async fn an_authenticator_may_not_be_told_to_fail_open() {
    let directory = Directory::new();
    directory.put("porter.wasm", &porter());
    let settings = PluginSettings { on_error: OnError::Allow, ..plugin("porter", &[]) };
    let settings = HostSettings { plugins: vec![settings], ..directory.settings() };
    let errors = load_errors(settings).await.to_string();
    assert!(errors.contains("on_error = \"allow\" would let in"), "{errors}");
    assert!(errors.contains("remedy: set on_error = \"deny\" for it"), "{errors}");
}

#[tokio::test]
async fn an_authenticator_that_was_dropped_in_is_not_loaded() {
    let directory = Directory::new();
    directory.put("porter.wasm", &porter());
    let errors = load_errors(directory.settings()).await.to_string();
    assert!(errors.contains("exports the hook authenticator"), "{errors}");
    assert!(errors.ends_with("[[plugin]]\nname = \"porter\""), "{errors}");
}

#[tokio::test]
async fn what_is_done_to_files_is_denied_or_led_elsewhere() {
    let rules = [
        ("files.0", "read /a deny 550 Not this."),
        ("files.1", "write /b redirect /in/b"),
        ("files.2", "rename /c redirect /in/c"),
        ("files.3", "change /a tell group"),
        ("files.4", "enter /same redirect /same/."),
    ];
    let (_directory, host) = host(&rules).await;
    assert_eq!(file(&host, FileOp::Read(at("/a"), 7)).await, "decider denies: 550 Not this.");
    let write = FileOp::Write(at("/b"), WriteKind::Create);
    assert_eq!(file(&host, write).await, "decider redirects to /in/b");
    let rename = FileOp::Rename(at("/x"), at("/c"));
    assert_eq!(file(&host, rename).await, "decider redirects to /in/c");
    let change = FileOp::Change(at("/a"), "UNIX.mode=0644;".to_owned());
    assert_eq!(file(&host, change).await, "decider denies: 550 staff");
    assert_eq!(file(&host, FileOp::Enter(at("/same"))).await, "pass");
    assert_eq!(file(&host, FileOp::Remove(at("/a"))).await, "pass");
    assert_eq!(
        file(&host, FileOp::Inspect(at(b"/\xff"))).await,
        "decider fails: 501 Argument is not UTF-8."
    );
}

#[tokio::test]
async fn a_redirection_is_fed_to_the_next_plugin() {
    let (_directory, host) = host_of_two(
        &[("files.0", "read /a redirect /b"), ("files.1", "read /c deny 550 a")],
        &[("files.0", "read /b redirect /c"), ("files.1", "read /a deny 550 b")],
    )
    .await;
    assert_eq!(file(&host, FileOp::Read(at("/a"), 0)).await, "b redirects to /c");
}

#[tokio::test]
async fn a_plugin_that_fails_on_a_file_denies_it() {
    let rules = [
        ("files.0", "read / trap"),
        ("files.1", "write / redirect relative"),
        ("files.2", "remove / deny 226 Fine."),
        ("files.3", "enter / deny 421 Bye."),
    ];
    let ops = || {
        let root = VirtualPath::root;
        [
            FileOp::Read(root(), 0),
            FileOp::Write(root(), WriteKind::Append),
            FileOp::Remove(root()),
            FileOp::Enter(root()),
        ]
    };
    let (_directory, deny) = host(&rules).await;
    let (_directory, allow) = host_that_allows(&rules).await;
    for op in ops() {
        let denied = "decider fails: 550 Not possible now: plugin failed.";
        assert_eq!(file(&deny, op.clone()).await, denied);
        assert_eq!(file(&allow, op).await, "pass");
    }
}

#[tokio::test]
async fn entries_are_hidden_by_one_plugin_after_the_other() {
    let (_directory, host) = host_of_two(&[("hide.0", "a")], &[("hide.0", "c")]).await;
    let shown = list(&host, &[b"a", b"b", b"c", b"\xff"]).await;
    assert_eq!(shown, Ok(vec![false, true, false, false]));
}

#[tokio::test]
async fn a_listing_of_many_entries_is_shown_in_pieces() {
    let (_directory, host) = host(&[("hide.0", "1700")]).await;
    let names: Vec<_> = (0..2500).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
    let shown = list(&host, &names).await.unwrap();
    let hidden: Vec<_> = (0..2500).filter(|&number| !shown[number]).collect();
    assert_eq!(hidden, [1700]);
    assert_eq!(host.status().plugins[0].counts.calls, 3);
}

#[tokio::test]
async fn a_plugin_that_cannot_tell_what_is_shown_leaves_no_listing() {
    for misdeed in ["trap", "lie"] {
        let (_directory, deny) = host(&[("hide.0", misdeed)]).await;
        let undecided = "plugin decider could not tell which entries are shown";
        assert_eq!(list(&deny, &[b"a"]).await, Err(undecided.to_owned()));
        let (_directory, allow) = host_that_allows(&[("hide.0", misdeed)]).await;
        assert_eq!(list(&allow, &[b"a", b"b"]).await, Ok(vec![true, true]));
    }
}

#[tokio::test]
async fn only_what_is_wanted_is_asked_about() {
    let config = [("ops.0", "write"), ("listings", "false"), ("files.0", "read /a trap")];
    let (_directory, host) = host(&config).await;
    let hooks = host.current();
    let files = hooks.files().unwrap();
    assert!(files.wanted().contains(FileOpKind::Write));
    assert!(!files.wanted().contains(FileOpKind::Read) && !files.wants_listings());
    assert_eq!(file(&host, FileOp::Read(at("/a"), 0)).await, "pass");
    assert_eq!(host.status().plugins[0].counts.calls, 0);
    let none = load(Directory::new().settings()).await.current();
    assert!(none.connections().is_none() && none.logins().is_none());
}
