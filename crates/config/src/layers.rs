//! From files to one tree: the main file, the drop-ins over it, the users file beside it.
//!
//! Over means: tables are merged, anything else is replaced. Of a list of tables (`[[user]]`), an
//! entry of a drop-in is merged with the earlier entry that has the same name (`[[listener]]`: the
//! same name or else the same address; `[[passive.rule]]`: the same `from`); other entries are
//! added at the end. Which keys make the name comes from the table of keys.
//!
//! The users file is no layer: its accounts are added, and one that is there already is a mistake.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::mistake::Mistake;
use crate::place::Origin;
use crate::schema::{Reader, Schema, Section, Shape};
use crate::sections::{Document, UsersDocument};
use crate::value::{Entry, Node, Table, Value, parse};

/// The files that are tried, in this order, where none is named.
pub(crate) const SEARCHED: [&str; 2] = ["waft.toml", "/etc/waft/waft.toml"];

/// What was written, in all files together.
pub(crate) struct Layers {
    pub(crate) tree: Node,
    /// In the order in which they were read; the first is the main file.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) drop_ins: Option<PathBuf>,
    /// Mistakes that were made before anything was understood: files that cannot be read, syntax.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Layers {
    /// Reads the main file and everything that belongs to it.
    pub(crate) fn read(main: &Path) -> Self {
        let mut layers = Self::empty(main);
        match std::fs::read(main) {
            Ok(bytes) => layers.add_main(main, bytes),
            Err(error) => {
                let remedy = "name a file that can be read with --config";
                layers.refuse_file(main, &error, remedy);
                return layers;
            }
        }
        let directory = main.with_file_name("conf.d");
        for path in layers.drop_ins_in(&directory) {
            match std::fs::read(&path) {
                Ok(bytes) => {
                    if let Some(node) = layers.parse(&path, bytes) {
                        merge(&mut layers.tree, node, Document::SCHEMA);
                    }
                }
                Err(error) => layers.refuse_file(&path, &error, "make it readable, or remove it"),
            }
        }
        layers.drop_ins = Some(directory);
        layers.add_users();
        layers
    }

    /// Takes `text` for the content of the main file, without drop-ins.
    pub(crate) fn of_text(main: &Path, text: &str) -> Self {
        let mut layers = Self::empty(main);
        layers.add_main(main, text.as_bytes().to_vec());
        layers.add_users();
        layers
    }

    fn empty(main: &Path) -> Self {
        let tree = Node { value: Value::Table(Table::default()), origin: Origin::whole(main) };
        Self { tree, files: Vec::new(), drop_ins: None, mistakes: Vec::new() }
    }

    fn add_main(&mut self, main: &Path, bytes: Vec<u8>) {
        if let Some(node) = self.parse(main, bytes) {
            self.tree = node;
        }
    }

    fn parse(&mut self, path: &Path, bytes: Vec<u8>) -> Option<Node> {
        self.files.push(path.to_path_buf());
        match String::from_utf8(bytes) {
            Ok(text) => Some(parse(path, &text, &mut self.mistakes)),
            Err(_) => {
                let origin = Origin::whole(path);
                let mistake = Mistake::new(&origin, "", "not UTF-8", "save it as UTF-8");
                self.mistakes.push(mistake);
                None
            }
        }
    }

    fn drop_ins_in(&mut self, directory: &Path) -> BTreeSet<PathBuf> {
        let is_drop_in = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.ends_with(b".toml") && !name.starts_with(b".")
        };
        let paths = std::fs::read_dir(directory).and_then(|entries| {
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<BTreeSet<_>>>()
        });
        match paths {
            Ok(paths) => paths.into_iter().filter(is_drop_in).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                self.refuse_file(directory, &error, "make it a readable directory, or remove it");
                BTreeSet::new()
            }
        }
    }

    /// Adds the accounts of the users file, where one is named.
    fn add_users(&mut self) {
        let Some(node) = at(&self.tree, &["users", "file"]) else { return };
        let Value::String(written) = &node.value else { return };
        let (path, origin) = (node.origin.resolve(Path::new(written)), node.origin.clone());
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("{}: {}", why(&error), path.display());
                let remedy = format!("make it with: waft user add --file {} NAME", path.display());
                self.mistakes.push(Mistake::new(&origin, "users.file", message, remedy));
                return;
            }
        };
        let Some(users) = self.parse(&path, bytes) else { return };
        let mut reader = Reader::default();
        let known = reader.table(&users, UsersDocument::SCHEMA).and_then(|table| table.get("user"));
        if let (Some(users), Value::Table(root)) = (known, &mut self.tree.value) {
            append(root, "user", users.clone());
        }
        self.mistakes.append(&mut reader.mistakes);
    }

    fn refuse_file(&mut self, path: &Path, error: &io::Error, remedy: &str) {
        let mistake = Mistake::new(&Origin::whole(path), "", why(error), remedy);
        self.mistakes.push(mistake);
    }
}

/// Says why a file or directory cannot be used.
pub(crate) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, step| match &node.value {
        Value::Table(table) => table.get(step),
        _ => None,
    })
}

fn append(root: &mut Table, key: &str, more: Node) {
    match root.0.get_mut(key) {
        Some(entry) => match (&mut entry.node.value, more.value) {
            (Value::Array(items), Value::Array(more)) => items.extend(more),
            // One of them is no list, which is told when it is read.
            (present, more) => {
                if matches!(present, Value::Array(_)) {
                    *present = more;
                }
            }
        },
        None => {
            root.0.insert(key.to_owned(), Entry { key: more.origin.clone(), node: more });
        }
    }
}

/// Layers `over` over `base`, both tables with the keys of `schema`.
fn merge(base: &mut Node, over: Node, schema: &Schema) {
    let (Value::Table(base), Value::Table(over)) = (&mut base.value, over.value) else { return };
    for (name, entry) in over.0 {
        let shape = schema.keys.iter().find(|key| key.name == name).map(|key| (key.shape)());
        match base.0.get_mut(&name) {
            Some(present) => merge_value(&mut present.node, entry.node, shape),
            None => {
                base.0.insert(name, entry);
            }
        }
    }
}

fn merge_value(base: &mut Node, over: Node, shape: Option<Shape>) {
    let tables = matches!((&base.value, &over.value), (Value::Table(_), Value::Table(_)));
    match shape {
        Some(Shape::Table(schema)) if tables => merge(base, over, schema),
        Some(Shape::Free(_)) if tables => merge_free(base, over),
        Some(Shape::Tables(schema)) => merge_lists(base, over, schema),
        _ => *base = over,
    }
}

fn merge_free(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Table(base), Value::Table(over)) => {
            for (name, entry) in over.0 {
                match base.0.get_mut(&name) {
                    Some(present) => merge_free(&mut present.node, entry.node),
                    None => {
                        base.0.insert(name, entry);
                    }
                }
            }
        }
        (_, value) => *base = Node { value, origin: over.origin },
    }
}

fn merge_lists(base: &mut Node, over: Node, schema: &Schema) {
    match (&mut base.value, over.value) {
        (Value::Array(base), Value::Array(over)) => {
            // Two entries of one file with the same name are not merged: that is a mistake, which
            // is found later.
            let mut free: Vec<bool> = base.iter().map(|_| true).collect();
            let mut added = Vec::new();
            for node in over {
                let name = identity(&node, schema);
                let same = |(node, free): &(&mut Node, &mut bool)| {
                    **free && name.is_some() && identity(node, schema) == name
                };
                match base.iter_mut().zip(&mut free).find(same) {
                    Some((earlier, free)) => {
                        *free = false;
                        merge(earlier, node, schema);
                    }
                    None => added.push(node),
                }
            }
            base.append(&mut added);
        }
        (_, value) => *base = Node { value, origin: over.origin },
    }
}

/// Returns what an entry is called: the first of the keys that make its name.
fn identity(node: &Node, schema: &Schema) -> Option<String> {
    let Value::Table(table) = &node.value else { return None };
    schema.identity.iter().find_map(|key| table.get(key)).and_then(|node| node.value.scalar())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(file: &str, text: &str) -> Node {
        let mut mistakes = Vec::new();
        let node = parse(Path::new(file), text, &mut mistakes);
        assert_eq!(mistakes, []);
        node
    }

    /// Layers the texts over each other and returns the scalars, each with the file it is from.
    fn merged(texts: &[&str]) -> Vec<String> {
        let mut layers = texts.iter().enumerate().map(|(n, text)| tree(&n.to_string(), text));
        let mut base = layers.next().unwrap();
        layers.for_each(|over| merge(&mut base, over, Document::SCHEMA));
        let origin = |path: &str| {
            let node = path.split('.').try_fold(&base, |node, step| match &node.value {
                Value::Table(table) => table.get(step),
                Value::Array(items) => items.get(step.parse::<usize>().unwrap()),
                _ => None,
            });
            node.unwrap().origin.file.display().to_string()
        };
        base.flattened().iter().map(|(k, v)| format!("{k} = {v} ({})", origin(k))).collect()
    }

    #[test]
    fn tables_are_merged_and_scalars_replaced() {
        let main = "[limits]\nsessions = 1\nline_bytes = \"8KiB\"\n[server]\nname = \"a\"";
        let over = "[limits]\nsessions = 2\n[timeouts]\nidle = \"1m\"";
        let expected = [
            "limits.line_bytes = 8KiB (0)",
            "limits.sessions = 2 (1)",
            "server.name = a (0)",
            "timeouts.idle = 1m (1)",
        ];
        assert_eq!(merged(&[main, over]), expected);
    }

    #[test]
    fn plain_lists_are_replaced() {
        let expected = ["active.lan.0 = 10.0.0.0/8 (1)"];
        let over = "[active]\nlan = [\"10.0.0.0/8\"]";
        assert_eq!(merged(&["[active]\nlan = [\"a\", \"b\"]", over]), expected);
    }

    #[test]
    fn entries_of_the_same_name_are_merged_and_others_added() {
        let main = "[[user]]\nname = \"a\"\nroot = \"/a\"\n[[user]]\nname = \"b\"\nroot = \"/b\"";
        let over = "[[user]]\nname = \"c\"\nroot = \"/c\"\n[[user]]\nname = \"b\"\nroot = \"/x\"";
        let expected = [
            "user.0.name = a (0)",
            "user.0.root = /a (0)",
            "user.1.name = b (1)",
            "user.1.root = /x (1)",
            "user.2.name = c (1)",
            "user.2.root = /c (1)",
        ];
        assert_eq!(merged(&[main, over]), expected);
    }

    #[test]
    fn listeners_are_known_by_name_or_else_by_address() {
        let main = "[[listener]]\naddress = \"a:1\"\n\
                    [[listener]]\nname = \"n\"\naddress = \"a:2\"";
        let over = "[[listener]]\naddress = \"a:1\"\ntls = \"off\"\n\
                    [[listener]]\nname = \"n\"\naddress = \"a:3\"";
        let expected = [
            "listener.0.address = a:1 (1)",
            "listener.0.tls = off (1)",
            "listener.1.address = a:3 (1)",
            "listener.1.name = n (1)",
        ];
        assert_eq!(merged(&[main, over]), expected);
    }

    #[test]
    fn settings_of_a_plugin_are_merged_key_by_key() {
        let main = "[[plugin]]\nname = \"p\"\n[plugin.config]\ndeny = [\"A\", \"B\"]\n\
                    texts = { A = \"a\", B = \"b\" }";
        let over = "[[plugin]]\nname = \"p\"\n[plugin.config]\ndeny = [\"C\"]\n\
                    texts = { B = \"x\" }";
        let expected = [
            "plugin.0.config.deny.0 = C (1)",
            "plugin.0.config.texts.A = a (0)",
            "plugin.0.config.texts.B = x (1)",
            "plugin.0.name = p (1)",
        ];
        assert_eq!(merged(&[main, over]), expected);
    }

    #[test]
    fn entries_of_one_file_are_never_merged_with_each_other() {
        let one = "[[user]]\nname = \"a\"\n[[user]]\nname = \"a\"";
        assert_eq!(merged(&[one]), ["user.0.name = a (0)", "user.1.name = a (0)"]);
        let over = merged(&["[[user]]\nname = \"a\"", one]);
        assert_eq!(over, ["user.0.name = a (1)", "user.1.name = a (1)"]);
    }
}
