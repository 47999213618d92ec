//! Everything that a plugin must not do, each done by a session of its own, and what the client is
//! to hear of it.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::crowd;
use super::ftp::Ftp;
use super::handmade;
use super::plugin::component;
use super::site::Site;
use super::waft::Waft;

/// What a client hears whose command a plugin broke on.
const FAILED: &str = "451 Local error: plugin failed.";

/// What a client hears whose files are in a storage that broke.
const STORAGE_FAILED: &str = "451 Local error in processing.";

/// So often a plugin may fail without being out of force for a while.
const FAILURES: usize = 4;

/// What the guest `hostile` does when a client sends a command of that name: its misdeed, the
/// command, and limits that let it get so far.
const HOSTILE: [(&str, &str, &str); 6] = [
    ("loop", "XLOOP", "wall = \"60s\""),
    ("recursion", "XRECURSION", ""),
    ("memory", "XMEMORY", "cpu = \"30s\", wall = \"30s\""),
    ("line-end", "XLINE", ""),
    ("code-999", "XCODE", ""),
    ("trap", "XTRAP", ""),
];

/// A plugin, a command that it breaks on, and why, as the log tells it.
const BREAKING: [(&str, &str, &str); 10] = [
    ("loop", "XLOOP", "over its computing time: 20ms"),
    ("recursion", "XRECURSION", "out of bounds memory access"),
    ("memory", "XMEMORY", "trap at the memory limit of 67108864 bytes"),
    ("line-end", "XLINE", "bad verdict: a reply line cannot hold CR, LF or NUL"),
    ("code-999", "XCODE", "bad verdict: no reply code: 999"),
    // With the functions it was in.
    ("trap", "XTRAP", "`unreachable` instruction executed < "),
    ("liar-of-lists", "XLIL list", "list pointer/length out of bounds of memory"),
    ("liar-of-texts", "XLIT text", "string pointer/length out of bounds of memory"),
    ("liar-of-many", "XLIM many", "too much data is being copied between the host and the guest"),
    ("gib-line", "XLIG gib", "too much data is being copied between the host and the guest"),
];

/// Files that are dropped in while the server runs, and why they are not taken.
fn refused() -> [(&'static str, Vec<u8>, &'static str); 4] {
    [
        ("forbidden", handmade::forbidden_import(), "wasi:nn/inference@0.2.0"),
        ("ungranted", component("tests/services"), "waft:plugin/kv@0.1.1"),
        ("unknown", handmade::unknown_hook(), "waft:plugin/thought-filter@0.1.0"),
        ("misfit", handmade::misfit(), "does not fit the interface: command-filter: "),
    ]
}

/// A service that takes connections and never answers.
pub(crate) struct Silent {
    url: String,
}

impl Silent {
    fn start() -> Silent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Ends with the process: what is asked is read, so that whoever asks is not held up by that.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || read_on(stream));
            }
        });
        Silent { url }
    }
}

fn read_on(mut stream: TcpStream) {
    let mut octets = [0; 1024];
    while stream.read(&mut octets).is_ok_and(|read| read > 0) {}
}

/// A site with a crowd's account, an inspecting filter on everybody's transfers, and all plugins
/// that misbehave.
pub(crate) fn site() -> (Site, Silent) {
    let silent = Silent::start();
    let mut config = format!(
        "[limits]\nsessions_per_address = 0\nlisting_entries = 5000\n\
         [control]\nsocket = \"ask.sock\"\n[plugins]\ndirectory = \"plugins.d\"\nmemory_budget = \"4GiB\"\n\
         {}[[mount]]\npath = \"/endless\"\nplugin = \"endless\"\n\
         [[mount]]\npath = \"/brittle\"\nplugin = \"brittle\"\n",
        crowd::account()
    );
    let mut plugin = |name: &str, lines: &str, own: &str| {
        config += &format!("[[plugin]]\nname = \"{name}\"\n{lines}\n[plugin.config]\n{own}\n");
    };
    for (misdeed, verb, limits) in HOSTILE {
        let own = format!("command = \"{misdeed}\"\nverbs = [\"{verb}\"]");
        plugin(misdeed, &format!("limits = {{ {limits} }}"), &own);
    }
    plugin("rewording", "", "reply = { SYST = \"999 Odd\" }");
    plugin("inspecting", "", "upload = \"inspect\"\ndownload = \"inspect\"");
    plugin("endless", "", "listing = \"endless\"");
    plugin("brittle", "", "fail = { read = \"trap\", write = \"trap\" }");
    let grant = format!("http = [\"{}\"], http_private = true", silent.url);
    let grant = format!("grant = {{ kv = \"1 MiB\", control = true, {grant} }}");
    plugin("waiting", &format!("limits = {{ wall = \"60s\" }}\n{grant}"), "verbs = [\"XGET\"]");
    plugin(
        "hanging",
        &format!("limits = {{ wall = \"1s\", cpu = \"1s\" }}\n{grant}"),
        "verbs = [\"XHANG\"]",
    );
    plugin("gib-line", "limits = { memory = \"2GiB\" }", "");
    let site = Site::new(&config);
    site.make(crowd::CROWD);
    let hostile = HOSTILE.iter().map(|(misdeed, _, _)| (*misdeed, component("tests/hostile")));
    let others = [
        ("rewording", component("tests/echo-verdict")),
        ("inspecting", component("tests/customs")),
        ("endless", component("tests/vault")),
        ("brittle", component("tests/vault")),
        ("waiting", component("tests/services")),
        ("hanging", component("tests/services")),
        ("liar-of-lists", handmade::liar("XLIL")),
        ("liar-of-texts", handmade::liar("XLIT")),
        ("liar-of-many", handmade::liar("XLIM")),
        ("gib-line", handmade::liar("XLIG")),
    ];
    for (name, component) in hostile.chain(others) {
        site.write(format!("plugins.d/{name}.wasm"), component);
    }
    // A line for each call would be most of what the server does here.
    let text = std::fs::read_to_string(site.path("waft.toml")).unwrap();
    site.write("waft.toml", text.replace("level = \"debug\"", "level = \"info\""));
    (site, silent)
}

/// Has all of it done at the same time, each so often, by sessions of the crowd's account.
pub(crate) fn commit(waft: &Waft, silent: &Silent, rounds: usize) {
    thread::scope(|scope| {
        for (_, command, _) in BREAKING {
            scope.spawn(move || again(waft, rounds, |ftp| answers(ftp, command, FAILED)));
        }
        let rewording = |ftp: &mut Ftp| answers(ftp, "SYST", "215 UNIX Type: L8");
        scope.spawn(move || again(waft, rounds, rewording));
        let asking = |ftp: &mut Ftp| {
            answers(ftp, &format!("XGET {}/ 200", silent.url), "500 Error::Timeout");
        };
        scope.spawn(move || again(waft, rounds, asking));
        let hanging = |ftp: &mut Ftp| answers(ftp, &format!("XHANG {}/", silent.url), FAILED);
        scope.spawn(move || again(waft, rounds.min(FAILURES), hanging));
        scope.spawn(move || again(waft, rounds, list_without_end));
        scope.spawn(move || again(waft, rounds.min(FAILURES / 2), lose_transfers));
        scope.spawn(move || drop_in(waft));
    });
}

/// Waits until the log has told why each of them failed.
pub(crate) fn expect_reasons(waft: &Waft) {
    let hanging = ("hanging", "XHANG", "over its time: 1s");
    for (plugin, command, reason) in BREAKING.into_iter().chain([hanging]) {
        waft.log.wait(&format!("{command}: {reason}"), |line| {
            line.message() == "plugin failed"
                && line.field("plugin") == plugin
                && line.field("reason").contains(reason)
        });
    }
}

fn again(waft: &Waft, rounds: usize, misdeed: impl Fn(&mut Ftp)) {
    let mut ftp = crowd::log_in(waft);
    for _ in 0..rounds {
        misdeed(&mut ftp);
        // The session is none the worse for it.
        answers(&mut ftp, "NOOP", "200 NOOP okay.");
    }
}

#[track_caller]
fn answers(ftp: &mut Ftp, command: &str, reply: &str) {
    assert_eq!(ftp.command(command).lines, [reply], "{command}");
}

fn list_without_end(ftp: &mut Ftp) {
    let mut data = ftp.begin("NLST /endless");
    let mut listing = Vec::new();
    // However the connection ends: the reply tells how the listing did.
    let _ = data.read_to_end(&mut listing);
    let reply = ftp.reply();
    assert_eq!(reply.code, 451, "{reply:?}");
    assert!(listing.len() < 1 << 20, "{} octets", listing.len());
}

/// The plugin breaks while it holds a download, and then an upload.
fn lose_transfers(ftp: &mut Ftp) {
    for command in ["RETR /brittle/made/100000", "STOR /brittle/sink/a"] {
        let mut data = ftp.begin(command);
        if command.starts_with("STOR") {
            // The server may have closed it already.
            let _ = std::io::Write::write_all(&mut data, &[0; 100_000]);
            let _ = data.shutdown(std::net::Shutdown::Write);
        }
        let _ = data.read_to_end(&mut Vec::new());
        assert_eq!(ftp.reply().lines, [STORAGE_FAILED], "{command}");
    }
}

/// Components that are not to be taken arrive, one after the other.
fn drop_in(waft: &Waft) {
    for (name, component, reason) in refused() {
        let arrive = |site: &Site| {
            site.write(format!("plugins.d/{name}.part"), component);
            let to = site.path(format!("plugins.d/{name}.wasm"));
            std::fs::rename(site.path(format!("plugins.d/{name}.part")), to).unwrap();
        };
        waft.and_wait(arrive, name, |line| {
            line.message() == "plugin not loaded"
                && line.field("plugin") == name
                && line.field("reason").contains(reason)
        });
        std::fs::remove_file(waft.path(format!("plugins.d/{name}.wasm"))).unwrap();
    }
}
