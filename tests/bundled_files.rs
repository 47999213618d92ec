//! The bundled plugins that have files in their hands, with the configuration that their READMEs tell
//! to paste, and clients that people use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::{Read, Write};

use support::client::{client, seconds};
use support::content::{assert_file, assert_same, names, octets};
use support::ftp::{Ftp, Reply};
use support::plugin::{component, pasted};
use support::process::{Finished, run};
use support::site::{PASSWORD, Site, USER, hash};
use support::tls::Secured;
use support::waft::Waft;

/// Octets of an encrypted file before its first chunk.
const HEADER: usize = 49;

/// Octets of a chunk, and of a sealed one.
const CHUNK: usize = 64 * 1024;
const SEALED: usize = CHUNK + 16;

/// A site with a bundled plugin, as its README has it but for some texts, which must be there.
fn site(name: &str, more: &str, changes: &[(&str, &str)]) -> Site {
    let site = Site::new(&format!("{more}\n[plugins]\ndirectory = \"plugins.d\"\n"));
    site.make("home");
    site.write(format!("plugins.d/{name}.wasm"), component(name));
    let mut entry = pasted(name);
    for (old, new) in changes {
        assert!(entry.contains(old), "the README does not have {old}:\n{entry}");
        entry = entry.replace(old, new);
    }
    site.write("conf.d/plugin.toml", entry);
    site
}

/// A site that encrypts with a key of its own.
fn encrypting(changes: &[(&str, &str)]) -> Site {
    let site = site("encrypt", "", changes);
    site.write("key", format!("{}\n", "c0".repeat(32)));
    site.write("old", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let entry = std::fs::read_to_string(site.path("conf.d/plugin.toml")).unwrap();
    let key = site.path("key").display().to_string();
    site.write("conf.d/plugin.toml", entry.replace("/etc/waft/key-2026", &key));
    site
}

/// Begins a download that does not end well: what came, and the last reply.
fn broken(ftp: &mut Ftp, command: &str) -> (Vec<u8>, Reply) {
    let mut data = ftp.begin(command);
    let mut octets = Vec::new();
    // Where the server gives up in the middle, the connection may be reset.
    let _ = data.read_to_end(&mut octets);
    (octets, ftp.reply())
}

/// curl, with TLS for control and data, in the site's `home`.
fn curl(server: &Secured, arguments: &[&str], path: &str) -> Option<Finished> {
    let mut curl = client("curl", &server.path("home"))?;
    let url = format!("ftp://localhost:{}/{path}", server.address().port());
    curl.args([
        "-q",
        "-sS",
        "-4",
        "--ssl-reqd",
        "--cacert",
        "../cert.pem",
        "--max-time",
        &seconds(),
    ]);
    Some(run(curl.args(["--user", &format!("{USER}:{PASSWORD}")]).args(arguments).arg(url), b""))
}

#[test]
fn encrypted_files_go_up_and_come_down_over_tls() {
    let site = encrypting(&[]);
    let content = octets(5 * CHUNK, 3);
    site.write("home/a.bin", &content);
    site.write("home/empty", "");
    let server = Secured::serve(site, "require");
    for (name, plain) in [("a.bin", &content[..]), ("empty", b"")] {
        let Some(finished) = curl(&server, &["--upload-file", name], name) else { return };
        finished.succeeded();
        let stored = server.read(name);
        let chunks = plain.len().div_ceil(CHUNK).max(1);
        assert_eq!(stored.len(), HEADER + plain.len() + 16 * chunks);
        assert!(!stored.windows(16).any(|window| plain.starts_with(window)));
        let fetched = curl(&server, &[], name).unwrap().succeeded();
        assert_same(&fetched.stdout, plain, name);
    }
    // curl learns of a file that was cut off between two chunks.
    let stored = server.read("a.bin");
    server.write("alice/a.bin", &stored[..HEADER + 2 * SEALED]);
    let failed = curl(&server, &[], "a.bin").unwrap();
    assert!(!failed.status.success(), "{}", failed.story());
}

#[test]
fn other_clients_fetch_encrypted_files() {
    let waft = encrypting(&[]).serve();
    let content = octets(3 * CHUNK + 5, 4);
    waft.log_in().put("STOR a.bin", &content);
    let home = waft.path("home");
    if let Some(mut lftp) = client("lftp", &home) {
        let script = format!(
            "set net:max-retries 1; open -u {USER},{PASSWORD} {}; get a.bin -o lftp.bin; \
             put lftp.bin -o b.bin; cat b.bin",
            waft.address()
        );
        let finished = run(lftp.args(["--norc", "-c", &script]), b"").succeeded();
        assert_file(&home.join("lftp.bin"), &content);
        assert_same(&finished.stdout, &content, "what lftp put");
    }
    if let Some(mut python) = client("python3", &home) {
        let script = format!(
            "import ftplib, sys\nftp = ftplib.FTP()\nftp.connect('127.0.0.1', {})\n\
             ftp.login('{USER}', '{PASSWORD}')\nftp.retrbinary('RETR a.bin', \
             sys.stdout.buffer.write)\n",
            waft.port()
        );
        let finished = run(python.args(["-c", &script]), b"").succeeded();
        assert_same(&finished.stdout, &content, "what Python fetched");
    }
}

#[test]
fn a_changed_file_is_refused_and_nothing_of_it_goes_out_that_is_not_authentic() {
    let waft = encrypting(&[]).serve();
    let mut ftp = waft.log_in();
    let content = octets(20 * CHUNK, 5);
    ftp.put("STOR a.bin", &content);
    let stored = waft.read("a.bin");
    let mut changed = stored.clone();
    changed[HEADER + 10 * SEALED + 7] ^= 1;
    let mut other_key = stored.clone();
    other_key[9] ^= 1;
    let swapped = [
        &stored[..HEADER],
        &stored[HEADER + SEALED..][..SEALED],
        &stored[HEADER..][..SEALED],
        &stored[HEADER + 2 * SEALED..],
    ];
    for (name, altered, chunks) in [
        ("changed", changed, 10),
        ("cut off in a chunk", stored[..stored.len() - 1].to_vec(), 19),
        ("cut off behind a chunk", stored[..stored.len() - SEALED].to_vec(), 18),
        ("cut off in the header", stored[..HEADER - 1].to_vec(), 0),
        ("only the header", stored[..HEADER].to_vec(), 0),
        ("of an unknown key", other_key, 0),
        ("swapped", swapped.concat(), 0),
    ] {
        waft.write(format!("alice/{name}"), altered);
        let (came, reply) = broken(&mut ftp, &format!("RETR {name}"));
        assert_eq!(reply.code, 451, "{name}: {reply:?}");
        assert!(came.len() <= chunks * CHUNK && content.starts_with(&came), "{name}");
    }
    waft.log.wait("what is wrong", |line| {
        let told = r#"path="/changed" reason="changed or cut off""#;
        line.message() == "file cannot be decrypted" && line.field("fields").starts_with(told)
    });
    assert_eq!(ftp.fetch("RETR a.bin"), content);
}

#[test]
fn files_that_nobody_encrypted_are_refused_unless_they_may_pass() {
    let waft = encrypting(&[]).serve();
    waft.write("alice/old.txt", "before");
    let (came, reply) = broken(&mut waft.log_in(), "RETR old.txt");
    assert_eq!((came.len(), reply.code), (0, 550));
    let waft = encrypting(&[("keys =", "paths = [\"/in/*\"]\nplain = \"pass\"\nkeys =")]).serve();
    waft.write("alice/in/old.txt", "before");
    let mut ftp = waft.log_in();
    assert_eq!(ftp.fetch("RETR in/old.txt"), b"before");
    ftp.put("STOR in/new.txt", b"after");
    assert_eq!(waft.read("in/new.txt").len(), HEADER + 5 + 16);
    assert_eq!(ftp.fetch("RETR in/new.txt"), b"after");
    // Beside the paths everything is as without the plugin.
    ftp.put("STOR a.txt", b"as it is");
    assert_eq!(waft.read("a.txt"), b"as it is");
    ftp.expect("SIZE a.txt", 213);
    ftp.put("APPE a.txt", b", and more");
    ftp.expect("SIZE in/new.txt", 504);
}

#[test]
fn files_of_the_key_before_are_read_and_new_ones_have_the_new_key() {
    let waft = encrypting(&[]).serve();
    waft.log_in().put("STOR old.txt", b"before");
    let (old, key) = (waft.read("old.txt"), waft.path("key"));
    let waft = encrypting(&[
        ("[\"key-2026\"]", "[\"new\", \"key-2026\"]"),
        (
            "{ key-2026",
            &format!("{{ new = \"file:{}\", key-2026", key.with_file_name("old").display()),
        ),
    ])
    .serve();
    waft.write("alice/old.txt", &old);
    let mut ftp = waft.log_in();
    assert_eq!(ftp.fetch("RETR old.txt"), b"before");
    ftp.put("STOR new.txt", b"after");
    let new = waft.read("new.txt");
    assert_ne!(new[9..17], old[9..17]);
    assert_eq!(ftp.fetch("RETR new.txt"), b"after");
}

#[test]
fn without_a_key_nothing_is_served_and_the_remedy_is_told() {
    let site = encrypting(&[]);
    site.write("key", "too short\n");
    let refused = site.waft(&["check", "--config", "waft.toml"], "");
    assert!(!refused.status.success());
    let told = format!("{}{}", refused.stdout(), refused.stderr());
    assert!(told.contains("32 octets in hexadecimal or base64 are wanted"), "{told}");
    assert!(!told.contains("too short"), "{told}");
}

#[test]
fn a_large_file_takes_the_memory_of_a_chunk() {
    // The plugin's own memory; the server's is bounded in the same way.
    let limits = "[plugin.limits]\nmemory = \"4MiB\"\n[plugin.config]";
    let waft = encrypting(&[("[plugin.config]", limits)]).serve();
    let mut ftp = waft.log_in();
    let content = octets(64 << 20, 6);
    ftp.put("STOR large.bin", &content);
    assert_eq!(waft.read("large.bin").len(), HEADER + 1024 * SEALED);
    assert!(ftp.fetch("RETR large.bin") == content);
}

/// A server with the scratch area of the README, and another account whose files are all there.
fn scratch(changes: &[(&str, &str)]) -> Waft {
    let user = format!(
        "[[user]]\nname = \"box\"\npassword = \"{}\"\nstorage = \"plugin:memory-storage\"\n",
        hash()
    );
    site("memory-storage", &user, changes).serve()
}

/// A session of the account whose files are all in the scratch area.
fn boxed(waft: &Waft) -> Ftp {
    let mut ftp = waft.connect();
    ftp.log_in("box", PASSWORD);
    ftp
}

#[test]
fn a_scratch_area_is_one_for_all_sessions_and_on_no_disk() {
    let waft = scratch(&[]);
    let (mut alice, mut other) = (waft.log_in(), boxed(&waft));
    let content = octets(300_000, 1);
    alice.expect("MKD scratch/in", 257);
    alice.put("STOR scratch/in/a.bin", &content);
    assert_same(&other.fetch("RETR in/a.bin"), &content, "a.bin");
    assert_eq!(other.expect("SIZE in/a.bin", 213).text(), "300000");
    other.expect("REST 250000", 350);
    assert_same(&other.fetch("RETR in/a.bin"), &content[250_000..], "the rest");
    other.put("APPE in/a.bin", b"more");
    other.expect("REST 300004", 350);
    other.put("STOR in/a.bin", b", and more");
    other.expect("MFMT 20240102030405 in/a.bin", 213);
    assert_eq!(alice.expect("MDTM scratch/in/a.bin", 213).text(), "20240102030405");
    other.expect("REST 300000", 350);
    assert_eq!(other.fetch("RETR in/a.bin"), b"more, and more");
    other.expect("RMD in", 550);
    other.expect("RNFR in", 350);
    other.expect("RNTO out", 250);
    let listed = String::from_utf8(alice.fetch("MLSD scratch/out")).unwrap();
    assert!(listed.contains("size=300014;") && listed.ends_with(" a.bin\r\n"), "{listed}");
    assert_eq!(alice.fetch("NLST scratch"), b"scratch/out\r\n");
    alice.expect("RNFR scratch/out/a.bin", 350);
    alice.expect("RNTO a.bin", 553);
    alice.expect("DELE scratch/out/a.bin", 250);
    other.expect("RMD out", 250);
    assert_eq!(names(&waft.file("")), [""; 0]);
}

#[test]
fn an_upload_to_a_scratch_area_is_seen_when_it_is_complete() {
    let waft = scratch(&[]);
    let (mut uploading, mut other) = (boxed(&waft), boxed(&waft));
    other.put("STOR a.bin", b"before");
    let content = octets(1 << 20, 2);
    let mut data = uploading.begin("STOR a.bin");
    data.write_all(&content[..700_000]).unwrap();
    assert_eq!(other.fetch("RETR a.bin"), b"before");
    uploading.put_rest(data, &content[700_000..]);
    assert_same(&other.fetch("RETR a.bin"), &content, "a.bin");
    // Given up, it leaves nothing.
    let mut data = uploading.begin("STOR b.bin");
    data.write_all(&content).unwrap();
    uploading.send("ABOR");
    assert_eq!((uploading.reply().code, uploading.reply().code), (426, 226));
    other.expect("SIZE b.bin", 550);
}

#[test]
fn a_scratch_area_takes_no_more_than_it_may() {
    let waft = scratch(&[("100MiB", "1000B\"\nmax_file = \"600B"), ("1GiB", "64KiB")]);
    let mut ftp = boxed(&waft);
    let refused = |ftp: &mut Ftp, name: &str, octets: usize| {
        let mut data = ftp.begin(&format!("STOR {name}"));
        data.write_all(&vec![b'x'; octets]).unwrap();
        drop(data);
        ftp.reply().code
    };
    assert_eq!(refused(&mut ftp, "a", 601), 552);
    ftp.put("STOR a", &[b'x'; 600]);
    assert_eq!(refused(&mut ftp, "b", 401), 552);
    assert_eq!(ftp.expect("AVBL", 213).text(), "400");
    ftp.put("STOR b", &[b'x'; 400]);
    assert_eq!(ftp.fetch("NLST"), b"scratch\r\na\r\nb\r\n");
    let waft = scratch(&[("user_quota = \"100MiB\"", ""), ("1GiB", "64KiB")]);
    let mut ftp = boxed(&waft);
    assert_eq!(refused(&mut ftp, "a", 70_000), 452);
    ftp.put("STOR a", &[b'x'; 60_000]);
}

#[test]
fn clients_use_a_scratch_area_like_a_directory() {
    let waft = scratch(&[("expire =", "directories = [\"/in\"]\nexpire =")]);
    let content = octets(200_000, 3);
    for name in ["tree/a.bin", "tree/sub/b.bin", "tree/sub/deep/c d.bin"] {
        waft.write(format!("home/{name}"), &content);
    }
    let home = waft.path("home");
    if let Some(mut lftp) = client("lftp", &home) {
        let script = format!(
            "set net:max-retries 1; open -u box,{PASSWORD} {}; mirror -R tree in/tree; \
             mv in/tree in/moved; mirror in/moved back; rm -r in/moved; cls -1 in",
            waft.address()
        );
        let finished = run(lftp.args(["--norc", "-c", &script]), b"").succeeded();
        assert_eq!(finished.stdout(), "");
        for name in ["back/a.bin", "back/sub/b.bin", "back/sub/deep/c d.bin"] {
            assert_file(&home.join(name), &content);
        }
    }
    if let Some(mut curl) = client("curl", &home) {
        let url = waft.url("scratch/in/a.bin");
        curl.args(["-q", "-sS", "--max-time", &seconds()]);
        let arguments = ["--upload-file", "tree/a.bin", &url, "--next", "-sS", &url];
        let finished = run(curl.args(arguments), b"").succeeded();
        assert_same(&finished.stdout, &content, "what curl fetched");
    }
}

#[test]
fn accounts_and_mounts_are_confined_to_a_directory_of_a_storage() {
    let user = |name: &str, root: &str| {
        format!(
            "[[user]]\nname = \"{name}\"\npassword = \"{}\"\nstorage = \"plugin:memory-storage\"\n\
             root = \"{root}\"\n",
            hash()
        )
    };
    let users = [user("box", "/"), user("in", "/in"), user("deep", "/in/deep/")].concat();
    let waft = site(
        "memory-storage",
        &users,
        &[
            ("plugin = \"memory", "root = \"/in\"\nplugin = \"memory"),
            ("expire =", "directories = [\"/in/deep\"]\nexpire ="),
        ],
    )
    .serve();
    let session = |user: &str| {
        let mut ftp = waft.connect();
        ftp.log_in(user, PASSWORD);
        ftp
    };
    let (mut all, mut within, mut deep) = (session("box"), session("in"), session("deep"));
    all.put("STOR secret", b"secret");
    within.put("STOR a.txt", b"a");
    deep.put("STOR b.txt", b"b");
    assert_eq!(all.fetch("RETR in/deep/b.txt"), b"b");
    assert_eq!(within.fetch("RETR deep/b.txt"), b"b");
    assert_eq!(waft.log_in().fetch("RETR scratch/deep/b.txt"), b"b");
    assert_eq!(deep.fetch("NLST"), b"scratch\r\nb.txt\r\n");
    for path in ["../secret", "/../../secret", "/in/../../secret", "//secret", "a.txt", "/in/a.txt"]
    {
        deep.expect(&format!("SIZE {path}"), 550);
    }
    deep.expect("CWD ..", 250);
    assert!(deep.expect("PWD", 257).text().starts_with("\"/\""));
    deep.expect("RNFR b.txt", 350);
    deep.expect("RNTO ../../c.txt", 250);
    assert_eq!(all.fetch("RETR in/deep/c.txt"), b"b");
    deep.expect("RMD /", 550);
    deep.expect("RETR /", 550);
    deep.expect("MDTM c.txt", 213);
    deep.expect("AVBL /", 213);
}
