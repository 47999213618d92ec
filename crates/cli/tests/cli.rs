//! The program from outside: its arguments, files, output, exit codes and signals. What it does
//! for FTP clients is tested elsewhere; here they only look whether it is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A component without anything in it.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn waft(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waft"));
    command.args(arguments).env_remove("WAFT_LOG").stdin(Stdio::null());
    command
}

/// What a run of the program came to.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(arguments: &[&str]) -> Ran {
    ran(waft(arguments).output().unwrap())
}

/// Runs it with something to read from stdin.
fn run_with(arguments: &[&str], input: &str) -> Ran {
    let mut command = waft(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ran(child.wait_with_output().unwrap())
}

/// A directory with `waft.toml` in it.
struct Site(tempfile::TempDir);

impl Site {
    fn new(text: &str) -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        site.write("waft.toml", text);
        site
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn check(&self, more: &[&str]) -> Ran {
        run(&[&["check", "--config", &self.path("waft.toml")], more].concat())
    }

    fn serve(&self) -> Server {
        Server::start(&["serve", "--log-format", "json", "--config", &self.path("waft.toml")])
    }
}

const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n";

/// A running server and the lines of its log, JSON if it was told so.
struct Server {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        Server::of(&mut waft(arguments))
    }

    fn of(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Server { child, lines, seen: Vec::new() }
    }

    /// Waits for a line with `text` in it.
    #[track_caller]
    fn line(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no line with {text:?} in:\n{}", self.seen.join("\n"))
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for a line of JSON with this message.
    #[track_caller]
    fn said(&mut self, message: &str) -> Value {
        serde_json::from_str(&self.line(&format!("\"message\":\"{message}"))).unwrap()
    }

    /// Waits until it listens, and says where.
    #[track_caller]
    fn address(&mut self) -> SocketAddr {
        self.said("listening")["address"].as_str().unwrap().parse().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn stop(self) {
        self.signal(Signal::TERM);
        assert!(self.wait().success());
    }
}

/// A client that sends lines and reads lines.
struct Client(BufReader<TcpStream>);

impl Client {
    #[track_caller]
    fn connect(address: SocketAddr) -> (Client, String) {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client(BufReader::new(stream));
        let greeting = client.line();
        (client, greeting)
    }

    /// Reads a line; an empty one is the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    #[track_caller]
    fn expect(&mut self, command: &str, code: &str) {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let reply = self.line();
        assert!(reply.starts_with(code), "{command}: {reply}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for word in ["serve", "check", "user", "plugin", "config", "completions", "WAFT_LOG"] {
        assert!(help.stdout.contains(word), "{word}\n{}", help.stdout);
    }
    let serve = run(&["serve", "--help"]);
    for word in ["--config", "--root", "--listen", "--user", "--anonymous", "SIGHUP"] {
        assert!(serve.stdout.contains(word), "{word}\n{}", serve.stdout);
    }
    let version = run(&["--version"]);
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    assert_eq!(version.stdout, format!("waft {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_told_on_stderr_with_code_2() {
    let hash = &["user", "hash", "secret"][..];
    for arguments in [
        &[][..],
        &["fly"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["serve", "--root", ".", "--config", "x"],
        &["serve", "--root", ".", "--user", "alice"],
        &["serve", "--root", ".", "--listen", "somewhere"],
        &["user", "add", "alice", "--file", "x", "--root", "/", "--permissions", "fly"],
        hash,
    ] {
        let run = run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!run.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_account_on_the_command_line_is_not_shown() {
    let run = run(&["serve", "--root", ".", "--user", ":hidden-word"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("NAME:PASSWORD"), "{}", run.stderr);
    assert!(!run.stderr.contains("hidden-word"), "{}", run.stderr);
}

#[test]
fn reference_and_completions_go_to_stdout() {
    let reference = run(&["config", "reference"]);
    assert_eq!((reference.code, reference.stderr.as_str()), (Some(0), ""));
    assert!(reference.stdout.starts_with("# Configuration\n"), "{}", reference.stdout);
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(script.stdout.contains("serve"), "{shell}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    for arguments in [&["config", "reference"][..], &["completions", "bash"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = waft(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let run = ran(output);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_valid_configuration_is_told_with_what_is_in_it() {
    let site = Site::new(&format!("{LISTENER}[anonymous]\nroot = \".\"\n"));
    let run = site.check(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    let expected = "configuration is valid: 1 listener, 0 accounts, 0 plugins, 0 warnings\n";
    assert_eq!(run.stderr, expected);
}

#[test]
fn every_mistake_is_told_with_place_and_remedy() {
    let wrong = "[timeouts]\nidle = \"soon\"\n[log]\ncolour = true\n";
    let site = Site::new(&format!("{LISTENER}{wrong}[anonymous]\nroot = \".\"\n"));
    let run = site.check(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    for start in ["error: WAFT:4:8: timeouts.idle: ", "error: WAFT:6:1: log.colour: unknown key"] {
        let start = start.replace("WAFT", &site.path("waft.toml"));
        assert!(run.stderr.contains(&start), "{start}\n{}", run.stderr);
    }
    assert_eq!(run.stderr.matches("\n  remedy: ").count(), 2, "{}", run.stderr);
    assert!(run.stderr.ends_with("configuration is not valid: 2 mistakes, 0 warnings\n"));
}

#[test]
fn a_check_can_be_read_by_a_program() {
    let site = Site::new(&format!("{LISTENER}[timeouts]\nidle = \"soon\"\n"));
    let run = site.check(&["--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(2), ""));
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(told["valid"], false);
    let mistake = &told["mistakes"][0];
    assert_eq!((&mistake["line"], &mistake["column"]), (&4.into(), &8.into()));
    assert_eq!(mistake["file"], site.path("waft.toml"));
    assert_eq!(mistake["key"], "timeouts.idle");
    assert!(mistake["remedy"].is_string(), "{mistake}");

    site.write("waft.toml", format!("{LISTENER}[passive]\nports = \"50000-50001\"\n"));
    let run = site.check(&["--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&told["valid"], &told["listeners"][0]), (&true.into(), &"127.0.0.1:0".into()));
    assert!(told["warnings"].as_array().unwrap().iter().any(|w| w["key"] == "passive.ports"));
}

#[test]
fn a_configuration_that_is_not_there_is_told_with_code_2() {
    let site = Site::new("");
    let missing = site.path("missing.toml");
    for command in ["check", "serve"] {
        let run = run(&[command, "--config", &missing]);
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.contains(&missing), "{}", run.stderr);
    }
}

#[test]
fn a_plugin_that_would_be_refused_is_a_mistake_with_its_place() {
    let site =
        Site::new(&format!("{LISTENER}[[plugin]]\nname = \"broken\"\npath = \"p/x.wasm\"\n"));
    site.write("p/x.wasm", "no component");
    for command in ["check", "serve"] {
        let run = run(&[command, "--config", &site.path("waft.toml")]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        let start = format!(
            "error: {}:5:8: plugin.0.path: plugin broken ({}): ",
            site.path("waft.toml"),
            site.path("p/x.wasm")
        );
        assert!(run.stderr.contains(&start), "{start}\n{}", run.stderr);
    }
}

#[test]
fn a_grant_that_is_none_is_a_mistake_with_its_place() {
    let site = Site::new(&format!(
        "{LISTENER}[plugins]\ndirectory = \"plugins.d\"\n[[plugin]]\nname = \"later\"\n\
         on_load_error = \"disable\"\n[plugin.grant]\nkw = \"1 MiB\"\n"
    ));
    fs::create_dir(site.path("plugins.d")).unwrap();
    let run = site.check(&[]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let start = format!("error: {}:9:1: plugin.0.grant.kw: ", site.path("waft.toml"));
    assert!(run.stderr.contains(&start), "{}", run.stderr);
    assert!(run.stderr.contains("did you mean"), "{}", run.stderr);
}

#[test]
fn a_password_from_stdin_becomes_a_hash_on_stdout() {
    let run = run_with(&["user", "hash", "--password-stdin"], "secret\r\n");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let hash = run.stdout.strip_suffix('\n').unwrap();
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    assert_eq!(waft_accounts::validate_hash(hash), Ok(()));
    let long = "x".repeat(1025);
    for wrong in ["", "\n", "a\0b\n", &long] {
        let run = run_with(&["user", "hash", "--password-stdin"], wrong);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{wrong:?}");
        assert!(run.stderr.starts_with("error: the password "), "{}", run.stderr);
    }
}

#[test]
fn accounts_are_added_listed_changed_and_removed() {
    let site = Site::new(&format!("{LISTENER}[users]\nfile = \"users.toml\"\n"));
    let (file, root) = (site.path("users.toml"), site.path("files"));
    fs::create_dir(&root).unwrap();
    let user = |arguments: &[&str], input: &str| {
        run_with(&[&["user"], arguments, &["--file", &file]].concat(), input)
    };
    let list = |json: &[&str]| user(&[&["list"], json].concat(), "");
    assert_eq!(list(&[]).code, Some(1), "there is no such file yet");

    let add = ["add", "alice", "--root", &root, "--permissions", "list,read", "--password-stdin"];
    let added = user(&add, "first\n");
    assert_eq!((added.code, added.stderr.as_str()), (Some(0), "account added: alice\n"));
    let again = user(&add, "first\n");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("there is an account of this name already: alice"));

    let told: Value = serde_json::from_str(&list(&["--json"]).stdout).unwrap();
    assert_eq!(told[0]["name"], "alice");
    assert_eq!(told[0]["permissions"], serde_json::json!(["list", "read"]));
    let table = list(&[]).stdout;
    assert!(table.starts_with("NAME   ENABLED  ROOT"), "{table}");
    assert!(table.contains("\nalice  yes      "), "{table}");
    assert!(!table.contains("argon2"), "{table}");

    let mut server = site.serve();
    let address = server.address();
    let (mut client, _) = Client::connect(address);
    client.expect("USER alice", "331");
    client.expect("PASS first", "230");

    let first = fs::read_to_string(&file).unwrap();
    let changed = user(&["passwd", "alice", "--password-stdin"], "second\n");
    assert_eq!((changed.code, changed.stderr.as_str()), (Some(0), "password changed: alice\n"));
    assert_ne!(fs::read_to_string(&file).unwrap(), first);
    server.said("configuration reloaded");
    let (mut client, _) = Client::connect(address);
    client.expect("USER alice", "331");
    client.expect("PASS second", "230");

    assert_eq!(user(&["remove", "alice"], "").code, Some(0));
    assert_eq!(user(&["remove", "alice"], "").code, Some(1));
    assert_eq!(user(&["passwd", "alice", "--password-stdin"], "x\n").code, Some(1));
    assert_eq!(list(&["--json"]).stdout, "[]\n");
    server.stop();
}

#[test]
fn what_is_no_component_is_not_inspected() {
    let site = Site::new("");
    site.write("garbage.wasm", "no component");
    let file = site.path("garbage.wasm");
    for command in ["inspect", "check"] {
        let run = run(&["plugin", command, &file]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{command}");
        let start = format!("error: {file}: not a WebAssembly component");
        assert!(run.stderr.starts_with(&start), "{command}\n{}", run.stderr);
    }
    let missing = run(&["plugin", "inspect", &site.path("missing.wasm")]);
    assert_eq!(missing.code, Some(1));
    let told: Value =
        serde_json::from_str(&run(&["plugin", "check", &file, "--json"]).stdout).unwrap();
    assert_eq!(told["loadable"], false);
    assert!(told["reason"].as_str().unwrap().contains("not a WebAssembly component"), "{told}");
}

#[test]
fn a_component_that_is_no_plugin_is_inspected_and_refused() {
    let site = Site::new("");
    site.write("empty.wasm", EMPTY_COMPONENT);
    let file = site.path("empty.wasm");
    let seen = run(&["plugin", "inspect", &file]);
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
    assert!(seen.stdout.contains("\nsize          8 bytes\n"), "{}", seen.stdout);
    assert!(seen.stdout.contains("\nhooks         none\n"), "{}", seen.stdout);
    assert!(seen.stdout.contains("\nproblem       exports no waft:plugin/lifecycle"));
    let told: Value =
        serde_json::from_str(&run(&["plugin", "inspect", &file, "--json"]).stdout).unwrap();
    assert_eq!((&told["bytes"], &told["hooks"]), (&8.into(), &serde_json::json!([])));
    let refused = run(&["plugin", "check", &file]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("\n  remedy: export waft:plugin/lifecycle"));
}

#[test]
fn a_quick_start_serves_until_it_is_told_to_stop() {
    let site = Site::new("");
    let root = site.path("");
    let mut server = Server::start(&[
        "serve",
        "--root",
        &root,
        "--listen",
        "127.0.0.1:0",
        "--user",
        "alice:se:cret",
        "--anonymous",
        "--read-only",
    ]);
    let line = server.line("listening");
    let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    assert_ne!(address.port(), 0);
    let (mut client, greeting) = Client::connect(address);
    assert!(greeting.starts_with("220"), "{greeting}");
    client.expect("USER alice", "331");
    client.expect("PASS se:cret", "230");
    client.expect("MKD new", "550");
    let (mut guest, _) = Client::connect(address);
    guest.expect("USER anonymous", "331");
    guest.expect("PASS guest@example.org", "230");
    server.signal(Signal::TERM);
    assert!(client.line().starts_with("421"));
    assert!(guest.line().starts_with("421"));
    assert!(server.wait().success());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_log_never_shows_a_password_or_colours_for_a_file() {
    let site = Site::new("");
    let mut command = waft(&[
        "serve",
        "--root",
        &site.path(""),
        "--listen",
        "127.0.0.1:0",
        "--user",
        "bob:hidden-word",
    ]);
    let mut server = Server::of(command.env("WAFT_LOG", "trace"));
    let line = server.line("listening");
    let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
    let (mut client, _) = Client::connect(address.parse().unwrap());
    client.expect("USER bob", "331");
    client.expect("PASS hidden-word", "230");
    client.expect("QUIT", "221");
    server.signal(Signal::TERM);
    server.line("shutting down");
    let log = server.seen.join("\n");
    assert!(log.contains("bob"), "{log}");
    assert!(!log.contains("hidden-word"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
    assert!(server.wait().success());
}

#[test]
fn what_is_logged_is_said_by_the_environment_or_else_by_the_configuration() {
    let config = |level: &str| {
        format!(
            "{LISTENER}[log]\nformat = \"json\"\nlevel = \"{level}\"\n[anonymous]\nroot = \".\""
        )
    };
    let site = Site::new(&config("debug"));
    let path = site.path("waft.toml");
    let mut server = Server::start(&["serve", "--config", &path]);
    let (mut client, _) = Client::connect(server.address());
    client.expect("NOOP", "200");
    assert_eq!(server.said("reply")["level"], "DEBUG");
    // Of the commands that follow, none is logged.
    site.write("waft.toml", config("info"));
    server.said("configuration reloaded");
    client.expect("SYST", "215");
    server.signal(Signal::TERM);
    server.said("shutting down");
    let log = server.seen.join("\n");
    assert!(log.contains("NOOP") && !log.contains("SYST"), "{log}");
    assert!(server.wait().success());

    let run = ran(waft(&["serve", "--config", &path]).env("WAFT_LOG", "a=b=c").output().unwrap());
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.starts_with("error: WAFT_LOG: "), "{}", run.stderr);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let site = Site::new(&format!("{LISTENER}[anonymous]\nroot = \".\"\n"));
    let mut command = waft(&["serve", "--log-format", "json", "--config", &site.path("waft.toml")]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"listening\"") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0);
    }
    drop(stderr);
    let address = serde_json::from_str::<Value>(&line).unwrap()["address"].clone();
    let (mut client, _) = Client::connect(address.as_str().unwrap().parse().unwrap());
    client.expect("USER anonymous", "331");
    client.expect("PASS x", "230");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(client.line().starts_with("421"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_port_in_use_is_told_once_with_its_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::new(&format!("[[listener]]\naddress = \"{address}\"\n"));
    let run = run(&["serve", "--config", &site.path("waft.toml")]);
    assert_eq!(run.code, Some(1));
    let expected = format!(
        "error: {}:1:1: cannot listen on {address}: the address is in use\n  remedy: stop who \
         listens there (see: ss -ltnp sport = :{}), or take another\n",
        site.path("waft.toml"),
        address.port()
    );
    assert_eq!(run.stderr.lines().last(), expected.lines().last());
    assert_eq!(run.stderr.matches(expected.trim_end()).count(), 1, "{}", run.stderr);
}

#[test]
fn an_address_of_another_machine_is_told_with_its_remedy() {
    let site = Site::new("[[listener]]\naddress = \"192.0.2.1:0\"\ntls = \"off\"\n");
    let run = run(&["serve", "--config", &site.path("waft.toml")]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("this machine does not have the address"), "{}", run.stderr);
}

#[test]
fn a_user_that_does_not_exist_is_not_become() {
    let site = Site::new(&format!("[server]\nrun_as = \"no-such-user\"\n{LISTENER}"));
    for command in ["check", "serve"] {
        let run = run(&[command, "--config", &site.path("waft.toml")]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains("server.run_as: no user of this name: no-such-user"));
    }
}

#[test]
fn a_plugin_folder_of_another_user_is_a_mistake_unless_the_server_becomes_that_user() {
    let more = "[plugins]\ndirectory = \"plugins.d\"\n";
    let site = Site::new(&format!("{LISTENER}{more}"));
    site.write("plugins.d/README", "");
    // The user `nobody`, who is on every system.
    let folder = site.path("plugins.d");
    let nobody = 65534;
    if std::os::unix::fs::lchown(&folder, Some(nobody), None).is_err() {
        // Only root can give files away; the rule itself is tested beside it.
        return;
    }
    let run = site.check(&[]);
    assert_eq!(run.code, Some(2));
    for told in [
        format!("{}:4:13: plugins.directory: ", site.path("waft.toml")),
        format!("{folder} belongs to the user {nobody}, who is neither root nor the user of the"),
        format!("\n  remedy: if you trust what it holds: chown root {folder}\n"),
    ] {
        assert!(run.stderr.contains(&told), "{told}: {}", run.stderr);
    }
    site.write("waft.toml", format!("{LISTENER}{more}[server]\nrun_as = \"nobody\"\n"));
    let run = site.check(&[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

fn named(name: &str, more: &str) -> String {
    format!("{LISTENER}{more}[server]\nname = \"{name}\"\n")
}

#[test]
fn sighup_reads_the_configuration_again_for_new_sessions() {
    let site = Site::new(&named("one.example", ""));
    let mut server = site.serve();
    let address = server.address();
    let (mut before, greeting) = Client::connect(address);
    assert!(greeting.contains("one.example"), "{greeting}");
    site.write("waft.toml", named("two.example", ""));
    server.signal(Signal::HUP);
    server.said("configuration reloaded");
    assert!(Client::connect(address).1.contains("two.example"));
    before.expect("NOOP", "200");
    server.stop();
}

#[test]
fn a_changed_file_is_noticed_and_a_bad_one_changes_nothing() {
    let site = Site::new(&named("one.example", ""));
    let mut server = site.serve();
    let address = server.address();
    site.write(
        "waft.toml",
        named("two.example", "[timeouts]\nidle = \"soon\"\n[log]\ncolour = 1\n"),
    );
    let mistake = server.said("not a duration");
    assert_eq!((&mistake["level"], &mistake["key"]), (&"ERROR".into(), &"timeouts.idle".into()));
    assert_eq!(mistake["place"], format!("{}:4:8", site.path("waft.toml")));
    assert_eq!(server.said("unknown key")["key"], "log.colour");
    let refused = server.said("configuration not reloaded: the one before stays in force");
    assert_eq!(refused["mistakes"], 2);
    assert!(Client::connect(address).1.contains("one.example"));
    site.write("waft.toml", named("two.example", ""));
    server.said("configuration reloaded");
    assert!(Client::connect(address).1.contains("two.example"));
    site.write("conf.d/last.toml", "[server]\nname = \"three.example\"\n");
    server.said("configuration reloaded");
    assert!(Client::connect(address).1.contains("three.example"));
    server.stop();
}

#[test]
fn listeners_come_and_go_with_the_configuration() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = taken.local_addr().unwrap();
    let site = Site::new(LISTENER);
    let mut server = site.serve();
    let first = server.address();
    let second = "[[listener]]\naddress = \"127.0.0.2:0\"\nname = \"second\"\n";
    let third = format!("[[listener]]\naddress = \"{occupied}\"\n");
    site.write("waft.toml", format!("{LISTENER}{second}{third}"));
    let listening = server.said("listening");
    assert_eq!(listening["listener"], "second");
    let second: SocketAddr = listening["address"].as_str().unwrap().parse().unwrap();
    let failed = server.line("the address is in use");
    assert!(failed.contains(&occupied.to_string()), "{failed}");
    server.said("configuration reloaded");
    let (mut client, _) = Client::connect(second);
    Client::connect(first);

    site.write("waft.toml", LISTENER);
    assert_eq!(server.said("listener closed")["address"], second.to_string());
    server.said("configuration reloaded");
    assert!(TcpStream::connect(second).is_err());
    client.expect("NOOP", "200");
    Client::connect(first);

    // The port of one that goes is free for one that comes.
    let wide = format!("[[listener]]\naddress = \"0.0.0.0:{}\"\ntls = \"off\"\n", first.port());
    site.write("waft.toml", &wide);
    server.said("configuration reloaded");
    assert!(
        !server.seen.join("\n").contains(&format!("cannot listen on 0.0.0.0:{}", first.port()))
    );
    Client::connect(first);
    let fixed = format!("[[listener]]\naddress = \"127.0.0.1:{}\"\n", first.port());
    for name in ["", "name = \"another\"\n"] {
        site.write("waft.toml", format!("{fixed}{name}"));
        assert_eq!(server.address(), first);
        server.said("configuration reloaded");
        Client::connect(first);
    }
    server.stop();
}

#[test]
fn what_needs_a_restart_is_told() {
    let site = Site::new(&named("one.example", ""));
    let mut server = site.serve();
    server.address();
    site.write("waft.toml", format!("{}worker_threads = 3\n", named("one.example", "")));
    let told = server.said("takes effect when the server is restarted");
    assert_eq!(told["key"], "server.worker_threads");
    server.stop();
}

/// The scheduling policy of a thread or process, as proc_pid_stat(5) tells it: 0 where nobody has chosen
/// one, 3 in batch; none where it is gone.
#[cfg(target_os = "linux")]
fn policy(stat: &Path) -> Option<String> {
    let stat = fs::read_to_string(stat).ok()?;
    Some(stat.rsplit_once(") ").unwrap().1.split(' ').nth(41 - 3).unwrap().to_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn all_threads_are_in_batch_unless_they_are_to_be_as_the_process_was_started() {
    let inherited = policy("/proc/self/stat".as_ref()).unwrap();
    let batch = if inherited == "0" { "3" } else { &inherited };
    for (chosen, expected) in [("batch", batch), ("inherited", &inherited)] {
        let site = Site::new(&format!(
            "{LISTENER}[anonymous]\nroot = \".\"\n[server]\nscheduling = \"{chosen}\"\n"
        ));
        let mut server = site.serve();
        let (mut client, _) = Client::connect(server.address());
        client.expect("USER anonymous", "331");
        client.expect("PASS x", "230");
        client.expect("SIZE waft.toml", "213");
        let threads = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
        let policies: Vec<String> =
            threads.filter_map(|thread| policy(&thread.unwrap().path().join("stat"))).collect();
        assert!(policies.len() > 2, "{policies:?}");
        assert!(policies.iter().all(|policy| policy == expected), "{chosen}: {policies:?}");
        server.stop();
    }
}

#[test]
fn a_second_signal_ends_a_server_that_waits_for_transfers() {
    let site =
        Site::new(&format!("{LISTENER}[anonymous]\nroot = \".\"\n[timeouts]\ndrain = \"1h\"\n"));
    site.write("long.bin", vec![0; 24 << 20]);
    let mut server = site.serve();
    let address = server.address();
    let (mut client, _) = Client::connect(address);
    client.expect("USER anonymous", "331");
    client.expect("PASS x", "230");
    client.expect("TYPE I", "200");
    client.0.get_mut().write_all(b"EPSV\r\n").unwrap();
    let port = client.line().split('|').nth(3).unwrap().parse().unwrap();
    let data = TcpStream::connect(SocketAddr::new(address.ip(), port)).unwrap();
    client.expect("RETR long.bin", "150");
    server.signal(Signal::INT);
    server.said("shutting down");
    server.signal(Signal::INT);
    server.said("transfers aborted by shutdown");
    assert!(server.wait().success());
    drop(data);
}

#[test]
fn a_listener_may_tell_its_clients_another_address_for_data() {
    let outside = "[[listener]]\naddress = \"127.0.0.1:0\"\nname = \"outside\"\n\
                   passive_address = \"203.0.113.8\"\n";
    let site = Site::new(&format!("{LISTENER}{outside}[anonymous]\nroot = \".\"\n"));
    let mut server = site.serve();
    let [here, outside] = [server.address(), server.address()];
    for (address, told) in [(here, "(127,0,0,1,"), (outside, "(203,0,113,8,")] {
        let (mut client, _) = Client::connect(address);
        client.expect("USER anonymous", "331");
        client.expect("PASS x", "230");
        client.0.get_mut().write_all(b"PASV\r\n").unwrap();
        let reply = client.line();
        assert!(reply.starts_with("227 ") && reply.contains(told), "{reply}");
    }
    server.stop();
}
