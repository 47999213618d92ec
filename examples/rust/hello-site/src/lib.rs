//! Answers SITE HELLO.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{Interest, Plugin, Reply, Session, Settings, SiteCommand};

struct HelloSite;

impl Plugin for HelloSite {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }

    fn interest(&self) -> Interest {
        Interest::nothing().with_site("SITE HELLO", "SITE HELLO: says hello")
    }
}

impl SiteCommand for HelloSite {
    fn on_site(&self, session: Session<'_>, _: &str, arg: Option<&str>) -> Reply {
        match arg {
            Some(_) => Reply::new(501, "SITE HELLO takes no argument."),
            None => Reply::new(200, format!("Hello, {}.", session.user().unwrap_or_default())),
        }
    }
}

waft_plugin_sdk::export!(HelloSite: site_command);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn whoever_has_logged_in_is_greeted() {
        let session = TestSession::new().user("bob");
        let said = |arg| HelloSite.on_site(session.session(), "SITE HELLO", arg);
        assert_eq!(said(None), Reply::new(200, "Hello, bob."));
        assert_eq!(said(Some("there")).code, 501);
    }
}
