//! Decides about logins as its settings say, so that tests can ask for any verdict.
//!
//! Settings: `login = ["NAME VERDICT", …]`, who is not named being none of its business; `storage`,
//! `root`, `permissions`, `limits`, `groups`, `attributes` are those of the account that it accepts.
//!
//! Verdicts: `accept`, `deny TEXT`, `fail TEXT`, `trap`, `need ACCOUNT` (accepts who gave
//! `ACCT ACCOUNT`), `as OTHER` (replaces the name), `forge` (replaces a certificate by another),
//! `verify HASH` (accepts who has that password), `clear PASSWORD` (accepts who shows it that
//! password), `certificate NAME` (accepts a certificate with that name).

#![forbid(unsafe_code)]

use waft_plugin_sdk::{
    Account, AuthDecision, Authenticator, CertificateOffer, Credentials, Plugin, Session, Settings,
    crypto,
};

/// The settings.
#[derive(Debug)]
pub struct Porter {
    login: Vec<String>,
    account: Account,
}

impl Plugin for Porter {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let mut account = Account::new("guest", &root.text("storage").unwrap_or_default());
        account.root = root.text("root").unwrap_or(account.root);
        account.permissions = root.texts("permissions");
        account.limits = root.texts("limits").iter().filter_map(|limit| pair(limit)).collect();
        account.groups = root.texts("groups");
        account.attributes = root.entries("attributes");
        let login = root.texts("login");
        settings.finish().map(|()| Self { login, account })
    }
}

impl Authenticator for Porter {
    fn authenticate(&self, session: Session<'_>, credentials: &Credentials) -> AuthDecision {
        let rule = self.rule(credentials.user());
        let accept = |right| match right {
            true => AuthDecision::Accept(self.account.clone()),
            false => AuthDecision::Deny(Some("wrong".to_owned())),
        };
        match (rule.split_once(' ').unwrap_or((rule, "")), credentials) {
            (("accept", _), _) => accept(true),
            (("deny", text), _) => AuthDecision::Deny(Some(text.to_owned())),
            (("fail", text), _) => AuthDecision::Fail(text.to_owned()),
            (("trap", _), _) => break_down(),
            (("need", wanted), _) => match session.attribute("acct") {
                None => AuthDecision::NeedAccount,
                Some(given) => accept(given == wanted),
            },
            (("as", other), Credentials::Password(_)) => {
                AuthDecision::Replace(Credentials::of_user(other))
            }
            (("forge", _), Credentials::Certificate(offer)) => {
                let sha256 = "0".repeat(64);
                let offer = CertificateOffer { sha256, ..offer.clone() };
                AuthDecision::Replace(Credentials::Certificate(offer))
            }
            (("verify", hash), Credentials::Password(_)) => match crypto::verify_offered(hash) {
                Ok(right) => accept(right),
                Err(error) => AuthDecision::Deny(Some(error)),
            },
            (("clear", wanted), Credentials::Password(offer)) => {
                let shown = offer.password.as_ref().and_then(|password| password.text());
                accept(shown == Some(wanted))
            }
            (("certificate", name), Credentials::Certificate(offer)) => {
                accept(offer.names.iter().any(|known| known == name))
            }
            _ => AuthDecision::Abstain,
        }
    }
}

impl Porter {
    /// What stands behind the name in the first rule that begins with it.
    fn rule(&self, user: &str) -> &str {
        let mut rules = self.login.iter();
        let rest = rules.find_map(|rule| rule.strip_prefix(user)?.strip_prefix(' '));
        rest.unwrap_or_default()
    }
}

/// `NAME = VALUE`
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(" = ")?;
    Some((name.to_owned(), value.to_owned()))
}

#[expect(clippy::panic, reason = "as told")]
fn break_down() -> ! {
    panic!("as told")
}

waft_plugin_sdk::export!(Porter: authenticator);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn it_decides_as_it_is_told() {
        let settings = [("login.0", "alice accept"), ("login.1", "bob as alice")];
        let plugin = Porter::new(&Settings::of(settings)).unwrap();
        let session = TestSession::new();
        let of = |user: &str| plugin.authenticate(session.session(), &Credentials::of_user(user));
        assert!(matches!(of("alice"), AuthDecision::Accept(_)));
        assert_eq!(of("bob"), AuthDecision::Replace(Credentials::of_user("alice")));
        assert_eq!(of("al"), AuthDecision::Abstain);
    }
}
