//! Files and words that do not belong here.

use std::path::Path;

/// What is built is not kept: it would go stale, and nobody could read what it does.
const BUILT: [&str; 2] = ["wasm", "cwasm"];

/// Parts of paths that exist on one machine only: in somebody's home. They are put together here
/// so that this file is not one of those they are found in.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/.car", "go/registry"), concat!("/.rust", "up/toolchains"), concat!("/root/", ".")];

/// Folders of tests that all run with the clock at a stand.
const MOVES_CLOCK: [&str; 1] = ["crates/server/tests/support"];

/// Words of the standard library that a crate must do without, because it is to have no part in
/// what they do.
const BEYOND: [(&str, &[&str]); 1] = [(
    "crates/proto/src",
    &[
        "std::fs",
        "std::process",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "SystemTime::now",
        "Instant::now",
        "async fn",
        ".await",
    ],
)];

/// Says that a file is one that is built.
pub(super) fn forbidden_file(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?;
    BUILT.contains(&extension).then(|| format!("{}: a built file", path.display()))
}

/// Names every line with a path that exists on one machine only.
pub(super) fn machine_paths(path: &Path, text: &str) -> Vec<String> {
    found(path, text, &MACHINE_PATHS)
}

/// Names every sleep in a test: it is too short on a slow machine, and too long on all others.
///
/// Where the clock stands still, a sleep is how it is moved: such a file says so itself, or is one
/// of [`MOVES_CLOCK`].
pub(super) fn sleeping_tests(path: &Path, code: &str) -> Vec<String> {
    let is_test = path.iter().any(|part| part == "tests")
        || path.file_stem().is_some_and(|stem| stem == "tests");
    let moves_clock = MOVES_CLOCK.iter().any(|folder| path.starts_with(folder))
        || ["start_paused", "time::pause()"].iter().any(|word| code.contains(word));
    let is_real = !moves_clock || code.contains("thread::sleep(");
    if is_test && is_real { found(path, code, &["sleep("]) } else { Vec::new() }
}

/// Names every word that the file's crate must do without.
pub(super) fn beyond_the_crate(path: &Path, code: &str) -> Vec<String> {
    let rules = BEYOND.iter().filter(|(folder, _)| path.starts_with(folder));
    rules.flat_map(|(_, words)| found(path, code, words)).collect()
}

fn found(path: &Path, text: &str, words: &[&str]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(**word)) {
            breaches.push(format!("{}:{}: {word}", path.display(), number + 1));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_not_kept() {
        assert!(forbidden_file(Path::new("plugins/a/a.wasm")).is_some());
        assert!(forbidden_file(Path::new("wit/a.wit")).is_none());
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let text = format!("fine\nsee {}/x", MACHINE_PATHS[2]);
        assert_eq!(machine_paths(Path::new("README.md"), &text).len(), 1);
    }

    #[test]
    fn only_tests_must_not_sleep() {
        let code = "tokio::time::sleep(second).await;";
        assert_eq!(sleeping_tests(Path::new("crates/a/tests/b.rs"), code).len(), 1);
        assert_eq!(sleeping_tests(Path::new("tests/b.rs"), code).len(), 1);
        assert!(sleeping_tests(Path::new("crates/a/src/b.rs"), code).is_empty());
    }

    #[test]
    fn a_test_may_move_a_clock_that_stands_still() {
        let path = Path::new("crates/a/tests/b.rs");
        let code = "#[tokio::test(start_paused = true)] async fn f() { sleep(second).await }";
        assert!(sleeping_tests(path, code).is_empty());
        let code = "tokio::time::pause(); std::thread::sleep(second);";
        assert_eq!(sleeping_tests(path, code).len(), 1);
    }

    #[test]
    fn the_protocol_reads_no_clock() {
        let code = "let now = std::time::Instant::now();";
        assert_eq!(beyond_the_crate(Path::new("crates/proto/src/a.rs"), code).len(), 1);
        assert!(beyond_the_crate(Path::new("crates/server/src/a.rs"), code).is_empty());
    }
}
