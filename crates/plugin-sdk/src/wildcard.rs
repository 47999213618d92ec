//! Patterns of names.

/// Whether a text fits a pattern as a whole: `*` is any characters, slashes too, `?` is one.
///
/// ```
/// use waft_plugin_sdk::fits;
///
/// assert!(fits("*.jpg", "holiday.jpg"));
/// assert!(fits("/in/*", "/in/2026/a.txt"));
/// assert!(!fits("?.txt", "ab.txt"));
/// ```
pub fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Behind the last star, and the text that it has not taken yet.
    let mut star = None;
    loop {
        let there = text.clone();
        match (pattern.next(), text.next()) {
            (Some('*'), _) => {
                star = Some((pattern.clone(), there.clone()));
                text = there;
            }
            (None, None) => return true,
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(letter)) if wanted == letter => {}
            _ => {
                // The star takes one more; if it cannot, nothing fits.
                let Some((behind, taken)) = &mut star else { return false };
                if taken.next().is_none() {
                    return false;
                }
                (pattern, text) = (behind.clone(), taken.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_as_much_as_is_needed() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("**", "abc"),
            ("a*b*c", "a-b-b-c-c"),
            ("*.tar.*", "x.tar.tar.gz"),
            ("?*", "ä"),
            ("*a", "aaaa"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("?", ""), ("a*b", "a-b-c"), ("*.jpg", "jpg"), ("a", "aa"), ("**a", "b")]
        {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
        // It would take for ever to try every way to divide the text.
        assert!(!fits(&"a*".repeat(40), &format!("{}b", "a".repeat(39))));
    }
}
