//! A directory with all that one server needs: configuration, accounts, files.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::{Finished, run};
use super::waft::Waft;

/// The account that every site has, with every permission.
pub(crate) const USER: &str = "alice";

/// Its password: a text that would be found wherever it stood.
pub(crate) const PASSWORD: &str = "Sw0rdfish-7";

/// A hash of [`PASSWORD`] that is verified in a moment (bcrypt, the lowest cost), for tests that log
/// in by the thousand.
pub(crate) const CHEAP_HASH: &str = "$2b$04$abcdefghijklmnopqrstuuDPLHifYoaWSdOKqBS2.4JkNKNY008z.";

/// A server's directory, which is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Site {
    directory: TempDir,
}

impl Site {
    /// A site with one listener that takes any free port, with [`USER`], and with `more` in its
    /// `waft.toml`.
    pub(crate) fn new(more: &str) -> Site {
        let site = Site { directory: tempfile::tempdir().unwrap() };
        site.make("alice");
        site.write("waft.toml", configuration(more));
        site
    }

    /// The same with a listener on `::1`.
    pub(crate) fn over_ipv6(more: &str) -> Site {
        let site = Site::new(more);
        site.write("waft.toml", configuration(more).replace("127.0.0.1:0", "[::1]:0"));
        site
    }

    /// Where something of the site is.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where something in the directory of [`USER`] is.
    pub(crate) fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("alice").join(name)
    }

    /// Makes a directory, and those above.
    pub(crate) fn make(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a file in place, as an editor or `cp` does, and makes the directories above.
    pub(crate) fn write(&self, name: impl AsRef<Path>, octets: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, octets).unwrap();
    }

    /// Reads a file in the directory of [`USER`].
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.file(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn serve(self) -> Waft {
        Waft::start(self)
    }

    /// Runs another subcommand in the site's directory.
    pub(crate) fn waft(&self, arguments: &[&str], input: &str) -> Finished {
        let mut command = program();
        run(command.current_dir(self.directory.path()).args(arguments), input.as_bytes())
    }
}

/// The program itself, with nothing of this process's environment that would change it; another
/// build of it where `WAFT_PROGRAM` names one, to measure what is installed.
pub(crate) fn program() -> Command {
    let built = OsString::from(env!("CARGO_BIN_EXE_waft"));
    let mut command = Command::new(std::env::var_os("WAFT_PROGRAM").unwrap_or(built));
    command.env_remove("WAFT_LOG");
    command
}

/// What every `waft.toml` here begins with.
pub(crate) fn configuration(more: &str) -> String {
    let hash = hash();
    format!(
        r#"
[server]
name = "files.example.org"

[log]
format = "json"
level = "debug"

[[listener]]
address = "127.0.0.1:0"

[[user]]
name = "{USER}"
password = "{hash}"
root = "{USER}"

{more}
"#
    )
}

/// The hash of [`PASSWORD`], as an operator makes it.
pub(crate) fn hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let mut command = program();
        let made = run(command.args(["user", "hash", "--password-stdin"]), PASSWORD.as_bytes());
        made.succeeded().stdout().trim_end().to_owned()
    })
}
