//! Lets a guest in, whatever the password, to look and to fetch.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{
    Account, AuthDecision, Authenticator, Credentials, Plugin, Session, Settings,
};

/// Who is let in.
const NAME: &str = "guest";

struct GuestLogin {
    directory: String,
}

impl Plugin for GuestLogin {
    fn new(settings: &Settings) -> Result<Self, String> {
        let directory = settings.root().text("directory");
        settings.finish()?;
        directory.map(|directory| Self { directory }).ok_or("directory: is missing".to_owned())
    }
}

impl Authenticator for GuestLogin {
    /// Who is not known here is left to the next authenticator.
    fn authenticate(&self, _: Session<'_>, credentials: &Credentials) -> AuthDecision {
        match credentials {
            Credentials::Password(offer) if offer.user == NAME => {
                let storage = format!("local:{}", self.directory);
                AuthDecision::Accept(Account::new(NAME, &storage).permit(["list", "read"]))
            }
            _ => AuthDecision::Abstain,
        }
    }
}

waft_plugin_sdk::export!(GuestLogin: authenticator);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn a_guest_may_look_and_others_are_left_to_others() {
        let plugin = GuestLogin::new(&Settings::of([("directory", "/srv")])).unwrap();
        let session = TestSession::new();
        let login = |name| plugin.authenticate(session.session(), &Credentials::of_user(name));
        assert_eq!(login("alice"), AuthDecision::Abstain);
        let AuthDecision::Accept(account) = login("guest") else { panic!("refused") };
        assert_eq!(account.permissions, ["list", "read"]);
    }
}
