//! Says goodbye in words of its own.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{Command, Interest, Plugin, Reply, ReplyFilter, Session, Settings};

struct KindWords;

impl Plugin for KindWords {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }

    /// No other reply is ever shown to this plugin.
    fn interest(&self) -> Interest {
        Interest::nothing().in_replies_to(["QUIT"]).in_codes([221])
    }
}

impl ReplyFilter for KindWords {
    fn on_reply(&self, session: Session<'_>, _: &Command, reply: &Reply) -> Option<Reply> {
        let user = session.user()?;
        Some(Reply::new(reply.code, format!("Come back soon, {user}.")))
    }
}

waft_plugin_sdk::export!(KindWords: reply_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn who_has_logged_in_is_named() {
        let (quit, goodbye) = (Command::new("QUIT", None), Reply::new(221, "Goodbye."));
        let said = |session: TestSession| KindWords.on_reply(session.session(), &quit, &goodbye);
        assert_eq!(said(TestSession::new().user("bob")).unwrap().lines, ["Come back soon, bob."]);
        assert_eq!(said(TestSession::new()), None);
    }
}
