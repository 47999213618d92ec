//! Patterns of names, as `mget *.txt` of many clients sends them.

/// Whether a name of octets fits a pattern: `*` any octets, `?` one, `[a-z]` one of these, `[!a-z]`
/// one that is none of these, `\` the next octet as it is.
///
/// Takes at most pattern times name steps, whatever the pattern.
pub(crate) fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut at) = (pattern, name);
    // Where to go on if what follows the last star does not fit: the star takes one octet more.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', behind)) = rest.split_first() {
            star = Some((behind, at));
            rest = behind;
            continue;
        }
        match (step(rest, at.first().copied()), at.split_first()) {
            (Some(behind), Some((_, next))) => (rest, at) = (behind, next),
            _ if rest.is_empty() && at.is_empty() => return true,
            _ => {
                let Some((behind, [_, tail @ ..])) = star else { return false };
                star = Some((behind, tail));
                (rest, at) = (behind, tail);
            }
        }
    }
}

/// Whether a pattern can stand for more than one name.
pub(crate) fn is_pattern(pattern: &[u8]) -> bool {
    pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// The pattern behind its first element, if that fits the octet.
fn step(pattern: &[u8], octet: Option<u8>) -> Option<&[u8]> {
    let octet = octet?;
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => match class(rest, octet) {
            Some((true, behind)) => Some(behind),
            Some((false, _)) => None,
            None => (octet == b'[').then_some(rest),
        },
        [b'\\', literal, rest @ ..] => (*literal == octet).then_some(rest),
        [literal, rest @ ..] => (*literal == octet).then_some(rest),
        [] => None,
    }
}

/// Whether the octet is in the class that the pattern begins with, and what is behind the class;
/// `None` if no bracket closes it.
fn class(pattern: &[u8], octet: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut found, mut first) = (false, true);
    loop {
        match rest {
            [b']', behind @ ..] if !first => return Some((found != negated, behind)),
            [low, b'-', high, behind @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&octet);
                rest = behind;
            }
            [one, behind @ ..] => {
                found |= *one == octet;
                rest = behind;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "a", true),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[", "[", true),
            ("[a-", "[a-", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_exponential_time() {
        let pattern = "a*".repeat(50);
        assert!(!fits(format!("{pattern}b").as_bytes(), "a".repeat(500).as_bytes()));
    }
}
