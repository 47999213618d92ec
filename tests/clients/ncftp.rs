//! ncftp's three programs for scripts.

use crate::support::client::{client, seconds};
use crate::support::content::{assert_file, names, octets};
use crate::support::process::{Finished, run};
use crate::support::site::{PASSWORD, Site, USER};
use crate::support::waft::Waft;

/// Runs one of the programs, logged in.
fn ncftp(waft: &Waft, program: &str, arguments: &[&str]) -> Option<Finished> {
    let mut command = client(program, &waft.make("home"))?;
    command.args(["-u", USER, "-p", PASSWORD, "-P", &waft.port(), "-t", &seconds(), "-r", "0"]);
    if program != "ncftpls" {
        command.arg("-V");
    }
    Some(run(command.args(arguments), b"").succeeded())
}

#[test]
fn ncftp_uploads_lists_and_downloads_files_of_any_name() {
    let waft = Site::new("").serve();
    let host = waft.address().ip().to_string();
    let files = ["plain.bin", "with two  spaces.bin", "häß-日本.bin", "-dash.bin"];
    for (seed, name) in files.into_iter().enumerate() {
        let content = octets(300_000, seed as u64);
        waft.write("home/local.bin", &content);
        let there = format!("made/{name}");
        let put = ["-C", &host, "local.bin", &there];
        if seed == 0 {
            waft.write("home/plain.bin", &content);
            let Some(_) = ncftp(&waft, "ncftpput", &["-m", &host, "made", "plain.bin"]) else {
                return;
            };
        } else {
            ncftp(&waft, "ncftpput", &put).unwrap();
        }
        assert_file(&waft.file(&there), &content);
        ncftp(&waft, "ncftpget", &["-C", &host, &there, "got.bin"]).unwrap();
        assert_file(&waft.path("home/got.bin"), &content);
        std::fs::remove_file(waft.path("home/got.bin")).unwrap();
    }
    let address = format!("ftp://{host}/made/");
    for way in ["-1", "-m"] {
        let listed = ncftp(&waft, "ncftpls", &[way, &address]).unwrap();
        for name in files {
            let found = listed.lines().iter().any(|line| line.ends_with(name));
            assert!(found, "{way} {name}: {}", listed.story());
        }
    }
    let listed = ncftp(&waft, "ncftpls", &["-l", &address]).unwrap();
    assert!(
        listed.lines().iter().any(|line| line.starts_with("-rw") && line.ends_with(" plain.bin")),
        "{}",
        listed.story()
    );
}

#[test]
fn ncftp_fetches_and_uploads_trees() {
    let waft = Site::new("").serve();
    let host = waft.address().ip().to_string();
    let tree = ["tree/top.bin", "tree/sub/one.bin", "tree/sub/deeper/two.bin"];
    for (seed, name) in tree.into_iter().enumerate() {
        waft.write(format!("home/{name}"), octets(50_000, seed as u64));
    }
    let Some(_) = ncftp(&waft, "ncftpput", &["-R", &host, "/", "tree"]) else { return };
    waft.make("home/back");
    ncftp(&waft, "ncftpget", &["-R", "-T", &host, "back", "/tree"]).unwrap();
    for (seed, name) in tree.into_iter().enumerate() {
        assert_file(&waft.file(name), &octets(50_000, seed as u64));
        assert_file(&waft.path("home/back").join(name), &octets(50_000, seed as u64));
    }
}

#[test]
fn ncftp_resumes_and_fetches_what_fits_a_pattern() {
    let site = Site::new("");
    let content = octets(3_000_000, 5);
    site.write("alice/there.txt", &content);
    site.write("alice/other.txt", octets(1000, 6));
    site.write("alice/other.bin", octets(1000, 7));
    site.write("home/there.txt", &content[..1_000_001]);
    site.write("home/part.bin", &content);
    site.write("alice/part.bin", &content[..1_999_999]);
    let waft = site.serve();
    let host = waft.address().ip().to_string();
    let mark = waft.log.mark();
    let Some(_) = ncftp(&waft, "ncftpget", &[&host, ".", "/*.txt"]) else { return };
    assert_file(&waft.path("home/there.txt"), &content);
    assert_file(&waft.path("home/other.txt"), &octets(1000, 6));
    assert!(!names(&waft.path("home")).contains(&"other.bin".to_owned()));
    let line = waft.wait_for_transfer(mark, "download", "/there.txt");
    assert_eq!(line.value("bytes"), 1_999_999);

    // With sendfile() it says where it goes on and then sends the file from its beginning (3.2.6).
    ncftp(&waft, "ncftpput", &["-s", "-z", &host, "/", "part.bin"]).unwrap();
    assert_file(&waft.file("part.bin"), &content);
    let line = waft.wait_for_transfer(mark, "upload", "/part.bin");
    assert_eq!(line.value("bytes"), 1_000_001);
}

#[test]
fn ncftp_may_use_active_mode_where_it_is_on() {
    let site = Site::new("[active]\nmode = \"on\"\n");
    site.write("alice/file.bin", octets(500_000, 8));
    let waft = site.serve();
    let host = waft.address().ip().to_string();
    let Some(_) = ncftp(&waft, "ncftpget", &["-E", &host, ".", "/file.bin"]) else { return };
    assert_file(&waft.path("home/file.bin"), &octets(500_000, 8));
    assert!(waft.log.lines().iter().any(|line| line.field("command").starts_with("PORT")));
}
