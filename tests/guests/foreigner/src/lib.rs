//! Asks WASI, and what is proposed for it, for what the command says, and answers with what came of
//! it: there is to be nothing behind most of it. It needs the grants `kv` and `http`.
//!
//! | command | what it does |
//! |---|---|
//! | `XWASI environment`, `files`, `input`, `random`, `clocks` | what there is of it |
//! | `XWASI print TEXT`, `complain TEXT` | on standard output, and on the other one |
//! | `XWASI connect ADDRESS PORT`, `resolve NAME` | sockets |
//! | `XHTTP get URL` | a web service: status, then its body |
//! | `XHTTP hold URL N` | as many answers, whose bodies are kept and not read |
//! | `XCONF KEY` | its configuration |
//! | `XLOG CONTEXT TEXT` | a line of the log |
//! | `XKEYS set KEY VALUE`, `get KEY`, `del KEY`, `has KEY`, `inc KEY N`, `list`, `many KEY TIMES`, `open NAME` | its store |

#![forbid(unsafe_code)]

mod keys;
mod world;

use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, Session, Settings,
};

/// Nothing is remembered, but answers of services where that is wanted.
#[derive(Debug)]
pub struct Foreigner;

/// What comes of a command, either way.
type Told = Result<String, String>;

impl Plugin for Foreigner {
    fn new(_: &Settings) -> Result<Self, String> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::everything().in_commands(["XWASI", "XHTTP", "XCONF", "XLOG", "XKEYS"])
    }
}

impl CommandFilter for Foreigner {
    fn on_command(&self, _: Session<'_>, command: &Command) -> CommandDecision {
        let words: Vec<&str> = command.arg.as_deref().unwrap_or_default().split(' ').collect();
        let told = match command.verb.as_str() {
            "XWASI" => world::ask(&words),
            "XHTTP" => world::fetch(&words),
            "XCONF" => keys::configured(&words),
            "XLOG" => keys::log(&words),
            _ => keys::keep(&words),
        };
        CommandDecision::Answer(match told {
            Ok(told) => Reply::new(200, told),
            Err(reason) => Reply::new(500, reason),
        })
    }
}

fn unknown() -> Told {
    Err("no such thing to ask for".to_owned())
}

/// What went wrong, as text.
fn reason(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

waft_plugin_sdk::export!(Foreigner: command_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn what_it_does_not_know_it_does_not_ask_for() {
        let command = Command::new("XWASI", "nonsense");
        let answer = Foreigner.on_command(TestSession::new().session(), &command);
        assert_eq!(answer, CommandDecision::Answer(Reply::new(500, "no such thing to ask for")));
    }
}
