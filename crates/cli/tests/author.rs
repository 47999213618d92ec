//! What the authors of plugins do, from outside: signing, checking, measuring, and scenarios that
//! do not go as they are written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What goes before the key itself in a SubjectPublicKeyInfo of Ed25519, in DER.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A directory with a component in it, and what a run of the program came to.
struct Bench(tempfile::TempDir);

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Bench {
    /// With a component that was built before.
    fn with(name: &str) -> Bench {
        let bench = Bench(tempfile::tempdir().unwrap());
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
        let built = std::env::var_os("WAFT_PLUGINS").map_or(built, PathBuf::from);
        let file = built.join(name).with_extension("wasm");
        let component = fs::read(&file).unwrap_or_else(|error| {
            panic!("{}: {error}; run: cargo xtask plugins", file.display());
        });
        bench.write("plugin.wasm", component);
        bench
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a pair of keys, as openssl does.
    fn make_keys(&self, private: &str, public: &str) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = |name: &str, der: &[u8]| {
            format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", STANDARD.encode(der))
        };
        self.write(private, pem("PRIVATE KEY", pkcs8.as_ref()));
        let key = [&PREFIX, pair.public_key().as_ref()].concat();
        self.write(public, pem("PUBLIC KEY", &key));
    }

    fn waft(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waft"));
        command.arg("plugin").args(arguments).current_dir(self.0.path());
        let output = command.env_remove("WAFT_LOG").stdin(Stdio::null()).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Plays a scenario of these lines.
    fn play(&self, scenario: &str) -> Ran {
        self.write("scenario.txt", scenario);
        self.waft(&["test", "plugin.wasm", "--scenario", "scenario.txt"])
    }
}

#[test]
fn what_is_signed_is_verified_by_the_public_key_and_no_other() {
    let bench = Bench::with("command-policy");
    bench.make_keys("key.pem", "public.pem");
    bench.make_keys("other.pem", "another.pem");
    let verify = |key: &str| bench.waft(&["verify", "plugin.wasm", "--public-key", key]);
    let missing = verify("public.pem");
    assert_eq!(missing.code, Some(1));
    assert_eq!(missing.stderr, "error: plugin.wasm: none beside it: plugin.wasm.sig\n");
    let signed = bench.waft(&["sign", "plugin.wasm", "--key", "key.pem"]);
    assert_eq!((signed.code, &*signed.stdout), (Some(0), "plugin.wasm.sig\n"));
    assert_eq!(fs::read(bench.0.path().join("plugin.wasm.sig")).unwrap().len(), 64);
    let valid = verify("public.pem");
    assert_eq!((valid.code, &*valid.stderr), (Some(0), "plugin.wasm: signature valid\n"));
    let wrong = verify("another.pem");
    assert_eq!(wrong.code, Some(1));
    assert_eq!(wrong.stderr, "error: plugin.wasm: not by that key: plugin.wasm.sig\n");
    let no_key = bench.waft(&["sign", "plugin.wasm", "--key", "public.pem"]);
    assert_eq!(no_key.stderr, "error: no private key of Ed25519: public.pem\n");
}

#[test]
fn a_signature_that_is_demanded_is_checked() {
    let bench = Bench::with("command-policy");
    bench.make_keys("key.pem", "public.pem");
    let check = |more: &[&str]| bench.waft(&[&["check", "plugin.wasm"], more].concat());
    let unsigned = check(&["--public-key", "public.pem"]);
    assert_eq!(unsigned.code, Some(1));
    assert_eq!(unsigned.stderr, "error: plugin.wasm: signature: none beside it\n");
    bench.write(
        "waft.toml",
        "[plugins]\npublic_key = \"public.pem\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n",
    );
    let configured = check(&["--config", "waft.toml", "--json"]);
    let said: Value = serde_json::from_str(&configured.stdout).unwrap();
    assert_eq!(
        (&said["loadable"], &said["reason"]),
        (&false.into(), &"signature: none beside it".into())
    );
    bench.waft(&["sign", "plugin.wasm", "--key", "key.pem"]);
    assert!(check(&["--config", "waft.toml"]).stderr.contains("\nsignature: valid"));
    let inspect = |more: &[&str]| bench.waft(&[&["inspect", "plugin.wasm"], more].concat()).stdout;
    assert!(inspect(&[]).contains("\nsignature     beside it, not compared"));
    assert!(inspect(&["--public-key", "public.pem"]).contains("\nsignature     valid\n"));
}

#[test]
fn a_check_tells_versions_memory_and_grants() {
    let bench = Bench::with("checksum");
    let told = bench.waft(&["check", "plugin.wasm", "--against", "0.1.0"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let lines: Vec<&str> = told.stderr.lines().collect();
    assert!(lines[0].starts_with("plugin.wasm can be loaded; hooks: lifecycle, "), "{}", lines[0]);
    assert_eq!(lines[1], "interface: waft:plugin 0.1.1; servers have: 0.1.0, 0.1.1");
    assert!(lines[2].contains("; memory of an instance at first: "), "{}", lines[2]);
    assert_eq!(
        lines[3..],
        ["what it imports takes these lines, adapted:", "[plugin.grant]", "kv = \"1 MiB\""]
    );
    let none = bench.waft(&["check", "plugin.wasm", "--against", "0.7.0"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("no version of the interface: 0.7.0; there are: 0.1.0, 0.1.1"));
}

#[test]
fn a_check_against_an_earlier_version_tells_what_that_lacks() {
    let bench = Bench::with("command-policy");
    let told = bench.waft(&["check", "plugin.wasm", "--against", "0.1.0"]);
    assert_eq!(told.code, Some(1));
    let lacking = "a server of waft:plugin 0.1.0 does not have: \
                   sessions [method]session.skip-commands, of 0.1.1\n  \
                   remedy: build it with wit/released/0.1.0.wit, the interface as it was";
    assert_eq!(told.stderr, format!("error: plugin.wasm: {lacking}\n"));
    assert_eq!(bench.waft(&["check", "plugin.wasm", "--against", "0.1.1"]).code, Some(0));
}

#[test]
fn a_component_is_checked_with_what_an_operator_writes() {
    let bench = Bench::with("examples/guest-login-rust");
    let without = bench.waft(&["check", "plugin.wasm"]);
    assert_eq!(without.code, Some(1));
    assert_eq!(
        without.stderr,
        "error: plugin.wasm: init failed: directory: is missing\n  \
         remedy: write [plugin.config] as its documentation says\n"
    );
    bench.write(
        "plugin.toml",
        "[plugin.config]\ndirectory = \"{files}\"\n[plugin.grant]\nstorage = [\"{files}\"]\n",
    );
    let with = bench.waft(&["check", "plugin.wasm", "--settings", "plugin.toml"]);
    assert_eq!(with.code, Some(0), "{}", with.stderr);
    assert!(with.stderr.starts_with("plugin.wasm can be loaded; hooks: "), "{}", with.stderr);
    bench.write("whole.toml", "# mine\n[[plugin]]\nname = \"plugin\"\n[plugin.config]\n");
    let whole = bench.waft(&["check", "plugin.wasm", "--settings", "whole.toml"]);
    assert_eq!(
        whole.stderr,
        "error: whole.toml:2: what stands under [[plugin]] is wanted, not that line\n  \
         remedy: remove it\n"
    );
    let both = bench.waft(&["check", "plugin.wasm", "--settings", "a", "--config", "b"]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}

#[test]
fn an_inspection_ends_with_what_an_operator_pastes() {
    let bench = Bench::with("checksum");
    let told = bench.waft(&["inspect", "plugin.wasm"]).stdout;
    let (rows, block) = told.split_once("\nto be pasted, and adapted:\n").unwrap();
    let digest = rows.lines().find_map(|line| line.strip_prefix("sha256")).unwrap().trim();
    let expected = format!(
        "[[plugin]]\nname = \"plugin\"\nsha256 = \"{digest}\"  # this component and no other\n\
         [plugin.grant]\nkv = \"1 MiB\"\n"
    );
    assert_eq!(block, expected);
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n[plugins]\ndirectory = \".\"\n";
    bench.write("waft.toml", format!("{listener}{block}"));
    let checked = bench.waft(&["check", "plugin.wasm", "--config", "waft.toml"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
}

#[test]
fn what_costs_more_than_it_may_is_told() {
    let bench = Bench::with("examples/hello-site-rust");
    let run = |more: &[&str]| bench.waft(&[&["bench", "plugin.wasm"], more].concat());
    let told = run(&["--json", "--limit", "site-command=4000000000"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let costs: Value = serde_json::from_str(&told.stdout).unwrap();
    let names: Vec<_> = costs["hooks"].as_array().unwrap().iter().collect();
    assert_eq!((names.len(), &names[0]["hook"]), (1, &"site-command".into()));
    for key in ["bytes", "compile_ms", "load_ms", "instantiate_us", "memory_bytes"] {
        assert!(costs[key].as_f64().unwrap() > 0.0, "{costs}");
    }
    let mut cheap = costs.clone();
    cheap["memory_bytes"] = 1.into();
    bench.write("cheap.json", cheap.to_string());
    let slower =
        run(&["--baseline", "cheap.json", "--tolerance", "1000000", "--limit", "site-command=0"]);
    assert_eq!(slower.code, Some(1));
    let lines: Vec<&str> = slower.stderr.lines().collect();
    assert!(lines[0].starts_with("error: site-command (on-site) takes "), "{}", lines[0]);
    assert!(lines[0].ends_with(" ns, limit: 0 ns"), "{}", lines[0]);
    assert!(lines[1].starts_with("error: memory: "), "{}", slower.stderr);
    for tolerance in ["0.9", "nan", "inf", "much"] {
        let wrong = run(&["--baseline", "cheap.json", "--tolerance", tolerance]);
        assert_eq!(wrong.code, Some(2), "{tolerance}");
        let reason = "for '--tolerance <FACTOR>': not a number from 1 upwards";
        assert!(wrong.stderr.contains(reason), "{}", wrong.stderr);
    }
    let none = run(&["--hook", "timer"]);
    assert_eq!((none.code, &*none.stderr), (Some(1), "error: it has no such hook: timer\n"));
}

/// The lines of the complaint: where, what was expected, and what came.
#[track_caller]
fn assert_fails(ran: &Ran, place: &str, expected: &str, got: &str) {
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let beginning =
        format!("error: scenario.txt:{place}: expected: {expected}\n  got:      {got}\n");
    assert!(ran.stderr.starts_with(&beginning), "{beginning}{}", ran.stderr);
}

#[test]
fn a_check_plays_the_scenario_beside_a_component_and_tells_what_a_test_tells() {
    let bench = Bench::with("examples/hello-site-rust");
    let name = "plugin.scenario.txt";
    for (scenario, code) in [
        ("login\n> SITE HELLO\n< 200 Hello, alice.\n", 0),
        ("login\n> NOOP\n< 200 {any}\n> SITE HELLO\n< 200 Bye.\n", 1),
        ("plugin:\n  | [plugin.config\nlogin\n", 1),
        ("login\n> NOOP\nfile: a \"1\"\n", 2),
        ("# Nothing yet.\n", 2),
    ] {
        bench.write(name, scenario);
        let test = bench.waft(&["test", "plugin.wasm", "--scenario", name]);
        let check = bench.waft(&["check", "plugin.wasm"]);
        assert_eq!((test.code, check.code), (Some(code), Some(code)), "{}", check.stderr);
        // Both have a log and a directory of their own.
        let words = |told: &str| -> Vec<String> {
            let lines = told.lines().take_while(|line| *line != "  the server's log:");
            lines.filter(|line| !line.contains("/waft-plugin-")).map(str::to_owned).collect()
        };
        let (said, tested) = (words(&check.stderr), words(&test.stderr));
        assert_eq!(said[..tested.len()], tested[..]);
        assert_eq!(check.stderr.contains("plugin.wasm can be loaded; "), code == 0);
    }
    let json = |scenario: &str| -> Value {
        bench.write(name, scenario);
        serde_json::from_str(&bench.waft(&["check", "plugin.wasm", "--json"]).stdout).unwrap()
    };
    let passed = json("login\n> SITE HELLO\n< 200 Hello, alice.\n");
    assert_eq!((&passed["loadable"], &passed["self_test"]["passed"]), (&true.into(), &true.into()));
    let failed = json("login\n> SITE HELLO\n< 200 Bye.\n");
    assert_eq!((&failed["loadable"], &failed["self_test"]["line"]), (&false.into(), &3.into()));
    let reason = "its self-test fails: plugin.scenario.txt:3: expected: < 200 Bye., got: < 200 Hello, alice.";
    assert_eq!(failed["reason"], reason);
}

#[test]
fn every_kind_of_line_fails_where_it_is_not_so() {
    let bench = Bench::with("examples/hello-site-rust");
    let failed = |scenario: &str| bench.play(scenario);
    let hello = "login\n> SITE HELLO\n< 200 Hello, alice.\n";
    assert_eq!(failed(hello).stderr, "scenario.txt: as expected\n");
    assert_fails(
        &failed("login\n> SITE HELLO\n< 200 Bye.\n"),
        "3",
        "< 200 Bye.",
        "< 200 Hello, alice.",
    );
    assert_fails(&failed("login\n> SITE HELLO\n"), "2", "nothing more", "< 200 Hello, alice.");
    assert_fails(&failed("login: bob\n"), "1", "a reply of code 230", "< 530 Login incorrect.");
    let data = "login\npassive\n> NLST\n< 150 {any}\ndata: expect \"a\\r\\n\"\n";
    assert_fails(&failed(data), "5", "\"a\\r\\n\"", "\"\"");
    assert_fails(
        &failed("login\ndata: send \"a\"\n"),
        "2",
        "an open data connection: \"passive\" or \"active\" opens one",
        "none",
    );
    assert_fails(
        &failed("server:\n  | [active]\n  | mode = \"off\"\nlogin\nactive\n"),
        "5",
        "a reply of code 200",
        "< 502 Active mode is switched off here: use PASV or EPSV.",
    );
    assert_fails(
        &failed("tls\nlogin\ntls\n"),
        "3",
        "a reply of code 234",
        "< 503 The connection is protected already.",
    );
    assert_fails(&failed("login\ncheck: a holds \"1\"\n"), "2", "a: \"1\"", "no such file");
    assert_fails(
        &failed("directory: a\nlogin\ncheck: no a\n"),
        "3",
        "a: no such file",
        "an error: Is a directory (os error 21)",
    );
    assert_eq!(failed("file: a \"\"\nlogin\ncheck: no b\ncheck: no a/b\n").code, Some(0));
    let unused = "http: GET https://a.example/ -> 200\nlogin\n";
    assert_fails(&failed(unused), "1", "a request: GET https://a.example/", "none before the end");
    assert_fails(
        &failed("login\ninject: trap timer\n"),
        "2",
        "a call to fail: timer",
        "none before the end",
    );
    assert_fails(
        &failed("login\n> QUIT\n< 221 {any}\n> NOOP\n< 200 {any}\n"),
        "5",
        "< 200 {any}",
        "the end of the connection",
    );
}

#[test]
fn clients_have_tls_and_data_connections_of_both_kinds() {
    let bench = Bench::with("examples/hello-site-rust");
    let listed = "> NLST\n< 150 {any}\ndata: expect \"a\\r\\n\"\n< 226 {any}\n";
    let told = bench.play(&format!(
        "server:\n  | [tls]\n  | resumption = \"require\"\n  | data_connections = \"private\"\n\
         file: a \"1\"\ntls\nlogin\n> NLST\n< 521 {{any}}\nprotect\npassive\n{listed}\
         active\n{listed}listen 51210\n> PORT 192,0,2,7,200,10\n< 200 {{any}}\n{listed}\
         session: b implicit from 2001:db8::7\nlogin\nactive\n{listed}\
         log: listener=implicit\n"
    ));
    assert_eq!(told.code, Some(0), "{}", told.stderr);
}

#[test]
fn a_call_that_is_to_fail_fails_once_and_in_its_way() {
    let bench = Bench::with("examples/hello-site-rust");
    let told = bench.play(
        "login\ninject: timeout site-command\n> SITE HELLO\n< 451 {any}\n> SITE HELLO\n< 200 {any}\n\
         log: over its time\n",
    );
    assert_eq!(told.code, Some(0), "{}", told.stderr);
}

#[test]
fn a_scenario_that_makes_no_sense_is_told_with_code_2() {
    let bench = Bench::with("examples/hello-site-rust");
    let wrong = bench.play("login\n> NOOP\nfile: a \"1\"\n");
    assert_eq!(wrong.code, Some(2));
    assert_eq!(
        wrong.stderr,
        "error: scenario.txt:3: not a step: file: a \"1\"\n  remedy: move it before the first step\n"
    );
    let empty = bench.play("# Nothing yet.\nfile: a \"1\"\n");
    assert_eq!(empty.code, Some(2));
    assert_eq!(
        empty.stderr,
        "error: scenario.txt: no steps\n  remedy: write what clients do and get, such as login\n"
    );
    let settings = bench.play("plugin:\n  | [plugin.config\nlogin\n");
    assert_eq!(settings.code, Some(1));
    assert!(
        settings.stderr.starts_with("error: cannot play scenario.txt: the settings make no sense")
    );
    let none = bench.waft(&["test", "plugin.wasm"]);
    assert_eq!(none.code, Some(2));
    assert!(
        none.stderr
            .starts_with("error: plugin.wasm is a component: name scenarios with --scenario")
    );
    let json = bench.waft(&["test", "plugin.wasm", "--scenario", "ok.txt", "--json"]);
    assert!(json.stderr.starts_with("error: ok.txt: "));
    bench.write("ok.txt", "< 221 {any}\n");
    let json = bench.waft(&["test", "plugin.wasm", "--scenario", "ok.txt", "--json"]);
    let told: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&told[0]["passed"], &told[0]["line"]), (&false.into(), &1.into()));
}

#[test]
fn grants_that_a_check_makes_up_are_nothing_to_tell_of() {
    let bench = Bench::with("command-policy");
    bench.write("plugin.scenario.txt", "login\n> CWD /\n< 550 Not this.\n");
    let failed = bench.waft(&["check", "plugin.wasm"]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("plugin.scenario.txt:3"), "{}", failed.stderr);
    assert!(!failed.stderr.contains("granted what it does not use"), "{}", failed.stderr);
    // What somebody wrote is worth it.
    bench.write("plugin.toml", "[plugin.grant]\nkv = \"1 MiB\"\n");
    let written = bench.waft(&["check", "plugin.wasm", "--settings", "plugin.toml"]);
    assert!(written.stderr.contains("granted what it does not use"), "{}", written.stderr);
}

/// A component with all that may lie beside it, and a pair of keys.
fn with_everything() -> Bench {
    let bench = Bench::with("command-policy");
    bench.make_keys("key.pem", "public.pem");
    bench.make_keys("other.pem", "another.pem");
    bench.write("plugin.toml", "[config]\ndeny = [\"CWD\"]\nmessage = \"Packed.\"\n");
    bench.write("plugin.scenario.txt", "login\n> CWD /\n< 550 Packed.\n");
    bench.waft(&["sign", "plugin.wasm", "--key", "key.pem"]);
    fs::create_dir(bench.0.path().join("into")).unwrap();
    bench
}

const BESIDE: [&str; 3] = ["plugin.wasm.sig", "plugin.toml", "plugin.scenario.txt"];

impl Bench {
    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    /// What lies in a directory, hidden files as well.
    fn list(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.path().join(name)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn unpack(&self, more: &[&str]) -> Ran {
        self.waft(&[&["unpack", "plugin.tar", "--into", "into"], more].concat())
    }
}

#[test]
fn an_archive_has_the_component_and_what_lies_beside_it_and_gives_all_back() {
    let bench = with_everything();
    let inspected = bench.waft(&["inspect", "plugin.wasm"]).stdout;
    let pin = inspected.lines().find(|line| line.starts_with("sha256 = ")).unwrap();
    let packed = bench.waft(&["pack", "plugin.wasm"]);
    let lines: Vec<_> = packed.stdout.lines().collect();
    assert_eq!(
        (packed.code, lines[0], lines[2]),
        (Some(0), "plugin.tar", pin),
        "{}",
        packed.stderr
    );
    assert!(lines[1].starts_with("manifest sha256:"), "{}", lines[1]);
    bench.waft(&["pack", "plugin.wasm", "--out", "again.tar"]);
    assert_eq!(bench.read("plugin.tar"), bench.read("again.tar"));
    let unpacked = bench.unpack(&["--public-key", "public.pem"]);
    let expected = format!(
        "into/plugin.wasm.sig\ninto/plugin.toml\ninto/plugin.scenario.txt\ninto/plugin.wasm\n{pin}\n"
    );
    assert_eq!((unpacked.code, &*unpacked.stdout), (Some(0), &*expected), "{}", unpacked.stderr);
    for name in BESIDE.iter().chain(&["plugin.wasm"]) {
        assert_eq!(bench.read(name), bench.read(&format!("into/{name}")), "{name}");
    }
    assert_eq!(bench.list("into").len(), 4);
    bench.waft(&["pack", "plugin.wasm", "--alone", "--out", "plugin.tar"]);
    fs::remove_dir_all(bench.0.path().join("into")).unwrap();
    fs::create_dir(bench.0.path().join("into")).unwrap();
    assert_eq!(bench.unpack(&[]).code, Some(0));
    assert_eq!(bench.list("into"), ["plugin.wasm"]);
}

#[test]
fn what_is_there_is_replaced_by_an_archive_only_where_that_is_asked_for() {
    let bench = with_everything();
    bench.waft(&["pack", "plugin.wasm"]);
    bench.write("into/plugin.toml", "mine");
    let refused = bench.unpack(&[]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.stderr,
        "error: there already: into/plugin.toml\n  remedy: with --overwrite they are replaced\n"
    );
    assert_eq!((bench.list("into").len(), &*bench.read("into/plugin.toml")), (1, &b"mine"[..]));
    assert_eq!(bench.unpack(&["--overwrite"]).code, Some(0));
    assert_eq!(bench.read("into/plugin.toml"), bench.read("plugin.toml"));
    bench.waft(&["pack", "plugin.wasm", "--alone"]);
    let alone = bench.unpack(&["--overwrite"]);
    assert_eq!(alone.code, Some(0));
    for name in BESIDE {
        let note =
            format!("note: not in the archive, and left beside the component: into/{name}\n");
        assert!(alone.stderr.contains(&note), "{}", alone.stderr);
    }
    let nowhere = bench.waft(&["unpack", "plugin.tar", "--into", "nowhere"]);
    assert_eq!(nowhere.code, Some(1));
    assert_eq!(
        nowhere.stderr,
        "error: no directory: nowhere\n  remedy: make it, or name another with --into\n"
    );
}

#[test]
fn of_a_damaged_archive_or_one_by_somebody_else_nothing_is_written() {
    let bench = with_everything();
    bench.waft(&["pack", "plugin.wasm"]);
    let archive = bench.read("plugin.tar");
    let component = bench.read("plugin.wasm");
    let start = archive.windows(component.len()).position(|octets| octets == component).unwrap();
    let refused = |more: &[&str], because: &str| {
        let refused = bench.unpack(more);
        assert_eq!((refused.code, &*refused.stdout), (Some(1), ""));
        let expected = format!("error: plugin.tar: {because}");
        assert!(refused.stderr.starts_with(&expected), "{}", refused.stderr);
        assert_eq!(bench.list("into"), [""; 0]);
    };
    refused(&["--public-key", "another.pem"], "signature: not by that key\n");
    let mut damaged = archive.clone();
    damaged[start + component.len() / 2] ^= 1;
    bench.write("plugin.tar", damaged);
    refused(&[], "the archive is damaged: the content of blobs/sha256/");
    bench.write("plugin.tar", &archive[..archive.len() / 2]);
    refused(&[], "the archive is damaged: ");
    bench.write("plugin.tar", component);
    refused(&[], "the archive is damaged: ");
    bench.waft(&["pack", "plugin.wasm", "--alone"]);
    refused(&["--public-key", "public.pem"], "signature: none in it\n");
    bench.write("plugin.wasm", "garbage");
    let no_component = bench.waft(&["pack", "plugin.wasm"]);
    assert_eq!(no_component.code, Some(1));
    assert!(
        no_component.stderr.starts_with("error: not a component: plugin.wasm"),
        "{}",
        no_component.stderr
    );
    assert_eq!(bench.waft(&["pack", "key.pem"]).code, Some(2));
}
