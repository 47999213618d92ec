//! `client-quirks`: old and odd clients.

use crate::support::client::{client, seconds};
use crate::support::ftp::Ftp;
use crate::support::process::run;
use crate::support::site::{PASSWORD, USER};
use crate::support::waft::Waft;

/// The configuration of the README, whose cameras are the clients of this machine.
fn cameras() -> Waft {
    super::server("client-quirks", &[("192.0.2.0/24", "127.0.0.0/8")])
}

/// One client, which is everyone.
fn with(settings: &str) -> Waft {
    let site = super::site("client-quirks", &[]);
    let entry = "[[plugin]]\nname = \"client-quirks\"\n[[plugin.config.client]]\n";
    site.write("conf.d/plugin.toml", format!("{entry}{settings}\n"));
    site.serve()
}

/// What a client is told, whole.
fn said(client: &mut Ftp, command: &str) -> String {
    client.command(command).lines.join("\n")
}

#[test]
fn a_camera_is_understood_and_reads_what_it_expects() {
    let waft = cameras();
    let mut camera = waft.connect();
    assert_eq!(said(&mut camera, "USER alice"), "331 Password required for alice.");
    assert_eq!(said(&mut camera, &format!("PASS {PASSWORD}")), "230 User alice logged in.");
    assert_eq!(said(&mut camera, "TYPE I"), "200 Type set to I.");
    camera.expect("MKD C:\\cam 1\\", 257);
    assert_eq!(said(&mut camera, "MKD \\cam 1"), "521 Directory already exists.");
    assert_eq!(said(&mut camera, "CWD  /cam 1/ "), "250 CWD command successful.");
    camera.put("STOR .\\a.jpg", b"picture");
    assert_eq!(waft.read("cam 1/a.jpg"), b"picture");
    assert_eq!(said(&mut camera, "CDUP .."), "250 CWD command successful.");
    camera.expect("ALLO", 200);
    assert_eq!(said(&mut camera, "PWD ."), "257 \"/\" is the working directory.");
    let help = camera.expect("HELP", 214);
    assert_eq!(help.lines.len(), 1, "{help:?}");
    assert!(camera.expect("FEAT", 211).lines.len() > 2);
    let line = waft.log.wait("what was put right", |line| {
        line.message() == "command put right" && line.field("fields").contains("a.jpg")
    });
    assert_eq!((line.field("plugin"), line.field("level")), ("client-quirks", "DEBUG"));
    let told = line.field("fields");
    for part in ["client=\"cameras\"", "quirk=\"backslashes\""] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_client_is_known_by_what_it_calls_itself() {
    let waft = super::server("client-quirks", &[]);
    waft.make("alice/in");
    let mut other = waft.log_in();
    other.expect("CWD /mnt/disk1/in", 550);
    other.expect("SITE UMASK 022", 500);
    let mut printer = waft.connect();
    printer.expect("CLNT Lexmark MX710", 200);
    printer.expect(&format!("USER {USER}"), 331);
    printer.expect(&format!("PASS {PASSWORD}"), 230);
    printer.expect("TYPE I", 200);
    printer.expect("CWD /mnt/disk1/in", 250);
    printer.expect("SITE UMASK 022", 200);
    printer.put("STOR \"a b.pdf\"", b"scan");
    assert_eq!(waft.read("in/a b.pdf"), b"scan");
}

#[test]
fn a_real_client_does_without_what_is_hidden_from_it() {
    let waft = with("dialects = [\"embedded\"]");
    waft.write("alice/a.txt", "hello\n");
    let home = waft.make("home");
    let Some(mut curl) = client("curl", &home) else { return };
    curl.args(["-q", "-sSv", "--max-time", &seconds()]);
    let fetched = run(curl.arg(waft.url("a.txt")), b"").succeeded();
    assert_eq!(fetched.stdout(), "hello\n");
    let conversation = fetched.stderr();
    for line in ["> EPSV", "< 502 EPSV is not implemented.", "> PASV", "< 200 Type set to I."] {
        assert!(conversation.contains(line), "{line}\n{conversation}");
    }
    let mut machine = waft.log_in();
    for command in ["FEAT", "EPRT |1|127.0.0.1|4000|", "MLSD", "MLST"] {
        machine.expect(command, 502);
    }
    machine.expect("SIZE a.txt", 213);
}

#[test]
fn people_and_scripts_may_speak_as_they_are_used_to() {
    let waft = with("dialects = [\"typed\"]\nquirks = [\"mdtm-sets\"]");
    let home = waft.make("home");
    waft.write("home/a.txt", "hello\n");
    let Some(mut curl) = client("curl", &home) else { return };
    curl.args(["-q", "-sS", "--max-time", &seconds(), "--upload-file", "a.txt"]);
    curl.args(["--quote", "MKDIR \"my files\"", "--quote", "CD ~/my files"]);
    curl.args(["--quote", "-MDTM 20240102030405 a.txt"]);
    run(curl.arg(waft.url("")), b"").succeeded();
    assert_eq!(waft.read("my files/a.txt"), b"hello\n");
    let mut person = waft.log_in();
    assert_eq!(said(&mut person, "MDTM /my files/a.txt"), "213 20240102030405");
    person.expect("DEL '/my files/a.txt'", 250);
    person.expect("RMDIR my files", 250);
    assert_eq!(said(&mut person, "BYE"), "221 Goodbye.");
    person.expect_end();
}

#[test]
fn mainframes_and_dos_are_understood() {
    let waft = with("dialects = [\"mainframe\", \"windows\"]\nquirks = [\"percent-names\"]");
    let mut host = waft.log_in();
    host.put("STOR 'USER.DATA;1'", b"data");
    host.put("STOR C:\\LOG%20FILE", b"log");
    host.expect("SITE FILETYPE=SEQ", 200);
    assert_eq!(crate::support::content::names(&waft.file("")), ["LOG FILE", "USER.DATA"]);
    let listed = String::from_utf8(host.fetch("NLST *.*")).unwrap();
    let mut names: Vec<_> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["LOG FILE", "USER.DATA"]);
}

#[test]
fn what_the_server_lets_be_answered_is_and_the_rest_of_the_quirks_hold() {
    let quirks = "quirks = [\"bare-pwd\", \"done-250\", \"no-rest\", \"no-mode-z\", \
                  \"listing-options\", \"lower-case\", \"one-line\"]\n\
                  [[plugin.config.client.rule]]\nfrom = \"SYST\"\nanswer = \"215 UNIX\"\n\
                  [[plugin.config.client.rule]]\nfrom = \"XSTORE *.jpe\"\nto = \"STOR *.jpg\"\n\
                  [[plugin.config.client.reply]]\ncodes = [220]\ntext = \"FTP\\nand more\"\n";
    let waft = with(quirks);
    let (greeting, mut machine) = super::greeted(&waft);
    assert_eq!(greeting.lines, ["220 FTP and more"]);
    machine.log_in(USER, PASSWORD);
    assert_eq!(said(&mut machine, "PWD"), "257 \"/\"");
    assert_eq!(said(&mut machine, "SYST"), "215 UNIX");
    machine.expect("REST 3", 502);
    machine.expect("REST 0", 350);
    machine.expect("MODE Z", 504);
    let uploaded = super::upload(&mut machine, "XSTORE IN.jpe", b"picture");
    assert_eq!(uploaded.lines, ["250 Transfer complete."]);
    assert_eq!(waft.read("in.jpg"), b"picture");
    machine.expect("MLST -a IN.jpg", 250);
}

#[test]
fn a_quirk_that_is_none_is_told_by_its_name() {
    let site = super::site("client-quirks", &[("\"camera\"", "\"camra\"")]);
    let checked = site.waft(&["check", "--config", "waft.toml"], "");
    assert!(!checked.status.success());
    let told = checked.stderr() + &checked.stdout();
    let mistake = "client.0.dialects.0: no dialect, did you mean camera: camra";
    assert!(told.contains(mistake), "{told}");
}
