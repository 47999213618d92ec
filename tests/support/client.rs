//! Programs that people use to talk to FTP servers.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use super::PATIENCE;

/// A program, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 7] = [
    ("curl", "curl"),
    ("lftp", "lftp"),
    ("tnftp", "tnftp"),
    ("ncftpget", "ncftp"),
    ("ncftpput", "ncftp"),
    ("ncftpls", "ncftp"),
    ("python3", "python3"),
];

/// A program, if it is there, with an empty home of its own: what the person who runs the tests
/// has configured does not count.
///
/// Where it is missing, the test is skipped, loudly; in CI that is a failure.
#[track_caller]
pub(crate) fn client(name: &str, home: &Path) -> Option<Command> {
    let package = PROGRAMS.iter().find(|(program, _)| *program == name).unwrap().1;
    if !is_on_path(name) {
        let what = format!("{name} is not installed; to install it: apt-get install {package}");
        assert!(!is_ci(), "{what}");
        // Not through the macros, whose output the test harness swallows.
        let notice = format!("\n*** SKIPPED, and nothing was tested: {what}\n\n");
        std::io::stderr().write_all(notice.as_bytes()).unwrap();
        return None;
    }
    let mut command = Command::new(name);
    command.env("LC_ALL", "C.UTF-8").current_dir(home);
    // Python may be found by way of the home directory, and has nothing in it that counts.
    if name != "python3" {
        command.env("HOME", home);
    }
    for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "LFTP_HOME", "NETRC"] {
        command.env_remove(variable);
    }
    for variable in ["ftp_proxy", "FTP_PROXY", "all_proxy", "ALL_PROXY", "http_proxy"] {
        command.env_remove(variable);
    }
    Some(command)
}

/// The seconds after which a client should give up by itself, before the test does.
pub(crate) fn seconds() -> String {
    (PATIENCE.as_secs() - 10).to_string()
}

fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// Whether nothing may be skipped.
fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
