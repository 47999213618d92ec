//! Denies commands and rewords replies, as the operator wrote it.
//!
//! [`Policy`] is made from the settings once and asked for every command; [`commands`] knows
//! FTP's verbs and the bundles of them that have names. Nothing is remembered from one command to
//! the next.
//!
//! The plugin asks to see only the commands that something here may deny, and only the reply codes
//! that have another text: all others cost the server nothing. Of a session that no rule is about
//! it asks to see no more: rules depend on the user, the address and TLS, and the server asks again
//! when one of them changes. And as it decides by nothing but the command and that, the server
//! remembers what passes: a session that is like another one is not asked about.

#![forbid(unsafe_code)]

mod commands;
mod policy;
mod rule;

pub use policy::Policy;
use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, ReplyFilter, Session,
    Settings,
};

impl Plugin for Policy {
    fn new(settings: &Settings) -> Result<Self, String> {
        Self::read(settings)
    }

    fn interest(&self) -> Interest {
        let interest =
            Interest::everything().in_commands(self.denied_commands()).with_pure_commands();
        if self.reworded_codes().next().is_none() {
            return interest.in_replies_to([""; 0]).in_codes([]);
        }
        interest.in_codes(self.reworded_codes())
    }
}

impl CommandFilter for Policy {
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision {
        let Some(verb) = self.verb(&command.verb) else { return CommandDecision::Pass };
        if let Some(denial) = self.denial(verb, session, command) {
            return CommandDecision::Answer(denial);
        }
        let passing = self.passing_with(session, verb);
        if !passing.is_empty() {
            session.skip_commands(&passing);
        }
        CommandDecision::Pass
    }
}

impl ReplyFilter for Policy {
    fn on_reply(&self, session: Session<'_>, command: &Command, reply: &Reply) -> Option<Reply> {
        self.reworded(session, command, reply)
    }
}

waft_plugin_sdk::export!(Policy: command_filter, reply_filter);
