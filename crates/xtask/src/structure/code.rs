//! A Rust file without what its author only says.

/// Returns the code with comments blanked and texts emptied, line by line where it was.
///
/// It knows just enough of the language: line and block comments, which nest; texts with escapes,
/// raw texts, characters, and lifetimes, which look like the beginning of one.
pub(super) fn without_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_text(rest, &code) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if let Some(length) = character(rest) {
            length
        } else {
            code.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        };
        let (skipped, after) = rest.split_at(length.min(rest.len()));
        code.extend(skipped.chars().filter(|c| *c == '\n'));
        code.push(' ');
        rest = after;
    }
    code
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of `r"…"` or `r#"…"#`, unless the `r` is the end of a word.
fn raw_text(rest: &str, before: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if before.chars().next_back().is_some_and(|c| is_word(c) && c != 'b') {
        return None;
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = 1 + hashes + 1;
    Some(body.find(&end).map_or(rest.len(), |at| opening + at + end.len()))
}

/// The length of a text or character with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// The length of `'x'` or `'\n'`; a lifetime has no second quote after one character.
fn character(rest: &str) -> Option<usize> {
    let mut inner = rest.strip_prefix('\'')?.chars();
    let is_character = match inner.next()? {
        '\\' => true,
        _ => inner.next() == Some('\''),
    };
    is_character.then(|| quoted(rest, '\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&without_words(text)), words(code));
    }

    #[test]
    fn comments_go() {
        check("a // unsafe\nb", "a b");
        check("a /* unsafe /* nested */ still */ b", "a b");
        check("/// unsafe\nfn f() {} //! x", "fn f() {}");
    }

    #[test]
    fn texts_go() {
        check(r#"f("unsafe \" {", g)"#, "f( , g)");
        check("f(r#\"a \" unsafe\"#, r\"x\", br\"y\")", "f( , , b )");
        check("f('\"', '\\'', '/', b'x')", "f( , , , b )");
    }

    #[test]
    fn lifetimes_stay() {
        check(
            "fn f<'a>(x: &'a str) -> &'static str { unsafe }",
            "fn f<'a>(x: &'a str) -> &'static str { unsafe }",
        );
    }

    #[test]
    fn lines_stay_where_they_were() {
        let code = without_words("/* one\ntwo */\n\"three\nfour\"\nfive");
        assert_eq!(code.lines().position(|line| line.contains("five")), Some(4));
    }
}
