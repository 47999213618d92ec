//! Does what a plugin must not do, so that the host's tests can see it survived.
//!
//! Settings: `start`, `command` and `reply` name a misdeed each, for when the instance starts and
//! for the two hooks; `verbs` are the commands that the hooks misbehave with, all by default, and
//! all others pass; `harmless` are further ones that it is asked about. The misdeeds are those of
//! [`Misdeed`], in kebab case.

#![forbid(unsafe_code)]

mod misdeed;

pub use misdeed::Misdeed;
use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, ReplyFilter, Section,
    Session, Settings,
};

/// What to do, and with which commands.
#[derive(Debug)]
pub struct Hostile {
    command: Option<Misdeed>,
    reply: Option<Misdeed>,
    verbs: Vec<String>,
    harmless: Vec<String>,
}

impl Plugin for Hostile {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let start = misdeed(&root, "start");
        let plugin = Self {
            command: misdeed(&root, "command"),
            reply: misdeed(&root, "reply"),
            verbs: root.texts("verbs"),
            harmless: root.texts("harmless"),
        };
        settings.finish()?;
        match start {
            Some(Misdeed::Fail) => Err("refused to start,\r\nas told\0".to_owned()),
            Some(misdeed) => {
                misdeed.commit(None);
                Ok(plugin)
            }
            None => Ok(plugin),
        }
    }

    fn interest(&self) -> Interest {
        let interest = Interest::everything();
        if self.verbs.is_empty() {
            return interest;
        }
        let commands = self.verbs.iter().chain(&self.harmless);
        interest.in_commands(commands).in_replies_to(self.verbs.iter())
    }
}

impl CommandFilter for Hostile {
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision {
        match self.command {
            Some(misdeed) if self.is_meant(command) => {
                misdeed.commit(Some(session));
                misdeed.decision()
            }
            _ => CommandDecision::Pass,
        }
    }
}

impl ReplyFilter for Hostile {
    fn on_reply(&self, session: Session<'_>, command: &Command, _: &Reply) -> Option<Reply> {
        let misdeed = self.reply.filter(|_| self.is_meant(command))?;
        misdeed.commit(Some(session));
        misdeed.reply()
    }
}

impl Hostile {
    fn is_meant(&self, command: &Command) -> bool {
        self.verbs.is_empty() || self.verbs.contains(&command.verb)
    }
}

fn misdeed(root: &Section<'_>, key: &str) -> Option<Misdeed> {
    let name = root.text(key)?;
    let found = Misdeed::named(&name);
    if found.is_none() {
        root.mistake(key, format_args!("no such misdeed: {name}"));
    }
    found
}

waft_plugin_sdk::export!(Hostile: command_filter, reply_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    fn decide(values: &[(&str, &str)], verb: &str) -> CommandDecision {
        let plugin = Hostile::new(&Settings::of(values.iter().copied())).unwrap();
        plugin.on_command(TestSession::new().session(), &Command::new(verb, None))
    }

    #[test]
    fn other_commands_pass() {
        let values = [("command", "trap"), ("verbs", "NOOP")];
        assert_eq!(decide(&values, "PWD"), CommandDecision::Pass);
    }

    #[test]
    fn a_misdeed_is_done_with_the_commands_meant() {
        let values = [("command", "code-999"), ("verbs.0", "NOOP")];
        let CommandDecision::Answer(reply) = decide(&values, "NOOP") else { panic!("passed") };
        assert_eq!(reply.code, 999);
        assert_eq!(
            decide(&[("command", "rewrite-to-pasv")], "NOOP"),
            CommandDecision::Rewrite(Command::new("PASV", None))
        );
    }

    #[test]
    fn an_unknown_misdeed_is_refused() {
        let mistake = Hostile::new(&Settings::of([("reply", "smile")])).unwrap_err();
        assert_eq!(mistake, "reply: no such misdeed: smile");
    }
}
