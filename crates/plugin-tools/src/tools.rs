//! The tools of languages that Rust's toolchain does not know.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The oldest Node.js that the tools for JavaScript run on.
const NODE_MIN: u32 = 20;

/// A set of tools that one client of a registry installs.
struct Set {
    name: &'static str,
    /// What is installed: file names and contents.
    files: &'static [(&'static str, &'static str)],
}

const JAVASCRIPT: Set = Set {
    name: "javascript",
    files: &[
        ("package.json", include_str!("../toolchains/javascript/package.json")),
        ("package-lock.json", include_str!("../toolchains/javascript/package-lock.json")),
    ],
};

/// For who has no Node.js, or an old one.
const NODE: Set = Set {
    name: "node",
    files: &[("requirements.txt", include_str!("../toolchains/node/requirements.txt"))],
};

const PYTHON: Set = Set {
    name: "python",
    files: &[("requirements.txt", include_str!("../toolchains/python/requirements.txt"))],
};

impl Set {
    /// Which versions these are.
    fn version(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.files.hash(&mut hasher);
        format!("{}-{:016x}", self.name, hasher.finish())
    }
}

/// A directory of tools, which are fetched when they are first needed.
#[derive(Debug)]
pub struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// Tools that are, or will be, in a directory; several processes may share it.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Tools in the user's cache: `$XDG_CACHE_HOME/waft/tools`, or the same below `~/.cache`.
    ///
    /// # Errors
    /// The environment names neither.
    pub fn of_the_user() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let cache = cache.context("no place for tools: neither XDG_CACHE_HOME nor HOME is set")?;
        Ok(Self::in_directory(cache.join("waft/tools")))
    }

    /// The versions of the tools for JavaScript and for Python.
    pub(crate) fn versions() -> [String; 2] {
        [JAVASCRIPT.version(), PYTHON.version()]
    }

    /// `componentize-js`.
    pub(crate) fn componentize_js(&self) -> Result<Command> {
        let node = self.node()?;
        let path = node.as_deref().map(search_path).transpose()?;
        let installed = self.installed(&JAVASCRIPT, |directory| {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
            npm.envs(path.iter().map(|path| ("PATH", path)));
            process::capture(npm.current_dir(directory)).map(drop)
        })?;
        let mut command = Command::new("node");
        let main = "node_modules/@bytecodealliance/componentize-js/src/cli.js";
        command.arg(installed.join(main)).envs(path.iter().map(|path| ("PATH", path)));
        Ok(command)
    }

    /// `componentize-py`.
    pub(crate) fn componentize_py(&self) -> Result<Command> {
        let installed = self.installed(&PYTHON, environment)?;
        Ok(Command::new(installed.join("bin/componentize-py")))
    }

    /// The directory of a Node.js of our own, unless the machine has one that will do.
    fn node(&self) -> Result<Option<PathBuf>> {
        if has_node() {
            return Ok(None);
        }
        Ok(Some(self.installed(&NODE, environment)?.join("bin")))
    }

    /// The directory of a set, which is installed first where it is not there yet. It is complete
    /// when a file says so: npm and venv do not like to be moved.
    fn installed(&self, set: &Set, install: impl Fn(&Path) -> Result<()>) -> Result<PathBuf> {
        let directory = self.directory.join(set.version());
        let done = directory.join("installed");
        if done.is_file() {
            return Ok(directory);
        }
        fs::create_dir_all(&self.directory)?;
        let lock = File::create(self.directory.join(format!("{}.lock", set.name)))?;
        lock.lock().context("cannot wait for another run to finish installing")?;
        if done.is_file() {
            return Ok(directory);
        }
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        for (name, text) in set.files {
            fs::write(directory.join(name), text)?;
        }
        install(&directory)
            .with_context(|| format!("cannot install the tools for {}", set.name))?;
        fs::write(done, "")?;
        Ok(directory)
    }
}

/// Installs what `requirements.txt` names.
fn environment(directory: &Path) -> Result<()> {
    let mut venv = Command::new("python3");
    process::capture(venv.args(["-m", "venv"]).arg(directory))
        .context("Python 3 with venv is needed (on Debian: apt-get install python3-venv)")?;
    let mut pip = Command::new(directory.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
    pip.args(["--only-binary", ":all:", "--requirement"]).arg(directory.join("requirements.txt"));
    process::capture(&mut pip).map(drop)
}

fn has_node() -> bool {
    let version = process::capture(Command::new("node").arg("--version"));
    let major = version.as_deref().map(|text| text.trim_start_matches('v').split('.').next());
    let major = major.ok().flatten().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= NODE_MIN) && process::exists("npm")
}

/// The search path with a directory before all others.
fn search_path(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let rest = std::env::split_paths(&path);
    std::env::join_paths(std::iter::once(first.to_owned()).chain(rest))
        .or_else(|_| bail!("no name for a search path: {}", first.display()))
}
