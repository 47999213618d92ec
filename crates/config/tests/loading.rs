//! What a valid configuration comes to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use waft_config::{
    ActiveMode, Config, Isolation, LogFormat, OnError, PassiveAddress, PasswordHash, Permission,
    Permissions, QuickStart, TlsMode, Warnings,
};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA";

/// The minimum that has to keep working as it is written, with paths that exist.
const CONTRACT: &str = r#"
[server]
name = "files.example.org"            # in the greeting
# greeting = "…", worker_threads = N, state = "/var/lib/waft", run_as = "waft"

[limits]                              # 0 means none
sessions = 10000
sessions_per_address = 200
login_attempts = 3                    # then 421 and close

[timeouts]
login = "1m"
idle = "10m"
data_accept = "20s"                   # transfer command given, data connection awaited
stall = "2m"                          # a transfer that moves no byte
drain = "30s"                         # at shutdown

[[listener]]                          # any number
address = "127.0.0.1:2121"            # IPv4 or [IPv6]:port; port 0 picks one
tls = "explicit"

[tls]
certificate = "cert.pem"              # chain; reloaded when it changes
private_key = "key.pem"

[passive]
ports = "49152-49999"
address = "ftp.example.org"
[[passive.rule]]
from = "10.0.0.0/8"
address = "local"

[active]
mode = "off"                          # "off" | "lan" | "on"

[anonymous]                           # absent: no anonymous login
root = "pub"

[[user]]                              # inline accounts; or  [users] file = "users.toml"
name = "alice"
password = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA"
root = "alice"
permissions = ["list", "read", "write", "append", "delete", "rename", "mkdir"]

[plugins]
directory = "plugins.d"

[[plugin]]                            # or: named one by one, with settings
name = "passive-only"
path = "plugins/command-policy.wasm"
on_error = "deny"                     # "deny" | "allow"
[plugin.config]                       # handed to the component as it is
deny = ["PORT", "EPRT"]
message = "Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)"
[plugin.grant]                        # nothing unless granted
http = ["https://auth.example.org"]
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for directory in ["pub", "alice", "plugins", "plugins.d", "conf.d", "sub"] {
            fs::create_dir(place.at(directory)).unwrap();
        }
        for file in ["cert.pem", "key.pem", "plugins/command-policy.wasm", "plugins.d/x.wasm"] {
            place.write(file, "");
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(self.at(name), text).unwrap();
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self, text: &str) -> (Config, Warnings) {
        self.write("waft.toml", text);
        Config::load(Some(&self.at("waft.toml"))).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }
}

fn user(name: &str, root: &str) -> String {
    format!("[[user]]\nname = \"{name}\"\npassword = \"{HASH}\"\nroot = \"{root}\"\n")
}

#[test]
fn the_contract_holds_as_it_is_written() {
    let place = Place::new();
    let (config, _) = place.load(CONTRACT);
    assert_eq!(config.server.name, "files.example.org");
    assert_eq!(config.limits.sessions, Some(10_000));
    assert_eq!(config.timeouts.idle, Some(Duration::from_secs(600)));
    assert_eq!(config.timeouts.data_accept, Duration::from_secs(20));
    let listener = &config.listeners[0];
    assert_eq!(listener.address, "127.0.0.1:2121".parse().unwrap());
    assert_eq!((listener.name.as_str(), listener.tls), ("127.0.0.1:2121", TlsMode::Explicit));
    assert_eq!(config.tls.as_ref().unwrap().certificate, place.at("cert.pem"));
    assert_eq!(config.passive.ports.to_string(), "49152-49999");
    assert_eq!(config.passive.address, PassiveAddress::Name("ftp.example.org".to_owned()));
    assert_eq!(config.passive.rule[0].from, "10.0.0.0/8".parse().unwrap());
    assert_eq!(config.passive.rule[0].address, PassiveAddress::Local);
    assert_eq!(config.active.mode, ActiveMode::Off);
    assert_eq!(config.anonymous.as_ref().unwrap().permissions, Permissions::READ_ONLY);
    let alice = &config.users[0];
    assert_eq!((alice.root.clone(), alice.permissions), (place.at("alice"), Permissions::ALL));
    assert_eq!(config.plugins.directory, Some(place.at("plugins.d")));
    let plugin = &config.named_plugins[0];
    assert_eq!(plugin.path, place.at("plugins/command-policy.wasm"));
    assert_eq!(plugin.on_error, OnError::Deny);
    let message = "Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)";
    let flat = [("deny.0", "PORT"), ("deny.1", "EPRT"), ("message", message)];
    let flat = flat.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(plugin.config.flattened(), flat);
    assert_eq!(plugin.grant.http, Some(vec!["https://auth.example.org".to_owned()]));
    assert_eq!((&plugin.grant.kv, plugin.grant.control), (&None, false));
    assert_eq!(plugin.grant.durable_events, None);
}

#[test]
fn the_size_of_events_that_last_need_not_be_told() {
    for (written, read) in [
        ("true", Some(64 << 20)),
        ("\"2MiB\"", Some(2 << 20)),
        ("1048576", Some(1 << 20)),
        ("false", None),
    ] {
        let grant = format!("[plugin.grant]\ndurable_events = {written}\n");
        let text = CONTRACT.replace("[server]\n", "[server]\nstate = \".\"\n");
        let (config, _) = Place::new().load(&text.replace("[plugin.grant]", &grant));
        assert_eq!(config.named_plugins[0].grant.durable_events, read, "{written}");
    }
}

#[test]
fn what_is_not_written_has_its_default() {
    let (config, warnings) = Place::new().load("[[listener]]\naddress = \"[::1]:0\"\n");
    assert_eq!(config.limits, waft_config::Limits::default());
    assert_eq!(config.timeouts, waft_config::Timeouts::default());
    assert_eq!(config.transfers, waft_config::Transfers::default());
    assert_eq!(config.log.format, LogFormat::Human);
    assert_eq!(config.listeners[0].tls, TlsMode::Off);
    assert!(config.anonymous.is_none() && config.users.is_empty() && config.tls.is_none());
    assert_eq!(warnings.0.len(), 1, "nobody can log in: {warnings}");
}

#[test]
fn zero_means_none() {
    let text = "[limits]\nsessions = 0\n[timeouts]\nidle = 0\nstall = \"0s\"\n\
                [login]\nremember = 0\n[[listener]]\naddress = \"[::1]:0\"\n";
    let (config, _) = Place::new().load(text);
    assert_eq!(config.limits.sessions, None);
    assert_eq!((config.timeouts.idle, config.timeouts.stall), (None, None));
    assert_eq!(config.login.remember, None);
}

#[test]
fn a_certificate_makes_tls_required_unless_told_otherwise() {
    let text = "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
                [[listener]]\naddress = \"0.0.0.0:1\"\n\
                [[listener]]\naddress = \"0.0.0.0:2\"\ntls = \"off\"\n\
                [[listener]]\naddress = \"0.0.0.0:3\"\ntls = \"implicit\"\n";
    let (config, _) = Place::new().load(text);
    let modes: Vec<TlsMode> = config.listeners.iter().map(|listener| listener.tls).collect();
    assert_eq!(modes, [TlsMode::Require, TlsMode::Off, TlsMode::Implicit]);
}

#[test]
fn an_authority_s_certificate_is_in_a_directory_of_that_authority_and_makes_tls_required() {
    let text = "[tls.acme]\nnames = [\"ftp.example.org\"]\nterms_of_service_agreed = true\n\
                address = \"127.0.0.1:0\"\ndirectory = \"acme\"\n\
                [[listener]]\naddress = \"0.0.0.0:1\"\n";
    let place = Place::new();
    let (config, _) = place.load(text);
    assert_eq!(config.listeners[0].tls, TlsMode::Require);
    let tls = config.tls.as_ref().unwrap();
    let file = place.at("acme/acme-v02.api.letsencrypt.org-directory/certificate.pem");
    assert_eq!((&tls.certificate, &tls.private_key), (&file, &file));
    assert!(config.watched_paths().contains(&file));
}

#[test]
fn anonymous_upload_adds_one_permission() {
    let text = "[anonymous]\nroot = \"pub\"\nupload = true\n[[listener]]\naddress = \"[::1]:0\"\n";
    let (config, _) = Place::new().load(text);
    let permissions = config.anonymous.unwrap().permissions;
    assert_eq!(permissions, Permissions::READ_ONLY.with(Permission::Write));
}

#[test]
fn drop_ins_are_layered_in_the_order_of_their_names() {
    let place = Place::new();
    place.write("conf.d/20.toml", "[limits]\nsessions = 20\n[server]\nname = \"twenty\"\n");
    place.write("conf.d/10.toml", "[limits]\nsessions = 10\n");
    place.write("conf.d/30.toml.off", "[limits]\nsessions = 30\n");
    place.write("conf.d/.40.toml", "[limits]\nsessions = 40\n");
    place.write("conf.d/50.toml", &user("bob", "../pub"));
    let text = format!(
        "[limits]\nsessions = 1\nhashes = 7\n[[listener]]\naddress = \"[::1]:0\"\n{}",
        user("alice", "alice")
    );
    let (config, _) = place.load(&text);
    assert_eq!((config.limits.sessions, config.limits.hashes), (Some(20), 7));
    assert_eq!(config.server.name, "twenty");
    let users: Vec<_> = config.users.iter().map(|u| (u.name.as_str(), u.root.clone())).collect();
    let bob = place.at("conf.d/../pub");
    assert_eq!(users, [("alice", place.at("alice")), ("bob", bob)]);
    let origin = |key: &str| config.origin(key).map(ToString::to_string);
    let at = |file: &str| Some(place.at(file).display().to_string());
    assert_eq!(origin("limits.sessions"), at("conf.d/20.toml:2:12"));
    assert_eq!(origin("limits.hashes"), at("waft.toml:3:10"));
    assert_eq!(origin("user.1.root"), at("conf.d/50.toml:4:8"));
    assert_eq!(origin("timeouts.idle"), None);
    let files = ["waft.toml", "conf.d/10.toml", "conf.d/20.toml", "conf.d/50.toml"];
    assert_eq!(config.files(), files.map(|file| place.at(file)));
}

#[test]
fn the_users_file_adds_accounts_with_its_own_paths() {
    let place = Place::new();
    place.write("sub/users.toml", &user("bob", "../pub"));
    let text = format!(
        "[users]\nfile = \"sub/users.toml\"\n[limits]\nsessions_per_user = 4\n\
         [[listener]]\naddress = \"[::1]:0\"\n{}sessions = 0\n[user.attributes]\nteam.name = \"a\"\n",
        user("alice", "alice")
    );
    let (config, _) = place.load(&text);
    assert_eq!(config.users_file, Some(place.at("sub/users.toml")));
    let names: Vec<&str> = config.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(config.users[0].sessions, None);
    assert_eq!(config.users[0].attributes["team.name"], "a");
    assert_eq!(config.users[1].sessions, Some(4));
    assert_eq!(config.users[1].root, place.at("sub/../pub"));
    assert_eq!(config.users[1].origin.file.as_ref(), place.at("sub/users.toml"));
}

#[test]
fn plugins_inherit_what_they_do_not_set() {
    let text = "[plugins]\ndirectory = \"plugins.d\"\non_error = \"allow\"\n\
                [plugins.limits]\nmemory = \"128MiB\"\nwall = \"5s\"\n\
                [[plugin]]\nname = \"x\"\nlimits = { wall = \"9s\" }\n\
                [[plugin]]\nname = \"y\"\npath = \"plugins/command-policy.wasm\"\n\
                on_error = \"deny\"\n[[listener]]\naddress = \"[::1]:0\"\n";
    let place = Place::new();
    let (config, _) = place.load(text);
    let [x, y] = &config.named_plugins[..] else { panic!("not two plugins") };
    assert_eq!((x.path.clone(), x.on_error), (place.at("plugins.d/x.wasm"), OnError::Allow));
    assert_eq!((x.limits.memory, x.limits.wall), (128 << 20, Some(Duration::from_secs(9))));
    assert_eq!(y.on_error, OnError::Deny);
    assert_eq!((y.limits.memory, y.limits.wall), (128 << 20, Some(Duration::from_secs(5))));
    assert_eq!(y.limits.cpu, None);
}

#[test]
fn plugins_inherit_limits_hook_by_hook_and_key_by_key() {
    let text = "[plugins.limits]\ninstances = { min = 2, max = 4 }\nqueue = \"3s\"\n\
                [plugins.limits.authenticator]\ncpu = \"1s\"\nwall = \"30s\"\n\
                [[plugin]]\nname = \"x\"\npath = \"plugins/command-policy.wasm\"\n\
                isolation = \"call\"\nshare = 8\n\
                [plugin.on_error_by_hook]\nfile_filter = \"allow\"\n\
                [plugin.limits]\ninstances = 7\n\
                [plugin.limits.authenticator]\nwall = \"20s\"\n\
                [[plugin]]\nname = \"y\"\npath = \"plugins/command-policy.wasm\"\n\
                limits = { wall = \"9s\" }\n[[listener]]\naddress = \"[::1]:0\"\n";
    let place = Place::new();
    let (config, _) = place.load(text);
    let [x, y] = &config.named_plugins[..] else { panic!("not two plugins") };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let of = |plugin: &waft_config::Plugin| {
        let own = &plugin.limits.authenticator;
        (own.cpu, own.wall)
    };
    assert_eq!(of(x), (seconds(1), seconds(20)));
    assert_eq!(of(y), (seconds(1), None), "its own 9 s go before what holds for all");
    assert_eq!((x.limits.instances.min, x.limits.instances.max), (1, 7));
    assert_eq!((y.limits.instances.min, y.limits.instances.max), (2, 4));
    assert_eq!((y.limits.queue, x.isolation), (Duration::from_secs(3), Isolation::Call));
    assert_eq!((x.share, y.share), (8, 1));
    assert_eq!(x.on_error_by_hook.file_filter, Some(OnError::Allow));
    assert_eq!(x.on_error_by_hook.command_filter, None);
}

#[test]
fn everything_whose_change_matters_is_watched() {
    let place = Place::new();
    place.write("users.toml", "");
    place.write("conf.d/10.toml", "");
    let text = format!("{CONTRACT}\n[users]\nfile = \"users.toml\"\n");
    let (config, _) = place.load(&text);
    let watched = ["waft.toml", "conf.d/10.toml", "users.toml", "conf.d", "cert.pem", "key.pem"];
    assert_eq!(config.watched_paths(), watched.map(|name| place.at(name)));
}

#[test]
fn a_greeting_may_have_several_lines() {
    let text = "[server]\ngreeting = \"hello\\nworld\"\n[[listener]]\naddress = \"[::1]:0\"\n";
    let (config, _) = Place::new().load(text);
    assert_eq!(config.server.greeting, ["hello", "world"]);
}

fn quick(root: PathBuf) -> QuickStart {
    QuickStart {
        root,
        listen: None,
        users: Vec::new(),
        anonymous: false,
        read_only: false,
        plugins: Vec::new(),
    }
}

#[test]
fn a_quick_start_without_accounts_lets_everybody_read() {
    let place = Place::new();
    let (config, warnings) = Config::quick(&quick(place.at("pub"))).unwrap();
    assert_eq!(warnings, Warnings::default());
    assert_eq!(config.listeners[0].address, "127.0.0.1:2121".parse().unwrap());
    let anonymous = config.anonymous.as_ref().unwrap();
    assert_eq!(anonymous.root, place.at("pub"));
    assert_eq!(anonymous.permissions, Permissions::READ_ONLY);
    assert!(config.users.is_empty() && config.watched_paths().is_empty());
}

#[test]
fn a_quick_start_takes_accounts_and_plugins() {
    let place = Place::new();
    let start = QuickStart {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        users: vec![("alice".to_owned(), PasswordHash::parse(HASH).unwrap())],
        plugins: vec![place.at("plugins/command-policy.wasm")],
        ..quick(place.at("pub"))
    };
    let (config, _) = Config::quick(&start).unwrap();
    assert!(config.anonymous.is_none());
    let alice = &config.users[0];
    assert_eq!((alice.name.as_str(), alice.permissions), ("alice", Permissions::ALL));
    assert_eq!(alice.password.as_ref().unwrap().as_str(), HASH);
    let plugin = &config.named_plugins[0];
    assert_eq!((plugin.name.as_str(), &plugin.path), ("command-policy", &start.plugins[0]));

    let start = QuickStart { anonymous: true, read_only: true, ..start };
    let (config, _) = Config::quick(&start).unwrap();
    assert!(config.anonymous.is_some());
    assert_eq!(config.users[0].permissions, Permissions::READ_ONLY);
}

#[test]
fn mistakes_of_a_quick_start_are_told_by_the_name_of_the_option() {
    let start =
        QuickStart { plugins: vec![PathBuf::from("/gone.wasm")], ..quick(PathBuf::from("/gone")) };
    let expected = "command line: --root: no such directory: /gone\n  remedy: make it: mkdir -p \
                    /gone\ncommand line: --plugin: no such file: /gone.wasm\n  remedy: name a \
                    component: a file *.wasm";
    assert_eq!(Config::quick(&start).unwrap_err().to_string(), expected);
}

#[test]
fn a_listener_of_a_quick_start_on_every_address_is_warned_of() {
    let place = Place::new();
    let start =
        QuickStart { listen: Some("0.0.0.0:2121".parse().unwrap()), ..quick(place.at("pub")) };
    let (_, warnings) = Config::quick(&start).unwrap();
    assert!(warnings.to_string().contains("in clear text"), "{warnings}");
}

#[test]
fn a_text_can_stand_for_a_file() {
    let text = "[[listener]]\naddress = \"[::1]:0\"\n[server]\nstate = \"state\"\n";
    let (config, _) = Config::from_text(Path::new("/etc/waft/waft.toml"), text).unwrap();
    assert_eq!(config.server.state, Some(PathBuf::from("/etc/waft/state")));
    assert_eq!(config.files(), [PathBuf::from("/etc/waft/waft.toml")]);
}
