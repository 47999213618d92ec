//! The commands that a plugin brings along, and what FEAT says of it.

use std::collections::BTreeSet;

use waft_core::hooks::SiteCommand;
use waft_proto::Verb;
use waft_proto::verb::SITE_COMMANDS;

use crate::limits;

/// Options that OPTS has for no command of the table.
const OWN_OPTIONS: &[&str] = &["UTF8", "UTF-8"];

/// Reads `descriptor.site`.
///
/// # Errors
/// A name is none, is the server's own, or comes twice; in words.
pub(super) fn commands(said: &[(String, String)]) -> Result<Vec<SiteCommand>, String> {
    let mut seen = BTreeSet::new();
    said.iter()
        .map(|(name, help)| {
            let name = name.to_ascii_uppercase();
            check_name(&name)?;
            check_line(help).map_err(|what| format!("help of {name}: {what}"))?;
            if !seen.insert(name.clone()) {
                return Err(format!("site names {name} twice"));
            }
            Ok(SiteCommand { name, help: help.clone() })
        })
        .collect()
}

/// Reads `descriptor.features`.
///
/// # Errors
/// A line cannot stand in FEAT; in words.
pub(super) fn features(said: &[String]) -> Result<Vec<String>, String> {
    for line in said {
        check_line(line).map_err(|what| format!("features: {what}"))?;
        if line.is_empty() || line.starts_with(' ') {
            return Err(format!("features: not a feature: {line:?}"));
        }
    }
    Ok(said.to_vec())
}

fn check_name(name: &str) -> Result<(), String> {
    let (prefix, word) = match name.split_once(' ') {
        Some((prefix @ ("SITE" | "OPTS"), word)) => (Some(prefix), word),
        Some(_) => return Err(format!("not a command's name: {name:?}")),
        None => (None, name),
    };
    let is_word = (1..=limits::COMMAND_NAME_BYTES_MAX).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    // A verb of its own must pass the parser, which knows letters and digits.
    let is_verb = word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && word.len() <= waft_proto::command::VERB_BYTES_MAX;
    if !is_word || prefix.is_none() && !is_verb {
        return Err(format!("not a command's name: {name:?}"));
    }
    let taken = match prefix {
        Some("SITE") => SITE_COMMANDS.iter().any(|(known, _)| *known == word),
        Some(_) => OWN_OPTIONS.contains(&word) || Verb::from_name(word.as_bytes()).is_some(),
        None => Verb::from_name(word.as_bytes()).is_some(),
    };
    if taken {
        return Err(format!("{name} is a command of the server itself"));
    }
    Ok(())
}

fn check_line(line: &str) -> Result<(), String> {
    let max = limits::DESCRIPTOR_TEXT_BYTES_MAX;
    if line.len() > max {
        return Err(format!("over {max} bytes"));
    }
    if line.chars().any(char::is_control) {
        return Err("a control character".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<Vec<SiteCommand>, String> {
        commands(&[(name.to_owned(), "does it".to_owned())])
    }

    #[test]
    fn names_stand_alone_or_behind_site_or_opts() {
        for name in ["XWHO", "site who", "SITE DISK-USAGE", "OPTS XWHO"] {
            let commands = named(name).unwrap();
            assert_eq!(commands[0].name, name.to_ascii_uppercase());
        }
        for name in ["", "SITE ", "SITE A B", "X WHO", "X-WHO", "XWHO\r\n", "ÄÖ"] {
            assert!(named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn commands_of_the_server_cannot_be_claimed() {
        for name in ["RETR", "SITE CHMOD", "OPTS MLST", "OPTS UTF8", "COMB"] {
            let known = name != "COMB";
            assert_eq!(named(name).is_err(), known, "{name}");
        }
    }

    #[test]
    fn a_name_stands_once_and_help_is_one_line() {
        let entry = ("SITE A".to_owned(), "one".to_owned());
        assert!(commands(&[entry.clone(), entry]).unwrap_err().contains("twice"));
        assert!(commands(&[("SITE A".to_owned(), "a\r\n226 b".to_owned())]).is_err());
        assert!(features(&["XWHO a;b".to_owned()]).is_ok());
        for line in [" XWHO", "", "A\nB"] {
            assert!(features(&[line.to_owned()]).is_err(), "{line:?}");
        }
    }
}
