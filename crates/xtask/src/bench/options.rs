//! The command line of `cargo xtask bench`.

use std::path::PathBuf;
use std::str::FromStr;

/// Where servers to compare with may be unpacked, unless `--peers` says.
const PEERS: &str = "WAFT_BENCH_PEERS";

/// Rounds, unless `--rounds` says.
const ROUNDS: usize = 5;

/// Sessions and entries of the largest step, unless `--max` says.
const MAX: usize = 1_000_000;

/// One of the things that are measured, which is one section of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Functions, by criterion.
    Micro,
    /// waft with plugins against itself without.
    Plugins,
    /// waft against other servers.
    Macro,
    /// More and more sessions and entries.
    Growth,
}

impl Part {
    const ALL: [Part; 4] = [Part::Micro, Part::Plugins, Part::Macro, Part::Growth];

    /// Its name on the command line and in the result.
    pub(super) fn name(self) -> &'static str {
        match self {
            Part::Micro => "micro",
            Part::Plugins => "plugins",
            Part::Macro => "macro",
            Part::Growth => "growth",
        }
    }
}

/// What to measure, and how.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// All, unless some are named.
    pub(super) parts: Vec<Part>,
    /// How often everything is measured.
    pub(super) rounds: usize,
    /// The file for the result; without, stdout.
    pub(super) out: Option<PathBuf>,
    /// A prefix such as `/usr/local` that has other servers in it.
    pub(super) peers: Option<PathBuf>,
    /// The program to measure; without, it is built.
    pub(super) waft: Option<PathBuf>,
    /// Sessions and entries at most, where it is counted up to them.
    pub(super) max: usize,
    /// Where the files are that are served.
    pub(super) directory: Option<PathBuf>,
    /// Whether all of it is as short as can be, and with waft and curl alone.
    pub(super) is_smoke: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parts: Part::ALL.to_vec(),
            rounds: ROUNDS,
            out: None,
            peers: std::env::var_os(PEERS).map(PathBuf::from),
            waft: None,
            max: MAX,
            directory: None,
            is_smoke: false,
        }
    }
}

impl Options {
    /// The shortest run.
    pub(super) fn smoke() -> Self {
        Self { parts: vec![Part::Macro], rounds: 1, is_smoke: true, ..Self::default() }
    }

    /// Reads the command line.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let smoke = arguments.iter().any(|word| word == "--smoke");
        let mut options = if smoke { Self::smoke() } else { Self::default() };
        let mut named = Vec::new();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("a value must follow: {word}"));
            match word.as_str() {
                "--smoke" => {}
                "--rounds" => options.rounds = number(value()?)?,
                "--max" => options.max = number(value()?)?,
                "--out" => options.out = Some(value()?.into()),
                "--peers" => options.peers = Some(value()?.into()),
                "--waft" => options.waft = Some(value()?.into()),
                "--directory" => options.directory = Some(value()?.into()),
                name => named.push(part(name)?),
            }
        }
        if !named.is_empty() {
            options.parts = named;
        }
        Ok(options)
    }
}

fn part(name: &str) -> Result<Part, String> {
    let part = Part::ALL.into_iter().find(|part| part.name() == name);
    part.ok_or_else(|| format!("unknown argument: {name}"))
}

fn number(text: &str) -> Result<usize, String> {
    let number = usize::from_str(text).ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("a number above 0 is needed, not: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn all_parts_are_measured_unless_some_are_named() {
        assert_eq!(parse("").unwrap().parts, Part::ALL);
        let options = parse("growth micro --max 1000 --rounds 3").unwrap();
        assert_eq!(options.parts, [Part::Growth, Part::Micro]);
        assert_eq!((options.max, options.rounds), (1000, 3));
    }

    #[test]
    fn mistakes_on_the_command_line_are_told() {
        assert_eq!(parse("nano").unwrap_err(), "unknown argument: nano");
        assert_eq!(parse("--rounds").unwrap_err(), "a value must follow: --rounds");
        assert_eq!(parse("--rounds 0").unwrap_err(), "a number above 0 is needed, not: 0");
    }

    #[test]
    fn a_short_run_is_one_round_against_waft_alone() {
        let options = parse("--smoke").unwrap();
        assert_eq!((options.parts, options.rounds), (vec![Part::Macro], 1));
    }
}
