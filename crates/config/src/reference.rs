//! The configuration reference, written from the table of keys.

use crate::schema::{Fallback, Key, Schema, Section, Shape};
use crate::sections::Document;

const INTRODUCTION: &str = r#"# Configuration

<!-- Made from the table of keys in crates/config/src/sections.rs. To make it again:
     UPDATE_REFERENCE=1 cargo test -p waft-config -->

waft reads the file that `--config` names, else `./waft.toml`, else `/etc/waft/waft.toml`. It is
[TOML](https://toml.io). `waft check` reads it as `waft serve` does and tells every mistake with its
line and its remedy. A key that is not in this reference is a mistake.

**Drop-ins.** Every `*.toml` in `conf.d` beside the main file is layered over it, in the order of
their names. Tables are merged; numbers, texts and plain lists are replaced. An entry of a list of
tables, such as `[[user]]`, is merged with the earlier entry of the same name (a `[[listener]]`:
of the same name, or else the same address; a `[[passive.rule]]`: with the same `from`), or else
added.

**Values.** A duration is a number with a unit (`d`, `h`, `m`, `s`, `ms`), or several of them:
`"5m"`, `"1h30m"`, `"250ms"`. A size is a number with a unit (`B`, `KB`, `MB`, `GB`, `TB` by 1000;
`KiB`, `MiB`, `GiB`, `TiB` by 1024): `"64KiB"`, `"10MB"`; a plain number is in bytes. Where a value
may be 0, that means none or no limit, and is written as plain `0`. A network is an address with a
prefix length: `"10.0.0.0/8"`, `"fd00::/8"`; an address alone means just that one. A path is
relative to the directory of the file that names it.

**Beside a component.** A plugin in the directory of `[plugins]` may bring its settings along: in
`NAME.toml` beside `NAME.wasm` stands what may stand under `[[plugin]]`, with `[config]` and `[limits]`
as its tables, but for `name`, `path`, `required`, `quarantine` and `grant`. Whoever has such a file
has no `[[plugin]]`. [More about it](plugins.md#operating-plugins).

**Reload.** When one of the files changes, and on SIGHUP, the configuration is read again. If it is
valid it holds for new sessions; if not, the one before stays, and the log tells what is wrong.
"#;

/// Writes the configuration reference as Markdown: every section and key with its kind of value,
/// its default and its meaning.
#[must_use]
pub fn reference_markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    tables_within("", Document::SCHEMA, &mut text);
    text
}

/// Writes each table that is a key of `schema`.
fn tables_within(path: &str, schema: &Schema, text: &mut String) {
    for key in schema.keys {
        let path =
            if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        let (heading, inner) = match (key.shape)() {
            Shape::Table(inner) => (format!("[{path}]"), inner),
            Shape::Tables(inner) => (format!("[[{path}]]"), inner),
            Shape::Value(_) | Shape::Words(_) | Shape::Free(_) => continue,
        };
        text.push_str(&format!("\n## `{heading}`\n\n{}\n\n", prose(inner.about)));
        text.push_str("| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n");
        inner.keys.iter().for_each(|key| row(&path, key, text));
        tables_within(&path, inner, text);
    }
}

fn row(path: &str, key: &Key, text: &mut String) {
    let mut meaning = prose(key.doc);
    let value = match (key.shape)() {
        Shape::Value(what) => what,
        Shape::Words(words) => {
            for (word, means) in words {
                meaning.push_str(&format!(" `\"{word}\"`: {}", prose(means)));
            }
            alternatives(words)
        }
        Shape::Table(_) => format!("a table: `[{path}.{}]`", key.name),
        Shape::Tables(_) => format!("tables: `[[{path}.{}]]`", key.name),
        Shape::Free(what) => format!("a table: {what}"),
    };
    let default = match (key.fallback)() {
        Fallback::Required => "must be given".to_owned(),
        Fallback::Told(words) => words.to_owned(),
        Fallback::Shown(shown) if shown.is_empty() => "–".to_owned(),
        Fallback::Shown(shown) => format!("`{shown}`"),
    };
    let cells = [format!("`{}`", key.name), value, default, meaning];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    text.push_str(&format!("| {} |\n", cells.join(" | ")));
}

fn alternatives(words: &[(&str, &str)]) -> String {
    let words: Vec<String> = words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
    words.join(" or ")
}

/// Makes one paragraph of a doc comment.
fn prose(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_checked_in_reference_is_the_one_that_the_table_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, reference_markdown()).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == reference_markdown(),
            "docs/configuration.md is not what the table of keys makes; make it again with: \
             UPDATE_REFERENCE=1 cargo test -p waft-config"
        );
    }

    #[test]
    fn every_key_has_a_meaning_and_every_word_too() {
        fn walk(schema: &Schema) {
            assert!(!schema.about.trim().is_empty());
            for key in schema.keys {
                assert!(!key.doc.trim().is_empty(), "{}", key.name);
                match (key.shape)() {
                    Shape::Words(words) => {
                        assert!(words.iter().all(|(_, means)| !means.trim().is_empty()));
                    }
                    Shape::Table(inner) | Shape::Tables(inner) => walk(inner),
                    Shape::Value(_) | Shape::Free(_) => {}
                }
            }
        }
        walk(Document::SCHEMA);
    }
}
