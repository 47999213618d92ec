//! The result: tables of Markdown, in a file beside what people have written, or on stdout.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::files;

/// Puts a section in its place: between its marks in a file, or at the end of one that has none.
///
/// # Errors
/// The file cannot be read or written.
pub(super) fn put(out: Option<&Path>, name: &str, text: &str) -> Result<()> {
    let Some(file) = out else {
        return Ok(io::stdout().write_all(format!("{text}\n").as_bytes())?);
    };
    let present = match fs::read_to_string(file) {
        Ok(present) => present,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    files::put(file, replaced(&present, name, text).as_bytes())
}

/// A text with what stands between the marks of a section exchanged.
fn replaced(text: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- bench:{name} -->\n"), format!("<!-- /bench:{name} -->\n"));
    let section = format!("{begin}\n{}\n\n{end}", section.trim_end());
    let parts = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    match parts {
        Some((before, after)) => format!("{before}{section}{after}"),
        None if text.is_empty() => section,
        None => format!("{text}\n{section}"),
    }
}

/// A table of Markdown.
pub(super) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    let rows = rows.iter().map(|row| line(row));
    [line(head), rule].into_iter().chain(rows).collect()
}

/// The middle of some numbers, of which there is one at least.
pub(super) fn median(numbers: &[f64]) -> f64 {
    let sorted = sorted(numbers);
    let middle = sorted.len() / 2;
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        (at(middle.saturating_sub(1)) + at(middle)) / 2.0
    }
}

/// Half the distance from the lowest to the highest, as a share of the middle, in percent.
pub(super) fn spread(numbers: &[f64]) -> f64 {
    let sorted = sorted(numbers);
    let (Some(lowest), Some(highest)) = (sorted.first(), sorted.last()) else { return 0.0 };
    let median = median(numbers);
    if median == 0.0 { 0.0 } else { (highest - lowest) / 2.0 / median * 100.0 }
}

/// The number that so many percent of the others do not exceed.
pub(super) fn percentile(numbers: &[f64], percent: usize) -> f64 {
    let sorted = sorted(numbers);
    let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(place).copied().unwrap_or_default()
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// A number with three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A whole number with commas between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_the_one_before_and_nothing_else() {
        let text = "above\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nbelow\n";
        let new = replaced(text, "a", "new\n");
        assert_eq!(new, "above\n<!-- bench:a -->\n\nnew\n\n<!-- /bench:a -->\nbelow\n");
        assert_eq!(replaced(&new, "a", "new"), new);
    }

    #[test]
    fn a_section_without_marks_comes_last() {
        let section = "<!-- bench:b -->\n\nnew\n\n<!-- /bench:b -->\n";
        assert_eq!(replaced("", "b", "new"), section);
        assert_eq!(replaced("text\n", "b", "new"), format!("text\n\n{section}"));
    }

    #[test]
    fn numbers_are_summed_up() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(spread(&[9.0, 10.0, 12.0]), 15.0);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 99), percentile(&hundred, 50)), (99.0, 50.0));
        assert_eq!(percentile(&[7.0], 99), 7.0);
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        assert_eq!([0.1234, 1.234, 12.34, 1234.5].map(number), ["0.123", "1.23", "12.3", "1234"]);
        assert_eq!([7, 1000, 1_000_000].map(grouped), ["7", "1,000", "1,000,000"]);
    }

    #[test]
    fn a_table_is_markdown() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            table(&row(["a", "b"]), &[row(["1", "2"])]),
            "| a | b |\n|---|---|\n| 1 | 2 |\n"
        );
    }
}
