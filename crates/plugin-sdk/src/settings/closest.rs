//! "Did you mean": the nearest of some names.

/// Returns the candidate that a mistyped name most likely stands for.
///
/// ```
/// use waft_plugin_sdk::closest;
///
/// assert_eq!(closest("mesage", ["deny", "message"]), Some("message"));
/// assert_eq!(closest("colour", ["deny", "message"]), None);
/// ```
pub fn closest<'a, C>(name: &str, candidates: impl IntoIterator<Item = &'a C>) -> Option<&'a C>
where
    C: AsRef<str> + ?Sized + 'a,
{
    let nearest = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate.as_ref()), candidate))
        .min_by_key(|&(distance, _)| distance)?;
    // A third of the letters may be wrong: more, and it is another word.
    let (distance, candidate) = nearest;
    (distance * 3 <= name.chars().count()).then_some(candidate)
}

/// How many letters must be added, removed, changed, or exchanged with their neighbour, capital
/// letters aside: the optimal string alignment distance, row by row.
fn distance(left: &str, right: &str) -> usize {
    let letters = |text: &str| text.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (left, right) = (letters(left), letters(right));
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
    let (mut before, mut above) = (Vec::new(), (0..=right.len()).collect::<Vec<_>>());
    for (line, letter) in left.iter().enumerate() {
        let mut row = vec![line + 1];
        for (column, other) in right.iter().enumerate() {
            let changed = at(&above, column) + usize::from(letter != other);
            let mut least = changed.min(at(&above, column + 1) + 1).min(at(&row, column) + 1);
            let exchanged = line > 0
                && column > 0
                && left.get(line - 1) == Some(other)
                && right.get(column - 1) == Some(letter);
            if exchanged {
                least = least.min(at(&before, column - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    at(&above, right.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("PORT", "port"), 0);
    }

    #[test]
    fn letters_that_changed_places_are_one_mistake() {
        assert_eq!(distance("netwroks", "networks"), 1);
        assert_eq!(closest("EPTR", ["PORT", "EPRT"]), Some("EPRT"));
    }

    #[test]
    fn another_word_is_no_typing_mistake() {
        assert_eq!(closest("STAT", ["PORT", "EPRT"]), None);
        assert_eq!(closest("EPRTT", ["PORT", "EPRT"]), Some("EPRT"));
    }
}
