//! Refuses active mode: PORT and EPRT are answered with 502 and a text.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, Session, Settings,
};

/// What clients are told where the operator has written nothing else.
const MESSAGE: &str =
    "Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)";

struct PassiveOnly {
    message: String,
}

impl Plugin for PassiveOnly {
    fn new(settings: &Settings) -> Result<Self, String> {
        let message = settings.root().text("message").unwrap_or_else(|| MESSAGE.to_owned());
        settings.finish().map(|()| Self { message })
    }

    /// No other command is ever shown to this plugin.
    fn interest(&self) -> Interest {
        Interest::everything().in_commands(["PORT", "EPRT"])
    }
}

impl CommandFilter for PassiveOnly {
    fn on_command(&self, _: Session<'_>, _: &Command) -> CommandDecision {
        CommandDecision::Answer(Reply::new(502, &self.message))
    }
}

waft_plugin_sdk::export!(PassiveOnly: command_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn active_mode_is_refused_in_the_operators_words() {
        let plugin = PassiveOnly::new(&Settings::of([("message", "Call us.")])).unwrap();
        let session = TestSession::new().user("alice");
        let port = Command::new("PORT", "127,0,0,1,200,10");
        let decision = plugin.on_command(session.session(), &port);
        assert_eq!(decision, CommandDecision::Answer(Reply::new(502, "Call us.")));
    }
}
