//! lftp, which keeps connections, opens several for one file, and mirrors trees.

use std::fs;

use crate::support::client::{client, seconds};
use crate::support::content::{assert_file, assert_same, names, octets};
use crate::support::log::Line;
use crate::support::process::{Finished, run};
use crate::support::site::{PASSWORD, Site, USER};
use crate::support::waft::Waft;

/// Runs lines of lftp, the first that fails of which ends it.
fn lftp(waft: &Waft, lines: &str) -> Option<Finished> {
    let mut lftp = client("lftp", &waft.make("home"))?;
    let (address, patience) = (waft.address(), seconds());
    let script = format!(
        "set cmd:fail-exit true\nset net:max-retries 2\nset net:timeout {patience}\n\
         set net:reconnect-interval-base 1\n\
         set cmd:move-background false\n\
         open -u {USER},{PASSWORD} ftp://{address}\n{lines}\nexit 0\n"
    );
    Some(run(lftp.args(["--norc", "-c"]).arg(script), b""))
}

#[test]
fn lftp_makes_fills_lists_renames_and_removes() {
    let waft = Site::new("").serve();
    let contents = [octets(300_000, 1), octets(300_001, 2), octets(300_002, 3)];
    let local = ["a.bin", "b.bin", "c.bin"];
    for (name, content) in local.iter().zip(&contents) {
        waft.write(format!("home/{name}"), content);
    }
    let done = lftp(
        &waft,
        "mkdir -p \"one/two three\"\n\
         cd \"one/two three\"\n\
         put a.bin -o \"with two  spaces.bin\"\n\
         put b.bin -o häß-日本.bin\n\
         put c.bin -o ./-dash.bin\n\
         cls -1\n\
         get -e \"with two  spaces.bin\" -o got-a.bin\n\
         get -e häß-日本.bin -o got-b.bin\n\
         get -e ./-dash.bin -o got-c.bin\n\
         mv \"with two  spaces.bin\" moved.bin\n\
         rm häß-日本.bin\n\
         ls\n\
         cd /\n\
         pwd\n",
    );
    let Some(done) = done.map(Finished::succeeded) else { return };
    for (name, content) in local.iter().zip(&contents) {
        assert_file(&waft.path(format!("home/got-{name}")), content);
    }
    let lines = done.lines();
    for name in ["with two  spaces.bin", "häß-日本.bin", "-dash.bin"] {
        assert!(lines.iter().any(|line| line == name), "{}", done.story());
    }
    assert!(lines.iter().any(|line| line.ends_with(" moved.bin")), "{}", done.story());
    assert_eq!(names(&waft.file("one/two three")), ["-dash.bin", "moved.bin"]);
    assert_file(&waft.file("one/two three/moved.bin"), &contents[0]);

    lftp(&waft, "rm -r one\nmkdir empty\nrmdir empty").unwrap().succeeded();
    assert_eq!(names(&waft.file("")), [""; 0]);
    let refused = lftp(&waft, "get missing.bin").unwrap();
    assert!(!refused.status.success() && refused.stderr().contains("550"), "{}", refused.story());
}

#[test]
fn lftp_resumes_in_both_directions() {
    let site = Site::new("");
    let content = octets(3_000_000, 4);
    site.write("alice/there.bin", &content);
    site.write("home/there.bin", &content[..1_000_001]);
    site.write("home/part.bin", &content);
    site.write("alice/part.bin", &content[..1_999_999]);
    site.write("home/rest.bin", &content);
    site.write("alice/rest.bin.partial", &content[..777_777]);
    let waft = site.serve();
    let mark = waft.log.mark();
    let lines = "get -c there.bin\nput -c part.bin\nput -c rest.bin\n";
    let Some(done) = lftp(&waft, lines) else { return };
    done.succeeded();
    assert_file(&waft.path("home/there.bin"), &content);
    assert_file(&waft.file("part.bin"), &content);
    assert_file(&waft.file("rest.bin"), &content);
    assert_eq!(names(&waft.file("")), ["part.bin", "rest.bin", "there.bin"]);
    // Only what was missing went over the network.
    for (what, path, bytes) in [
        ("download", "/there.bin", 1_999_999),
        ("upload", "/part.bin", 1_000_001),
        ("upload", "/rest.bin", 2_222_223),
    ] {
        assert_eq!(waft.wait_for_transfer(mark, what, path).value("bytes"), bytes);
    }
}

#[test]
fn lftp_mirrors_a_tree_there_and_back() {
    let waft = Site::new("").serve();
    let tree = ["top.bin", "sub/one.bin", "sub/two words.bin", "sub/deeper/ünï.bin", "sub/.hidden"];
    for (seed, name) in tree.into_iter().enumerate() {
        waft.write(format!("home/tree/{name}"), octets(50_000, seed as u64));
    }
    waft.make("home/tree/sub/empty");
    let lines = "mirror -R tree there\nmirror --parallel=3 there back\n";
    let Some(done) = lftp(&waft, lines) else { return };
    done.succeeded();
    for directory in [waft.file("there"), waft.path("home/back")] {
        for (seed, name) in tree.into_iter().enumerate() {
            assert_file(&directory.join(name), &octets(50_000, seed as u64));
        }
        assert_eq!(names(&directory.join("sub/empty")), [""; 0]);
    }

    // A second time there is nothing to do: times and sizes are told as they are.
    let mark = waft.log.mark();
    lftp(&waft, "mirror -R tree there\nmirror there back\n").unwrap().succeeded();
    let moved = |line: &Line| matches!(line.message(), "upload" | "download");
    assert!(!waft.log.since(mark).iter().any(moved), "{}", waft.log.text());
}

#[test]
fn lftp_fetches_pieces_of_one_file_at_the_same_time() {
    let site = Site::new("");
    let content = octets(20 << 20, 5);
    site.write("alice/long.bin", &content);
    let waft = site.serve();
    let lines = "set pget:min-chunk-size 1M\npget -n 4 long.bin\n";
    let Some(done) = lftp(&waft, lines) else { return };
    done.succeeded();
    assert_file(&waft.path("home/long.bin"), &content);
    let begun = |line: &&Line| line.field("command").starts_with("RETR");
    assert!(waft.log.lines().iter().filter(begun).count() >= 4, "{}", waft.log.text());
}

#[test]
fn lftp_may_use_active_mode_where_it_is_on() {
    let site = Site::new("[active]\nmode = \"on\"\n");
    site.write("alice/file.bin", octets(2_000_000, 6));
    let waft = site.serve();
    let Some(got) = lftp(&waft, "set ftp:passive-mode false\ncat file.bin") else { return };
    assert_same(&got.succeeded().stdout, &octets(2_000_000, 6), "file.bin");
    assert!(waft.log.lines().iter().any(|line| line.field("command").starts_with("PORT")));
}

#[test]
fn lftp_falls_back_to_passive_mode_where_active_mode_is_off() {
    let site = Site::new("");
    site.write("alice/file.bin", octets(5000, 7));
    let waft = site.serve();
    let lines = "set ftp:passive-mode false\nset ftp:auto-passive-mode true\nget file.bin";
    let Some(got) = lftp(&waft, lines) else { return };
    got.succeeded();
    assert_file(&waft.path("home/file.bin"), &octets(5000, 7));
}

#[test]
fn lftp_compresses_transfers_and_listings() {
    let site = Site::new("");
    let content = [octets(100_000, 8), vec![b'x'; 1_000_000], octets(100_000, 9)].concat();
    site.write("alice/file.bin", &content);
    site.write("home/up.bin", &content);
    let waft = site.serve();
    let lines = "set ftp:use-mode-z true\nset ftp:mode-z-level 9\n\
                 get file.bin -o got.bin\nput up.bin\ncls -1\n";
    let Some(done) = lftp(&waft, lines) else { return };
    let done = done.succeeded();
    assert!(waft.log.lines().iter().any(|line| line.field("command") == "MODE Z"));
    assert_file(&waft.path("home/got.bin"), &content);
    assert_file(&waft.file("up.bin"), &content);
    assert!(done.lines().contains(&"up.bin".to_owned()), "{}", done.story());
}

#[test]
fn lftp_reaches_a_listener_over_ipv6() {
    let site = Site::over_ipv6("");
    site.write("home/up.bin", octets(200_000, 10));
    let waft = site.serve();
    let Some(done) = lftp(&waft, "put up.bin\nget up.bin -o down.bin\n") else { return };
    done.succeeded();
    assert_file(&waft.path("home/down.bin"), &octets(200_000, 10));
    assert_eq!(fs::metadata(waft.file("up.bin")).unwrap().len(), 200_000);
}
