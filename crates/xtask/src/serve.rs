//! `cargo xtask serve`: builds server and plugins, and serves a demonstration.
//!
//! The demonstration is a directory under the target directory: some files for anonymous users,
//! a home for the user `demo`, a folder of plugins with command-policy in it, a certificate that the
//! server itself makes, and a configuration in which active mode is on, so that it is the plugin
//! that refuses it. TLS is offered and clear text works as well, for nothing leaves the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::{Context, Result};

use crate::workspace::{self, Workspace};
use crate::{files, plugins};
use waft_plugin_tools::process;

const CONFIGURATION: &str = include_str!("serve/waft.toml");

/// Files to look at: where, and what is in them.
const FILES: [(&str, &str); 4] = [
    ("pub/welcome.txt", "This is waft, an FTP server.\n"),
    ("pub/docs/rfc.txt", "RFC 959, RFC 2228, RFC 2389, RFC 2428, RFC 3659, RFC 4217\n"),
    ("pub/docs/empty.txt", ""),
    ("home/notes.txt", "Whatever the user demo uploads lies beside this file.\n"),
];

const INVITATION: &str = "
  curl -l ftp://127.0.0.1:2121/                                     # list, anonymously
  curl -T README.md ftp://demo:demo@127.0.0.1:2121/                 # upload
  curl ftp://demo:demo@127.0.0.1:2121/notes.txt                     # download
  curl -v --ftp-port - ftp://127.0.0.1:2121/ 2>&1 | grep ' 502 '    # active mode is refused
";

/// The names that the certificate is for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// What to serve with.
#[derive(Debug, Default)]
pub(crate) struct Options {
    release: bool,
    /// For the server itself.
    rest: Vec<String>,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--release" => options.release = true,
                "--" => options.rest = words.by_ref().cloned().collect(),
                _ => return Err(format!("unknown argument: {word}")),
            }
        }
        Ok(options)
    }
}

/// Builds everything, prepares the demonstration, and becomes the server.
///
/// # Errors
/// Something does not build, or cannot be written; or the server ends with an error.
pub(crate) fn serve(workspace: &Workspace, options: &Options) -> Result<()> {
    plugins::build(workspace, &plugins::Options::default())?;
    eprintln!("serve: building the server; the first time it takes minutes");
    let mut build = workspace::cargo();
    build.args(["build", "--package", "waft"]).current_dir(&workspace.root);
    if options.release {
        build.arg("--release");
    }
    process::run(&mut build)?;
    let demo = workspace.target.join("demo");
    prepare(&demo, &plugins::directory(workspace))
        .with_context(|| format!("cannot prepare {}", demo.display()))?;
    let profile = if options.release { "release" } else { "debug" };
    let program = workspace.target.join(profile).join("waft");
    let certificate = certify(&program, &demo)?;
    let configuration = demo.join("waft.toml");
    eprintln!(
        "serve: {}; in another terminal, try:\n{INVITATION}  curl --ssl-reqd --cacert {} \
         ftp://demo:demo@127.0.0.1:2121/notes.txt    # under TLS\n",
        configuration.display(),
        certificate.display()
    );
    let mut server = Command::new(program);
    server.arg("serve").arg("--config").arg(configuration).args(&options.rest);
    become_it(&mut server)
}

fn prepare(demo: &Path, components: &Path) -> Result<()> {
    for (name, text) in FILES {
        let file = demo.join(name);
        if !file.exists() {
            files::put(&file, text.as_bytes())?;
        }
    }
    // What anyone has dropped there beside it stays.
    let component = fs::read(components.join("command-policy.wasm"))?;
    files::put(&demo.join("plugins.d/command-policy.wasm"), &component)?;
    files::put(&demo.join("waft.toml"), CONFIGURATION.as_bytes())?;
    // It has a password hash in it, which the server rightly warns of.
    Ok(keep_private(&demo.join("waft.toml"))?)
}

/// Makes a certificate that is valid from today, as `waft cert self-signed` does; tells where it is.
fn certify(program: &Path, demo: &Path) -> Result<PathBuf> {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| demo.join(name));
    for file in [&certificate, &key] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", file.display()));
            }
            _ => {}
        }
    }
    let mut make = Command::new(program);
    make.args(["cert", "self-signed"]).args(NAMES.map(|name| format!("--name={name}")));
    make.arg("--certificate").arg(&certificate).arg("--key").arg(&key);
    process::run(&mut make)?;
    Ok(certificate)
}

#[cfg(unix)]
fn keep_private(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Replaces this process, so that signals reach the server and nothing stands between.
#[cfg(unix)]
fn become_it(server: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;

    Err(server.exec()).context("cannot start the server")
}

/// Waits for the server; a terminal sends its signals to both.
#[cfg(not(unix))]
fn become_it(server: &mut Command) -> Result<()> {
    process::run(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_follows_two_dashes_is_for_the_server() {
        let options = parse(&["--release", "--", "--release", "x"]).unwrap();
        assert!(options.release);
        assert_eq!(options.rest, ["--release", "x"]);
        assert_eq!(parse(&["x"]).unwrap_err(), "unknown argument: x");
    }
}
