//! A configuration without any file: `waft serve --root DIR`.
//!
//! The options are written down as the tree that a file would have given, so that there is one way
//! to a [`Config`], with the same defaults and the same checks.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::layers::Layers;
use crate::load::resolve;
use crate::mistake::{Mistake, Mistakes, Warnings};
use crate::password::PasswordHash;
use crate::permissions::Permissions;
use crate::place::Origin;
use crate::system::System;
use crate::value::{Entry, Node, Table, Value};

/// What a quick start is told on the command line.
#[derive(Clone, Debug)]
pub struct QuickStart {
    /// The directory to serve.
    pub root: PathBuf,
    /// Where to listen; `127.0.0.1:2121` unless told.
    pub listen: Option<SocketAddr>,
    /// Accounts, with the hashes of their passwords.
    pub users: Vec<(String, PasswordHash)>,
    /// Whether anonymous users may log in, to look and to fetch. They may in any case where there
    /// are no accounts.
    pub anonymous: bool,
    /// Whether accounts may only look and fetch, too.
    pub read_only: bool,
    /// Components; each is named after its file.
    pub plugins: Vec<PathBuf>,
}

impl Config {
    /// Makes a configuration out of a few options, everything else being default.
    ///
    /// # Errors
    ///
    /// All mistakes there are, together.
    pub fn quick(start: &QuickStart) -> Result<(Self, Warnings), Mistakes> {
        let mistakes = paths(start);
        if !mistakes.is_empty() {
            return Err(Mistakes { mistakes, warnings: Warnings::default() });
        }
        let tree = node(Value::Table(document(start)));
        let layers = Layers { tree, files: Vec::new(), drop_ins: None, mistakes };
        resolve(layers, &System::probe())
    }
}

/// Checks the paths under the names that they have on the command line.
fn paths(start: &QuickStart) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut tell = |key: &str, message: String, remedy: String| {
        mistakes.push(Mistake::new(&Origin::command_line(), key, message, remedy));
    };
    let utf8 = |path: &Path| path.to_str().is_some();
    let root = start.root.display();
    if !start.root.is_dir() {
        tell("--root", format!("no such directory: {root}"), format!("make it: mkdir -p {root}"));
    } else if !utf8(&start.root) {
        tell("--root", format!("not UTF-8: {root}"), "serve it through a link".to_owned());
    }
    for path in start.plugins.iter().filter(|path| !path.is_file() || !utf8(path)) {
        let remedy = "name a component: a file *.wasm".to_owned();
        tell("--plugin", format!("no such file: {}", path.display()), remedy);
    }
    mistakes
}

fn document(start: &QuickStart) -> Table {
    let root = || text(start.root.to_string_lossy());
    let listen = start.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 2121).into());
    let mut document = vec![("listener", list([table([("address", text(listen.to_string()))])]))];
    if start.anonymous || start.users.is_empty() {
        document.push(("anonymous", table([("root", root())])));
    }
    let permissions = if start.read_only { Permissions::READ_ONLY } else { Permissions::ALL };
    let users = start.users.iter().map(|(name, password)| {
        table([
            ("name", text(name)),
            ("password", text(password.as_str())),
            ("root", root()),
            ("permissions", list(permissions.iter().map(|permission| text(permission.word())))),
        ])
    });
    document.push(("user", list(users)));
    let plugins = start.plugins.iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        table([("name", text(name)), ("path", text(path.to_string_lossy()))])
    });
    document.push(("plugin", list(plugins)));
    entries(document)
}

fn node(value: Value) -> Node {
    Node { value, origin: Origin::command_line() }
}

fn text(text: impl Into<String>) -> Node {
    node(Value::String(text.into()))
}

fn list(items: impl IntoIterator<Item = Node>) -> Node {
    node(Value::Array(items.into_iter().collect()))
}

fn table<const N: usize>(keys: [(&str, Node); N]) -> Node {
    node(Value::Table(entries(keys)))
}

fn entries<'k>(keys: impl IntoIterator<Item = (&'k str, Node)>) -> Table {
    let entry = |node| Entry { key: Origin::command_line(), node };
    let entries: BTreeMap<String, Entry> =
        keys.into_iter().map(|(key, node)| (key.to_owned(), entry(node))).collect();
    Table(entries)
}
