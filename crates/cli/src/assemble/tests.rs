use std::collections::BTreeMap;
use std::path::PathBuf;

use waft_core::storage::StoragePlace;
use waft_plugin_host::{
    CallLimits, Grants, Hook, HostSettings, Isolation, KvGrant, LoadError, LoadErrors, OnError,
    OnLoadError, PluginSettings, Refusal, Secret,
};

use super::*;

/// Every key that says something else than its default.
const EVERYTHING: &str = r#"
[server]
name = "files.example.org"
greeting = "one\ntwo"

[limits]
sessions = 1
sessions_per_address = 2
sessions_per_user = 9
login_attempts = 4
line_bytes = "1KiB"
listing_entries = 5
stat_bytes = "2KiB"
waiting_commands = 6
hashes = 7
ascii_size_bytes = "3KiB"

[timeouts]
login = "1s"
idle = "2s"
data_accept = "3s"
data_connect = "4s"
tls_handshake = "11s"
stall = "5s"
reply = "6s"
drain = "7s"

[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.2:0"
name = "outside"
passive_address = "203.0.113.8"

[passive]
ports = "50000-50009"
address = "ftp.example.org"
peers = ["10.1.0.0/16"]
[[passive.rule]]
from = "10.0.0.0/8"
address = "local"
[[passive.rule]]
from = "192.0.2.0/24"
address = "203.0.113.7"

[active]
mode = "lan"
lan = ["10.0.0.0/8"]

[login]
failure_delay = "8s"
attempts_per_address = 0
attempts_per_account = 3
attempts_window = "9s"
lockout = "10s"
remember = 0
verifications = 2

[transfers]
interrupted = "delete"
file_mode = "0600"
directory_mode = "0700"
durable = true
ascii = "binary"
deflate_level = 9
hidden_files = "on_request"
"#;

fn config(text: &str) -> Config {
    Config::from_text(Path::new("waft.toml"), text).unwrap().0
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn every_key_reaches_the_server() {
    let settings = server_settings(&config(EVERYTHING));
    assert_eq!(&*settings.name, "files.example.org");
    assert_eq!(settings.greeting, ["one", "two"]);
    let limits = settings.limits;
    assert_eq!((limits.sessions_max, limits.sessions_per_address_max), (1, 2));
    assert_eq!(limits.sessions_per_account_max, 9);
    assert_eq!((limits.login_attempts_max, limits.line_bytes_max), (4, 1024));
    assert_eq!((limits.listing_entries_max, limits.stat_bytes_max), (5, 2048));
    assert_eq!((limits.waiting_commands_max, limits.hashes_max), (6, 7));
    assert_eq!(limits.ascii_size_bytes_max, 3072);
    let timeouts = settings.timeouts;
    assert_eq!((timeouts.login, timeouts.idle), (seconds(1), seconds(2)));
    assert_eq!((timeouts.data_accept, timeouts.data_connect), (seconds(3), seconds(4)));
    assert_eq!((timeouts.stall, timeouts.reply), (seconds(5), seconds(6)));
    assert_eq!((timeouts.drain, timeouts.tls_handshake), (seconds(7), seconds(11)));
    let passive = settings.passive;
    assert_eq!(passive.ports, 50_000..=50_009);
    assert_eq!(passive.address, settings::Advertised::Name("ftp.example.org".into()));
    assert_eq!(passive.peers, ["10.1.0.0/16".parse().unwrap()]);
    let fixed = settings::Advertised::Fixed("203.0.113.7".parse().unwrap());
    let rules = [
        ("10.0.0.0/8".parse().unwrap(), settings::Advertised::Local),
        ("192.0.2.0/24".parse().unwrap(), fixed),
    ];
    assert_eq!(passive.rules, rules);
    let [(listener, outside)] = settings.passive_by_listener.try_into().unwrap();
    assert_eq!((&*listener, outside.ports, outside.rules), ("outside", 50_000..=50_009, vec![]));
    assert_eq!(outside.address, settings::Advertised::Fixed("203.0.113.8".parse().unwrap()));
    assert_eq!(settings.active, settings::Active::Lan(vec!["10.0.0.0/8".parse().unwrap()]));
    let transfers = settings.transfers;
    assert_eq!(transfers.interrupted, Interrupted::Delete);
    assert_eq!(transfers.ascii, settings::Ascii::AsImage);
    assert_eq!(transfers.deflate, Some(9));
    assert_eq!(transfers.hidden, settings::Hidden::OnlyAsked);
}

#[test]
fn every_key_reaches_logins_and_storage() {
    let config = config(EVERYTHING);
    let lockout = lockout_options(&config);
    assert_eq!((lockout.failures_per_address, lockout.failures_per_account), (0, 3));
    assert_eq!((lockout.window, lockout.duration), (seconds(9), seconds(10)));
    assert_eq!(lockout.delay_max, seconds(8));
    let verifier = verifier_options(&config);
    assert_eq!((verifier.parallel.get(), verifier.remember), (2, Duration::ZERO));
    let expected = Options { file_mode: 0o600, directory_mode: 0o700, durable: true };
    assert_eq!(storage_options(&config), expected);
}

#[test]
fn mode_z_can_be_refused() {
    let text = "[transfers]\ndeflate = false\n[[listener]]\naddress = \"127.0.0.1:0\"";
    assert_eq!(server_settings(&config(text)).transfers.deflate, None);
}

#[tokio::test]
async fn accounts_have_what_was_written() {
    let hash = waft_accounts::hash_password(b"secret").unwrap();
    let root = tempfile::tempdir().unwrap();
    let shown = root.path().display();
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [limits]\nsessions_per_user = 9\n\
         [anonymous]\nroot = \"{shown}\"\nsessions = 3\n\
         [[user]]\nname = \"alice\"\npassword = \"{hash}\"\nroot = \"{shown}\"\nhome = \"/a/b\"\n\
         permissions = [\"list\", \"mkdir\"]\nenabled = false\ntls_resumption = \"require\"\n\
         attributes = {{ team = \"x\" }}\n"
    );
    let config = config(&text);
    let spec = account(&config, &config.users[0]).unwrap();
    assert_eq!((spec.name.as_str(), spec.password), ("alice", Some(hash)));
    assert_eq!(spec.resumption, Some(waft_core::Resumption::Require));
    let place = StoragePlace::Local(root.path().to_owned());
    assert_eq!((spec.storage, spec.enabled), (place, false));
    let expected: Permissions = [Permission::List, Permission::Mkdir].into_iter().collect();
    assert_eq!((spec.permissions, spec.sessions_max), (expected, 9));
    assert_eq!(spec.attributes, [("team".to_owned(), "x".to_owned())]);
    let anonymous = anonymous(&config).unwrap().unwrap();
    assert_eq!(anonymous.permissions, Permissions::READ_ONLY);
    assert_eq!((anonymous.root.as_path(), anonymous.sessions_max), (root.path(), 3));
    let verifier = Arc::new(Verifier::new(verifier_options(&config)).unwrap());
    assert!(accounts(&config, verifier, Places::new(&config, None)).is_ok());
}

#[test]
fn a_root_that_is_no_path_in_the_storage_of_a_plugin_is_not_all_of_it() {
    let text = "[[listener]]\naddress = \"127.0.0.1:0\"\n\
                [[user]]\nname = \"alice\"\n\
                password = \"$2b$04$abcdefghijklmnopqrstuuDPLHifYoaWSdOKqBS2.4JkNKNY008z.\"\n\
                storage = \"plugin:vault\"\nroot = \"/in\"\nhome = \"/a\"\n\
                [plugins]\ndirectory = \".\"\n";
    let mut config = config(text);
    let spec = account(&config, &config.users[0]).unwrap();
    let path = |text: &str| VirtualPath::root().join(text.as_bytes()).unwrap();
    assert_eq!(spec.storage, StoragePlace::Plugin("vault".to_owned(), path("/in")));
    assert_eq!(spec.home, path("/a"));
    config.users[0].root = PathBuf::from("/in\n");
    let mistakes = account(&config, &config.users[0]).err().unwrap();
    let [mistake] = <[Mistake; 1]>::try_from(mistakes).unwrap();
    assert_eq!((mistake.key.as_str(), mistake.origin.line), ("user.0.root", 7));
}

#[test]
fn every_permission_has_the_same_name_everywhere() {
    assert_eq!(permissions(waft_config::Permissions::ALL), Permissions::ALL);
    assert_eq!(permissions(waft_config::Permissions::READ_ONLY), Permissions::READ_ONLY);
}

fn plugins(directory: &Path, grant: &str) -> Config {
    for name in ["one", "two"] {
        std::fs::write(directory.join(name).with_extension("wasm"), "").unwrap();
    }
    std::fs::write(directory.join("pin"), "1234\n").unwrap();
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [plugins]\norder = [\"two\"]\npoll = 0\ndebounce = \"1s\"\ndrain_timeout = \"3s\"\n\
         compile_timeout = \"4s\"\n[plugins.limits]\nsessions = 5\n\
         [[plugin]]\nname = \"one\"\npath = \"one.wasm\"\non_error = \"allow\"\n\
         on_load_error = \"disable\"\nrequired = true\npriority = 7\n\
         isolation = \"session\"\nshare = 6\non_error_by_hook = {{ command_filter = \"deny\" }}\n\
         limits = {{ memory = \"1MiB\", cpu = \"1ms\", wall = \"2ms\", instances = 3, log_lines = 4, \
         queue = \"5s\", instance_calls = 6, instance_age = \"7s\", instance_idle = \"8s\", \
         transfers = 9, remembered_commands = 11, event_sink = {{ wall = \"10s\" }} }}\n\
         config = {{ deny = [\"PORT\"], texts = {{ PORT = \"no\" }} }}\n{grant}\n\
         [[plugin]]\nname = \"two\"\npath = \"two.wasm\"\n"
    );
    Config::from_text(&directory.join("waft.toml"), &text).unwrap().0
}

/// The page of limits is made of the plugin host's.
#[test]
fn what_nobody_sets_is_what_the_plugin_host_says() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("p.wasm"), "").unwrap();
    let text = "[server]\nstate = \".\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                [[plugin]]\nname = \"p\"\npath = \"p.wasm\"\n[plugin.grant]\nkv = { persistent = true }\n\
                durable_events = true\n";
    let config = Config::from_text(&directory.path().join("waft.toml"), text).unwrap().0;
    let settings = host_settings(&config).unwrap();
    let usual = HostSettings::default();
    // Budgets are those of the hooks.
    let plain = |mut settings: PluginSettings| {
        let mut by_hook = std::mem::take(&mut settings.limits.by_hook).into_values();
        assert!(by_hook.all(|own| own == CallLimits::default()));
        settings
    };
    assert_eq!(plain(settings.dropped_in.clone()), usual.dropped_in);
    assert_eq!((settings.memory_budget, settings.unlisted), (usual.memory_budget, usual.unlisted));
    let times = |of: &HostSettings| (of.probation, of.compile_timeout, of.debounce, of.poll);
    assert_eq!((times(&settings), settings.drain_timeout), (times(&usual), usual.drain_timeout));
    let plugin = plain(settings.plugins[0].clone());
    let kv = Some(KvGrant { bytes: KvGrant::BYTES, persistent: true });
    let durable_events = Some(Grants::DURABLE_EVENTS_BYTES);
    let grants = Grants { kv, durable_events, ..Grants::default() };
    let (path, written) = (plugin.path.clone(), plugin.written.clone());
    assert_eq!(plugin, PluginSettings { path, written, grants, ..PluginSettings::named("p") });
}

#[test]
fn every_key_reaches_the_plugin_host() {
    let directory = tempfile::tempdir().unwrap();
    let grant = "grant = { secrets = { pin = \"file:pin\" } }";
    let settings = host_settings(&plugins(directory.path(), grant)).unwrap();
    assert_eq!(settings.order, ["two"]);
    assert_eq!((settings.poll, settings.debounce), (Duration::MAX, seconds(1)));
    assert_eq!(settings.drain_timeout, Some(seconds(3)));
    assert_eq!(settings.compile_timeout, seconds(4));
    assert_eq!(settings.dropped_in.limits.sessions_max, 5);
    let [one, two] = settings.plugins.try_into().unwrap();
    assert_eq!((one.name.as_str(), two.name.as_str()), ("one", "two"));
    assert_eq!(one.path, Some(directory.path().join("one.wasm")));
    assert_eq!((one.on_error, one.on_load_error), (OnError::Allow, OnLoadError::Disable));
    assert_eq!((one.required, one.priority), (true, 7));
    let limits = &one.limits;
    assert_eq!((limits.memory, limits.instances_max, limits.log_lines), (1 << 20, 3, 4));
    assert_eq!(
        (limits.cpu, limits.wall),
        (Some(Duration::from_millis(1)), Some(Duration::from_millis(2)))
    );
    let bounds = (limits.sessions_max, limits.transfers_max, limits.instances_min);
    assert_eq!(bounds, (5, 9, 1));
    let times = (limits.queue, limits.instance_age, limits.instance_idle);
    assert_eq!((times, limits.instance_calls), ((seconds(5), seconds(7), seconds(8)), 6));
    assert_eq!(limits.remembered_commands, 11);
    assert_eq!(limits.by_hook.len(), 11, "every key names a hook");
    assert_eq!(limits.by_hook[&Hook::EventSink].wall, Some(seconds(10)));
    assert_eq!((one.isolation, one.share, two.share), (Isolation::Session, 6, 1));
    assert_eq!(one.on_error_by_hook, BTreeMap::from([(Hook::CommandFilter, OnError::Deny)]));
    let expected = [("deny.0", "PORT"), ("texts.PORT", "no")];
    assert_eq!(one.config, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(one.grants.secrets, [("pin".to_owned(), Secret::new(*b"1234"))]);
    assert_eq!((two.on_error, two.on_load_error), (OnError::Deny, OnLoadError::Refuse));
    assert_eq!(two.grants.secrets, []);
}

#[test]
fn secrets_that_cannot_be_had_are_told_together() {
    let directory = tempfile::tempdir().unwrap();
    let grant = "grant = { secrets = { a = \"file:missing\", b = \"env:NO_SUCH_VARIABLE_HERE\", \
                 c = \"in the clear\", d = 1 } }";
    let mistakes = host_settings(&plugins(directory.path(), grant)).unwrap_err();
    let told: Vec<(&str, &str)> =
        mistakes.iter().map(|m| (m.key.as_str(), m.message.as_str())).collect();
    let missing = directory.path().join("missing");
    let missing =
        format!("cannot be read: {}: No such file or directory (os error 2)", missing.display());
    let expected = [
        ("plugin.0.grant.secrets.a", &*missing),
        ("plugin.0.grant.secrets.b", "not in the environment: NO_SUCH_VARIABLE_HERE"),
        (
            "plugin.0.grant.secrets.c",
            "neither a file, a variable of the environment nor a credential",
        ),
        (
            "plugin.0.grant.secrets.d",
            "neither a file, a variable of the environment nor a credential",
        ),
    ];
    assert_eq!(told, expected);
    assert_eq!(mistakes[0].origin.line, 23);
    let remedies: Vec<_> = mistakes.iter().map(|m| &*m.remedy).collect();
    let syntax = "write NAME = \"file:PATH\", \"env:VARIABLE\" or \"credential:NAME\"";
    let expected = [
        "name a file that the server can read, which holds the secret alone",
        "set NO_SUCH_VARIABLE_HERE where the server is started",
        syntax,
        syntax,
    ];
    assert_eq!(remedies, expected);
}

#[test]
fn a_refused_plugin_points_at_what_brought_it_in() {
    let directory = tempfile::tempdir().unwrap();
    let config = plugins(directory.path(), "");
    let refused = |plugin: &str| LoadError {
        plugin: plugin.to_owned(),
        file: Some(PathBuf::from("x.wasm")),
        refusal: Refusal::CoreModule,
    };
    let errors = LoadErrors(vec![refused("two"), refused("dropped")]);
    let [named, dropped] = plugin_mistakes(&config, &errors).try_into().unwrap();
    assert_eq!((named.key.as_str(), named.origin.line), ("plugin.1.path", 26));
    let message = "plugin two (x.wasm): a core WebAssembly module, not a component";
    assert_eq!(named.message, message);
    assert_eq!(Some(named.remedy), Refusal::CoreModule.remedy());
    assert_eq!((dropped.key.as_str(), dropped.origin.line), ("plugins.directory", 3));
}
