//! tnftp, the BSD client, which is `ftp` on many systems.

use crate::support::client::{client, seconds};
use crate::support::content::{assert_file, assert_same, names, octets};
use crate::support::process::{Finished, run};
use crate::support::site::{PASSWORD, Site, USER};
use crate::support::waft::Waft;

/// Types lines into tnftp. It says nothing of failures when it ends: look at what it did.
fn tnftp(waft: &Waft, lines: &str) -> Option<Finished> {
    let mut tnftp = client("tnftp", &waft.make("home"))?;
    let host = waft.address().ip().to_string();
    tnftp.args(["-n", "-i", "-v", "-q", &seconds(), &host, &waft.port()]);
    let script = format!("user {USER} {PASSWORD}\nbinary\n{lines}\nbye\n");
    Some(run(&mut tnftp, script.as_bytes()).succeeded())
}

#[test]
fn tnftp_makes_fills_lists_renames_and_removes() {
    let waft = Site::new("").serve();
    let contents = [octets(300_000, 1), octets(300_001, 2), octets(300_002, 3)];
    let local = ["a.bin", "b.bin", "c.bin"];
    for (name, content) in local.iter().zip(&contents) {
        waft.write(format!("home/{name}"), content);
    }
    let done = tnftp(
        &waft,
        "mkdir \"two words\"\n\
         cd \"two words\"\n\
         put a.bin \"with two  spaces.bin\"\n\
         put b.bin häß-日本.bin\n\
         put c.bin -dash.bin\n\
         nlist\n\
         get \"with two  spaces.bin\" got-a.bin\n\
         get häß-日本.bin got-b.bin\n\
         get -dash.bin got-c.bin\n\
         rename \"with two  spaces.bin\" moved.bin\n\
         delete häß-日本.bin\n\
         ls\n\
         size moved.bin\n\
         modtime moved.bin\n\
         mkdir gone\n\
         rmdir gone\n\
         cd ..\n\
         pwd\n",
    );
    let Some(done) = done else { return };
    for (name, content) in local.iter().zip(&contents) {
        assert_file(&waft.path(format!("home/got-{name}")), content);
    }
    let lines = done.lines();
    for name in ["with two  spaces.bin", "häß-日本.bin", "-dash.bin"] {
        assert!(lines.iter().any(|line| line == name), "{}", done.story());
    }
    assert!(
        lines.iter().any(|line| line.starts_with("-rw") && line.ends_with(" moved.bin")),
        "{}",
        done.story()
    );
    assert_eq!(names(&waft.file("two words")), ["-dash.bin", "moved.bin"]);
    assert_file(&waft.file("two words/moved.bin"), &contents[0]);
    assert!(!lines.iter().any(|line| line.starts_with("55")), "{}", done.story());
}

#[test]
fn tnftp_fetches_what_fits_a_pattern() {
    let site = Site::new("");
    for (seed, name) in ["a.txt", "b c.txt", "d.bin", "sub/e.txt", ".txt"].into_iter().enumerate() {
        site.write(format!("alice/{name}"), octets(10_000, seed as u64));
    }
    let waft = site.serve();
    let Some(done) = tnftp(&waft, "mget *.txt\n") else { return };
    assert_file(&waft.path("home/a.txt"), &octets(10_000, 0));
    assert_file(&waft.path("home/b c.txt"), &octets(10_000, 1));
    let got = names(&waft.path("home"));
    assert!(!got.iter().any(|name| name == "d.bin" || name == "e.txt"), "{}", done.story());

    for name in ["x.up", "y.up", "z.no"] {
        waft.write(format!("home/{name}"), name);
    }
    tnftp(&waft, "mput *.up\nmdelete *.txt\n").unwrap();
    assert_eq!(names(&waft.file("")), [".txt", "d.bin", "sub", "x.up", "y.up"]);
}

#[test]
fn tnftp_resumes_downloads_and_appends() {
    let site = Site::new("");
    let content = octets(3_000_000, 5);
    site.write("alice/there.bin", &content);
    site.write("home/there.bin", &content[..1_000_001]);
    site.write("alice/log.bin", &content[..5000]);
    site.write("home/more.bin", &content[5000..9000]);
    let waft = site.serve();
    let Some(_) = tnftp(&waft, "reget there.bin\nappend more.bin log.bin\n") else { return };
    assert_file(&waft.path("home/there.bin"), &content);
    assert_file(&waft.file("log.bin"), &content[..9000]);
}

#[test]
fn tnftp_translates_line_ends_where_it_asks_for_ascii() {
    let site = Site::new("");
    site.write("alice/text.txt", "one\ntwo\n");
    site.write("home/sent.txt", "three\nfour\n");
    let waft = site.serve();
    let Some(_) = tnftp(&waft, "ascii\nget text.txt\nput sent.txt\n") else { return };
    assert_file(&waft.path("home/text.txt"), b"one\ntwo\n");
    assert_file(&waft.file("sent.txt"), b"three\nfour\n");
}

#[test]
fn tnftp_may_use_active_mode_where_it_is_on() {
    let site = Site::new("[active]\nmode = \"on\"\n");
    site.write("alice/file.bin", octets(500_000, 6));
    let waft = site.serve();
    let lines = "passive off\nget file.bin eprt.bin\nepsv4 off\nget file.bin port.bin\n";
    let Some(_) = tnftp(&waft, lines) else { return };
    assert_file(&waft.path("home/eprt.bin"), &octets(500_000, 6));
    assert_file(&waft.path("home/port.bin"), &octets(500_000, 6));
    let commands: Vec<_> =
        waft.log.lines().iter().map(|line| line.field("command").to_owned()).collect();
    assert!(commands.iter().any(|command| command.starts_with("EPRT")), "{commands:?}");
    assert!(commands.iter().any(|command| command.starts_with("PORT")), "{commands:?}");
}

#[test]
fn tnftp_fetches_and_uploads_by_address_over_ipv6() {
    let site = Site::over_ipv6("");
    site.write("alice/file.bin", octets(500_000, 7));
    site.write("home/up.bin", octets(400_000, 8));
    let waft = site.serve();
    let Some(mut tnftp) = client("tnftp", &waft.path("home")) else { return };
    run(tnftp.args(["-o", "-", &waft.url("file.bin")]), b"").succeeded();
    let mut tnftp = client("tnftp", &waft.path("home")).unwrap();
    let got = run(tnftp.args(["-V", "-o", "-", &waft.url("file.bin")]), b"").succeeded();
    assert_same(&got.stdout, &octets(500_000, 7), "file.bin");
    let mut tnftp = client("tnftp", &waft.path("home")).unwrap();
    run(tnftp.args(["-u", &waft.url(""), "up.bin"]), b"").succeeded();
    assert_file(&waft.file("up.bin"), &octets(400_000, 8));
}
