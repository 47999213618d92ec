//! Mistakes that only show when a configuration is acted on, told like those that
//! `waft-config` finds: with the place that is to be changed, and the remedy.

use waft_config::{Config, Mistake, Mistakes, Origin, Warnings};

/// Makes a mistake about `key`; where it is not written, it points at the nearest table around it
/// that is.
pub(crate) fn mistake(
    config: &Config,
    key: &str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Mistake {
    let around = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(key, _)| key));
    let whole = || match config.files().first() {
        Some(file) => Origin::whole(file),
        None => Origin::command_line(),
    };
    Mistake {
        origin: around.filter_map(|key| config.origin(key)).next().cloned().unwrap_or_else(whole),
        key: key.to_owned(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

/// Returns `value`, unless there are mistakes.
///
/// # Errors
///
/// There are.
pub(crate) fn unless<T>(value: T, mistakes: Vec<Mistake>) -> Result<T, Mistakes> {
    match mistakes.is_empty() {
        true => Ok(value),
        false => Err(Mistakes { mistakes, warnings: Warnings::default() }),
    }
}

/// Returns both values, or the mistakes of both, sorted by place.
///
/// # Errors
///
/// There are mistakes.
pub(crate) fn both<A, B>(
    one: Result<A, Vec<Mistake>>,
    other: Result<B, Vec<Mistake>>,
) -> Result<(A, B), Mistakes> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => {
            let mut mistakes = one.err().unwrap_or_default();
            mistakes.append(&mut other.err().unwrap_or_default());
            mistakes.sort_by(|one, other| one.origin.cmp(&other.origin));
            Err(Mistakes { mistakes, warnings: Warnings::default() })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_mistake_points_at_the_nearest_place_that_is_written() {
        let text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[server]\nname = \"x\"\n";
        let (config, _) = Config::from_text(Path::new("waft.toml"), text).unwrap();
        let place = |key| mistake(&config, key, "m", "r").origin.to_string();
        assert_eq!(place("server.name"), "waft.toml:4:8");
        assert_eq!(place("server.run_as"), config.origin("server").unwrap().to_string());
        assert_eq!(place("users.file"), "waft.toml");
    }
}
