//! TOML as it was written, each value with its place.
//!
//! Parsing ends here: the layers above only see this tree, which can be merged with another one
//! and still knows for every value which file it came from.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::mistake::Mistake;
use crate::place::{Lines, Origin};

/// A TOML value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A date, a time, or both, as it was written.
    Datetime(String),
    /// A list.
    Array(Vec<Node>),
    /// Keys with values.
    Table(Table),
}

/// A TOML value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
}

/// Keys with values, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub(crate) BTreeMap<String, Entry>);

/// A key's place, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Origin,
    pub(crate) node: Node,
}

/// Two values are the same wherever they were written.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Table {
    /// Returns the value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|entry| &entry.node)
    }

    /// Returns keys and values in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(key, entry)| (key.as_str(), &entry.node))
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    /// Says what it is, with its article, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "a truth value",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// Returns a scalar as text, strings without their quotes; `None` for lists and tables.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        match self {
            Self::String(text) | Self::Datetime(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Boolean(flag) => Some(flag.to_string()),
            Self::Array(_) | Self::Table(_) => None,
        }
    }
}

impl Node {
    /// Returns every scalar beneath this value with its dotted path: `texts.PORT`, `deny.0`,
    /// `rule.0.commands.1`. Keys come in the order of their names, list items in their own.
    ///
    /// An empty list or table has no scalar beneath it and leaves no trace.
    #[must_use]
    pub fn flattened(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        self.flatten_into("", &mut pairs);
        pairs
    }

    fn flatten_into(&self, path: &str, pairs: &mut Vec<(String, String)>) {
        let beneath = |step: &str| match path {
            "" => step.to_owned(),
            _ => format!("{path}.{step}"),
        };
        match &self.value {
            Value::Table(table) => {
                table.iter().for_each(|(key, node)| node.flatten_into(&beneath(key), pairs));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.flatten_into(&beneath(&index.to_string()), pairs);
                }
            }
            scalar => pairs.extend(scalar.scalar().map(|text| (path.to_owned(), text))),
        }
    }
}

/// Parses `text`, read from `file`, into a table. Mistakes of syntax are added to `mistakes`, and
/// what could be understood in spite of them is returned.
pub(crate) fn parse(file: &Path, text: &str, mistakes: &mut Vec<Mistake>) -> Node {
    let lines = Lines::of(file, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let origin = lines.place(&error.span().unwrap_or_default());
        let message = error.message().trim_end().replace('\n', ", ");
        mistakes.push(Mistake::new(&origin, "", message, "correct the TOML syntax here"));
    }
    let mut parser = Parser { lines, mistakes };
    let table = parser.table(document.get_ref());
    Node { value: Value::Table(table), origin: Origin::whole(file) }
}

struct Parser<'t, 'm> {
    lines: Lines<'t>,
    mistakes: &'m mut Vec<Mistake>,
}

impl Parser<'_, '_> {
    fn table(&mut self, table: &DeTable<'_>) -> Table {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let node = self.value(value.get_ref(), self.lines.place(&value.span()));
            let entry = Entry { key: self.lines.place(&key.span()), node };
            entries.insert(key.get_ref().to_string(), entry);
        }
        Table(entries)
    }

    fn value(&mut self, value: &DeValue<'_>, origin: Origin) -> Node {
        let value = match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => self.beyond(&origin, number.as_str()),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Value::Float(number),
                Err(_) => self.beyond(&origin, number.as_str()),
            },
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
            DeValue::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| self.value(item.get_ref(), self.lines.place(&item.span())))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { value, origin }
    }

    fn beyond(&mut self, origin: &Origin, number: &str) -> Value {
        let message = format!("number too large: {number}");
        self.mistakes.push(Mistake::new(origin, "", message, "write a number below 2^63"));
        Value::Integer(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (Node, Vec<Mistake>) {
        let mut mistakes = Vec::new();
        let node = parse(Path::new("x.toml"), text, &mut mistakes);
        (node, mistakes)
    }

    fn flat(text: &str) -> Vec<(String, String)> {
        let (node, mistakes) = parsed(text);
        assert_eq!(mistakes, []);
        node.flattened()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn flattening_dots_tables_and_numbers_lists() {
        let text = r#"
            deny = ["PORT", "EPRT"]
            limit = 5
            ratio = 0.5
            strict = true
            since = 2024-01-02T03:04:05Z
            empty = []
            [texts]
            PORT = "use EPSV"
            [[rule]]
            commands = ["SITE"]
            [[rule]]
            commands = ["DELE", "RMD"]
        "#;
        let expected = [
            ("deny.0", "PORT"),
            ("deny.1", "EPRT"),
            ("limit", "5"),
            ("ratio", "0.5"),
            ("rule.0.commands.0", "SITE"),
            ("rule.1.commands.0", "DELE"),
            ("rule.1.commands.1", "RMD"),
            ("since", "2024-01-02T03:04:05Z"),
            ("strict", "true"),
            ("texts.PORT", "use EPSV"),
        ];
        assert_eq!(flat(text), pairs(&expected));
    }

    #[test]
    fn list_items_keep_their_order_beyond_nine() {
        let items: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let flat = flat(&format!("n = [{}]", items.join(",")));
        let values: Vec<&str> = flat.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, items);
    }

    #[test]
    fn values_know_their_place() {
        let (node, _) = parsed("[timeouts]\nidle = \"5x\"\nlist = [1,\n  2]\n");
        let Value::Table(root) = &node.value else { panic!("not a table") };
        let timeouts = root.0.get("timeouts").unwrap();
        assert_eq!(timeouts.key.to_string(), "x.toml:1:2");
        assert_eq!(timeouts.node.origin.to_string(), "x.toml:1:1");
        let Value::Table(timeouts) = &timeouts.node.value else { panic!("not a table") };
        assert_eq!(timeouts.get("idle").unwrap().origin.to_string(), "x.toml:2:8");
        let Value::Array(list) = &timeouts.get("list").unwrap().value else { panic!("no list") };
        assert_eq!(list[1].origin.to_string(), "x.toml:4:3");
    }

    #[test]
    fn every_mistake_of_syntax_is_told_with_its_place() {
        let (_, mut mistakes) = parsed("a = 5m\nb = 1\nb = 2\n[x\n");
        mistakes.sort_by_key(|mistake| mistake.origin.line);
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let remedy = "\n  remedy: correct the TOML syntax here";
        let expected = [
            "x.toml:1:5: string values must be quoted, expected literal string",
            "x.toml:3:1: duplicate key",
            "x.toml:4:3: unclosed table, expected `]`",
        ];
        assert_eq!(told, expected.map(|line| format!("{line}{remedy}")));
    }

    #[test]
    fn numbers_that_do_not_fit_are_mistakes() {
        let (_, mistakes) = parsed("a = 99999999999999999999");
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let expected = "x.toml:1:5: number too large: 99999999999999999999\n  \
                        remedy: write a number below 2^63";
        assert_eq!(told, [expected]);
    }

    fn any_node() -> impl Strategy<Value = (Node, usize)> {
        let node = |value| Node { value, origin: Origin::command_line() };
        let leaf = prop_oneof![
            "[a-z]{0,4}".prop_map(Value::String),
            any::<i64>().prop_map(Value::Integer),
            any::<bool>().prop_map(Value::Boolean),
        ];
        let leaf = leaf.prop_map(move |value| (node(value), 1));
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let array = prop::collection::vec(inner.clone(), 0..5).prop_map(move |items| {
                let leaves = items.iter().map(|(_, n)| n).sum();
                let items = items.into_iter().map(|(item, _)| item).collect();
                (node(Value::Array(items)), leaves)
            });
            let table = prop::collection::btree_map("[a-z]{1,3}", inner, 0..5);
            let table = table.prop_map(move |entries| {
                let leaves = entries.values().map(|(_, n)| n).sum();
                let entry = |node| Entry { key: Origin::command_line(), node };
                let entries = entries.into_iter().map(|(key, (v, _))| (key, entry(v))).collect();
                (node(Value::Table(Table(entries))), leaves)
            });
            prop_oneof![array, table]
        })
    }

    /// Walks down a dotted path: what a guest does with a flattened key in its head.
    fn at<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
        path.split('.').filter(|step| !step.is_empty()).try_fold(node, |node, step| {
            match &node.value {
                Value::Table(table) => table.get(step),
                Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }

    proptest! {
        #[test]
        fn flattening_keeps_every_scalar_under_its_own_path((node, leaves) in any_node()) {
            let flat = node.flattened();
            prop_assert_eq!(flat.len(), leaves);
            let keys: std::collections::BTreeSet<_> = flat.iter().map(|(k, _)| k).collect();
            prop_assert_eq!(keys.len(), leaves, "no two scalars share a path");
            for (path, text) in &flat {
                let scalar = at(&node, path).and_then(|node| node.value.scalar());
                prop_assert_eq!(scalar.as_ref(), Some(text));
            }
        }

        #[test]
        fn no_text_makes_the_parser_fall_over(text in "\\PC{0,80}") {
            parsed(&text);
        }

        #[test]
        fn almost_toml_does_not_make_it_fall_over(text in "[a-c=\\[\\]{}\"'., \n0-9#.-]{0,60}") {
            parsed(&text);
        }
    }
}
