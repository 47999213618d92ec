//! curl, which logs in anew for every file unless told otherwise.

use std::fs;
use std::io::Write;
use std::process::Command;

use crate::support::client::{client, seconds};
use crate::support::content::{assert_file, assert_same, names, octets};
use crate::support::plugin::component;
use crate::support::process::{Finished, Running, run};
use crate::support::site::Site;
use crate::support::tls::Secured;
use crate::support::waft::Waft;

/// curl with none of its user's settings, told to give up in time.
fn curl(waft: &Waft) -> Option<Command> {
    let mut curl = client("curl", &waft.make("home"))?;
    curl.args(["-q", "-sS", "--max-time", &seconds()]);
    Some(curl)
}

/// Runs curl with these arguments and the address of `path`.
fn fetch(waft: &Waft, arguments: &[&str], path: &str) -> Option<Finished> {
    Some(run(curl(waft)?.args(arguments).arg(waft.url(path)), b""))
}

/// Names as they are on the disk, and as they are in an address.
const NAMES: [(&str, &str); 4] = [
    ("plain.bin", "plain.bin"),
    ("with two  spaces.bin", "with%20two%20%20spaces.bin"),
    ("häß-日本.bin", "h%C3%A4%C3%9F-%E6%97%A5%E6%9C%AC.bin"),
    ("-dash.bin", "-dash.bin"),
];

#[test]
fn curl_uploads_lists_and_downloads_files_of_any_name() {
    let waft = Site::new("").serve();
    for (seed, (name, in_address)) in NAMES.into_iter().enumerate() {
        let content = octets(300_000, seed as u64);
        waft.write("home/local.bin", &content);
        let Some(done) = fetch(&waft, &["-T", "local.bin"], in_address) else { return };
        done.succeeded();
        assert_file(&waft.file(name), &content);
        let got = fetch(&waft, &[], in_address).unwrap().succeeded();
        assert_same(&got.stdout, &content, name);
    }
    let mut listed = fetch(&waft, &["-l"], "").unwrap().succeeded().lines();
    listed.sort();
    assert_eq!(listed, names(&waft.file("")));
    let long = fetch(&waft, &[], "").unwrap().succeeded().lines();
    for (name, _) in NAMES {
        let line = long.iter().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
        assert!(line.starts_with("-rw-") && line.contains(" 300000 "), "{line}");
    }
}

#[test]
fn curl_resumes_in_both_directions() {
    let waft = Site::new("").serve();
    let content = octets(3_000_000, 5);
    waft.write("alice/there.bin", &content);
    waft.write("home/got.bin", &content[..1_000_001]);
    let Some(done) = fetch(&waft, &["-C", "-", "-o", "got.bin"], "there.bin") else { return };
    done.succeeded();
    assert_file(&waft.path("home/got.bin"), &content);

    waft.write("alice/part.bin", &content[..1_999_999]);
    fetch(&waft, &["-C", "-", "-T", "got.bin"], "part.bin").unwrap().succeeded();
    assert_file(&waft.file("part.bin"), &content);
}

#[test]
fn curl_makes_renames_and_removes() {
    let waft = Site::new("").serve();
    waft.write("home/local.bin", octets(1000, 6));
    let arguments = ["--ftp-create-dirs", "-T", "local.bin"];
    let Some(done) = fetch(&waft, &arguments, "one/two%20three/four/new.bin") else { return };
    done.succeeded();
    assert_file(&waft.file("one/two three/four/new.bin"), &octets(1000, 6));

    let commands = ["-Q", "-RNFR one/two three/four/new.bin", "-Q", "-RNTO moved.bin"];
    fetch(&waft, &commands, "").unwrap().succeeded();
    assert_file(&waft.file("moved.bin"), &octets(1000, 6));
    let commands =
        ["-Q", "-RMD /one/two three/four", "-Q", "-DELE /moved.bin", "-Q", "-MKD /empty"];
    fetch(&waft, &commands, "").unwrap().succeeded();
    assert_eq!(names(&waft.file("")), ["empty", "one"]);
    assert_eq!(names(&waft.file("one/two three")), [""; 0]);
    let refused = fetch(&waft, &["-Q", "RMD one"], "").unwrap();
    assert_eq!(refused.status.code(), Some(21), "{}", refused.story());
}

#[test]
fn curl_finds_a_file_whichever_way_it_changes_directories() {
    let site = Site::new("");
    site.write("alice/one/two/file.bin", octets(5000, 7));
    let waft = site.serve();
    for method in ["multicwd", "nocwd", "singlecwd"] {
        let arguments = ["--ftp-method", method];
        let Some(got) = fetch(&waft, &arguments, "one/two/file.bin") else { return };
        assert_same(&got.succeeded().stdout, &octets(5000, 7), method);
    }
    let head = fetch(&waft, &["-I"], "one/two/file.bin").unwrap().succeeded().stdout();
    assert!(head.contains("Content-Length: 5000"), "{head}");
    assert!(head.contains("Last-Modified: "), "{head}");
    let missing = fetch(&waft, &[], "one/two/missing.bin").unwrap();
    assert_eq!(missing.status.code(), Some(78), "{}", missing.story());
    let denied = fetch(&waft, &["-u", "alice:wrong"], "one/two/file.bin").unwrap();
    assert_eq!(denied.status.code(), Some(67), "{}", denied.story());
}

#[test]
fn curl_reads_in_verbose_words_why_active_mode_is_refused() {
    let text = "Active mode is off at files.example.org: use EPSV, or PASV.";
    let site = Site::new(&format!(
        "[active]\nmode = \"on\"\n[plugins]\ndirectory = \"plugins.d\"\n\
         [[plugin]]\nname = \"command-policy\"\n[plugin.config]\n\
         deny = [\"active-mode\"]\nmessage = \"{text}\"\n"
    ));
    site.write("plugins.d/command-policy.wasm", component("command-policy"));
    site.write("alice/file.bin", octets(5000, 8));
    let waft = site.serve();
    let Some(refused) = fetch(&waft, &["-v", "--ftp-port", "-"], "file.bin") else { return };
    assert_eq!(refused.status.code(), Some(30), "{}", refused.story());
    let story = refused.stderr();
    let asked: Vec<_> =
        ["> EPRT ", "> PORT "].iter().map(|verb| story.find(verb).expect(verb)).collect();
    let answers: Vec<_> = story.match_indices(&format!("< 502 {text}")).collect();
    assert_eq!(answers.len(), 2, "{story}");
    assert!(asked[0] < answers[0].0 && asked[1] < answers[1].0, "{story}");
    let got = fetch(&waft, &[], "file.bin").unwrap().succeeded();
    assert_same(&got.stdout, &octets(5000, 8), "file.bin");
}

#[test]
fn curl_may_use_active_mode_where_it_is_on() {
    let site = Site::new("[active]\nmode = \"lan\"\n");
    let content = octets(2_000_000, 9);
    site.write("alice/file.bin", &content);
    let waft = site.serve();
    for (arguments, verb) in
        [(&["-v", "-P", "-"][..], "> EPRT"), (&["-v", "-P", "-", "--disable-eprt"], "> PORT")]
    {
        let Some(got) = fetch(&waft, arguments, "file.bin") else { return };
        let got = got.succeeded();
        assert!(got.stderr().contains(verb), "{}", got.stderr());
        assert_same(&got.stdout, &content, verb);
    }
}

#[test]
fn curl_without_epsv_uses_pasv() {
    let site = Site::new("");
    site.write("alice/file.bin", octets(5000, 10));
    let waft = site.serve();
    let Some(got) = fetch(&waft, &["-v", "--disable-epsv"], "file.bin") else { return };
    let got = got.succeeded();
    let told = got.stderr();
    assert!(told.contains("< 227 Entering Passive Mode (127,0,0,1,"), "{told}");
    assert!(!told.contains("> EPSV"), "{told}");
    assert_same(&got.stdout, &octets(5000, 10), "file.bin");
}

#[test]
fn curl_is_told_the_address_that_the_operator_has_fixed() {
    let site = Site::new("[passive]\naddress = \"203.0.113.7\"\n");
    site.write("alice/file.bin", octets(5000, 11));
    let waft = site.serve();
    // EPSV cannot tell an address: it is refused, and curl falls back. It then connects to where
    // its control connection goes, unless told otherwise.
    let Some(got) = fetch(&waft, &["-v", "--ftp-skip-pasv-ip"], "file.bin") else { return };
    let got = got.succeeded();
    let told = got.stderr();
    assert!(told.contains("< 502 "), "{told}");
    assert!(told.contains("< 227 Entering Passive Mode (203,0,113,7,"), "{told}");
    assert_same(&got.stdout, &octets(5000, 11), "file.bin");
}

#[test]
fn curl_reaches_a_listener_over_ipv6() {
    let site = Site::over_ipv6("");
    site.write("alice/file.bin", octets(5000, 12));
    let waft = site.serve();
    let Some(got) = fetch(&waft, &["-v", "-g"], "file.bin") else { return };
    let got = got.succeeded();
    assert!(got.stderr().contains("< 229 "), "{}", got.stderr());
    assert_same(&got.stdout, &octets(5000, 12), "file.bin");
    waft.write("home/local.bin", octets(7000, 13));
    fetch(&waft, &["-g", "-T", "local.bin"], "up.bin").unwrap().succeeded();
    assert_file(&waft.file("up.bin"), &octets(7000, 13));
    assert_eq!(fetch(&waft, &["-g", "-l"], "").unwrap().lines().len(), 2);
}

#[test]
fn curl_translates_line_ends_where_it_asks_for_ascii() {
    let site = Site::new("");
    site.write("alice/text.txt", "one\ntwo\n");
    let waft = site.serve();
    let Some(got) = fetch(&waft, &["--use-ascii"], "text.txt") else { return };
    assert_same(&got.succeeded().stdout, b"one\ntwo\n", "text.txt");
    waft.write("home/sent.txt", "one\ntwo\n");
    fetch(&waft, &["--use-ascii", "-T", "sent.txt"], "sent.txt").unwrap().succeeded();
    assert_file(&waft.file("sent.txt"), b"one\ntwo\n");
}

/// Octets of an upload that is broken off: more than all buffers on the way hold.
const BROKEN_OFF: usize = 24 << 20;

/// Begins an upload and kills curl in the middle of it; waits until the server has noticed.
fn broken_off(waft: &Waft, content: &[u8], path: &str) -> Option<()> {
    let mark = waft.log.mark();
    let mut running = Running::start(curl(waft)?.args(["-T", "-"]).arg(waft.url(path)));
    let before = names(&waft.file(""));
    for part in content[..BROKEN_OFF].chunks(BROKEN_OFF / 4) {
        running.child.stdin.as_mut().unwrap().write_all(part).unwrap();
        // Nobody sees anything of it meanwhile.
        let mut listed = fetch(waft, &["-l"], "").unwrap().succeeded().lines();
        listed.sort();
        assert_eq!(listed, before);
    }
    running.kill();
    let ended = waft.wait_for_transfer(mark, "upload", &format!("/{path}"));
    assert_eq!(ended.value("complete"), false, "{}", ended.text);
    Some(())
}

#[test]
fn an_upload_whose_client_dies_leaves_the_old_file_as_it_was() {
    let site = Site::new("");
    site.write("alice/report.bin", "the old report");
    let waft = site.serve();
    let content = octets(BROKEN_OFF + 1000, 14);
    let Some(()) = broken_off(&waft, &content, "report.bin") else { return };
    assert_file(&waft.file("report.bin"), b"the old report");
    assert_eq!(names(&waft.file("")), ["report.bin", "report.bin.partial"]);
    let kept = waft.read("report.bin.partial");
    assert!(!kept.is_empty() && kept.len() <= BROKEN_OFF);
    assert_same(&kept, &content[..kept.len()], "what is kept");

    // Under its own name it can be completed, and put in the place of the old one.
    waft.write("home/local.bin", &content);
    let rename = ["-Q", "-RNFR report.bin.partial", "-Q", "-RNTO report.bin"];
    let arguments = [&["-C", "-", "-T", "local.bin"][..], &rename].concat();
    fetch(&waft, &arguments, "report.bin.partial").unwrap().succeeded();
    assert_eq!(names(&waft.file("")), ["report.bin"]);
    assert_file(&waft.file("report.bin"), &content);
}

#[test]
fn an_upload_whose_client_gives_up_under_tls_leaves_the_old_file_as_it_was() {
    // curl ends TLS on the data connection, in order, and then closes the control connection.
    let site = Site::new("");
    let reports = ["a.bin", "b.bin", "c.bin", "d.bin"];
    for name in reports {
        site.write(format!("alice/{name}"), "the old report");
    }
    let content = octets(BROKEN_OFF, 19);
    site.write("home/local.bin", &content);
    let waft = Secured::serve(site, "require");
    let mark = waft.log.mark();
    let begin = |name: &str| {
        let mut curl = curl(&waft)?;
        curl.args(["--insecure", "--ssl-reqd", "--limit-rate", "1M", "--max-time", "2"]);
        Some(Running::start(curl.args(["-T", "local.bin"]).arg(waft.url(name))))
    };
    let Some(running) = reports.map(begin).into_iter().collect::<Option<Vec<_>>>() else { return };
    for curl in running {
        let given_up = curl.finish();
        assert_eq!(given_up.status.code(), Some(28), "{}", given_up.story());
    }
    for name in reports {
        let ended = waft.wait_for_transfer(mark, "upload", &format!("/{name}"));
        assert_eq!(ended.value("complete"), false, "{}", ended.text);
        assert_file(&waft.file(name), b"the old report");
        let kept = waft.read(format!("{name}.partial"));
        assert!(!kept.is_empty() && kept.len() < BROKEN_OFF);
        assert_same(&kept, &content[..kept.len()], name);
    }
}

#[test]
fn an_upload_whose_client_dies_is_resumed_under_its_name() {
    let waft = Site::new("").serve();
    let content = octets(BROKEN_OFF + 1000, 15);
    let Some(()) = broken_off(&waft, &content, "new.bin") else { return };
    assert_eq!(names(&waft.file("")), ["new.bin.partial"]);
    let kept = fs::metadata(waft.file("new.bin.partial")).unwrap().len();

    waft.write("home/local.bin", &content);
    let arguments = ["-v", "-C", "-", "-T", "local.bin"];
    let done = fetch(&waft, &arguments, "new.bin").unwrap().succeeded();
    // SIZE tells where to go on.
    assert!(done.stderr().contains(&format!("< 213 {kept}")), "{}", done.stderr());
    assert_file(&waft.file("new.bin"), &content);
    assert_eq!(names(&waft.file("")), ["new.bin"]);
}

#[test]
fn what_is_left_of_an_upload_is_deleted_where_the_operator_wants_it() {
    let waft = Site::new("[transfers]\ninterrupted = \"delete\"\n").serve();
    let content = octets(BROKEN_OFF, 16);
    let Some(()) = broken_off(&waft, &content, "new.bin") else { return };
    assert_eq!(names(&waft.file("")), [""; 0]);
}

#[test]
fn clients_transfer_at_the_same_time() {
    let waft = Site::new("").serve();
    let contents = [octets(8 << 20, 17), octets(8 << 20, 18)];
    let start =
        |name: &str| Some(Running::start(curl(&waft)?.args(["-T", "-"]).arg(waft.url(name))));
    let (Some(mut one), Some(mut two)) = (start("one.bin"), start("two.bin")) else { return };
    let send = |running: &mut Running, part: &[u8]| {
        running.child.stdin.as_mut().unwrap().write_all(part).unwrap();
    };
    let half = 4 << 20;
    send(&mut one, &contents[0][..half]);
    send(&mut two, &contents[1][..half]);
    assert_eq!(names(&waft.file("")), [""; 0]);
    send(&mut two, &contents[1][half..]);
    two.finish().succeeded();
    assert_eq!(names(&waft.file("")), ["two.bin"]);
    send(&mut one, &contents[0][half..]);
    one.finish().succeeded();
    assert_file(&waft.file("one.bin"), &contents[0]);
    assert_file(&waft.file("two.bin"), &contents[1]);
}
