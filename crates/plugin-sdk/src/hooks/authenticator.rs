//! Who may log in, and as whom.

use super::{NOT_CONFIGURED, running};
use crate::bindings::authenticator::exports::waft::plugin::authenticator as wire;
use crate::bindings::base::waft::plugin::sessions;
use crate::export::Holder;
use crate::{Plugin, Secret, Session};

pub use wire::{Account, CertificateOffer};

/// Decides who may log in.
///
/// Authenticators are asked in order; the first that accepts or denies is heard, and behind the
/// plugins stand the accounts of the server's own configuration.
///
/// ```
/// use waft_plugin_sdk::testing::{self, TestSession};
/// use waft_plugin_sdk::{
///     Account, AuthDecision, Authenticator, Credentials, Plugin, Session, Settings, crypto, export,
/// };
///
/// struct OneUser {
///     hash: String,
/// }
///
/// impl Plugin for OneUser {
///     fn new(settings: &Settings) -> Result<Self, String> {
///         let hash = settings.root().text("hash").ok_or("hash: is missing")?;
///         settings.finish().map(|()| Self { hash })
///     }
/// }
///
/// impl Authenticator for OneUser {
///     fn authenticate(&self, _: Session<'_>, credentials: &Credentials) -> AuthDecision {
///         match credentials {
///             Credentials::Password(offer) if offer.user == "alice" => {
///                 match crypto::verify_offered(&self.hash) {
///                     Ok(true) => AuthDecision::Accept(
///                         Account::new("alice", "local:/srv/alice").permit(["list", "read"]),
///                     ),
///                     _ => AuthDecision::Deny(None),
///                 }
///             }
///             _ => AuthDecision::Abstain,
///         }
///     }
/// }
///
/// export!(OneUser: authenticator);
///
/// let settings = Settings::of([("hash", testing::hash_of("secret"))]);
/// let plugin = OneUser::new(&settings).unwrap();
/// testing::offer_password("secret");
/// let session = TestSession::new();
/// let decision = plugin.authenticate(session.session(), &Credentials::of_user("alice"));
/// assert!(matches!(decision, AuthDecision::Accept(account) if account.root == "/"));
/// testing::offer_password("wrong");
/// let decision = plugin.authenticate(session.session(), &Credentials::of_user("alice"));
/// assert_eq!(decision, AuthDecision::Deny(None));
/// ```
pub trait Authenticator: Plugin {
    /// Decides about one attempt to log in. Who does not know the user abstains.
    ///
    /// A failed plugin denies: nobody gets in because something broke.
    fn authenticate(&self, session: Session<'_>, credentials: &Credentials) -> AuthDecision;
}

/// What a client offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// USER and PASS.
    Password(PasswordOffer),
    /// USER alone, from a client with a certificate: who abstains leaves it to the password.
    Certificate(CertificateOffer),
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordOffer {
    /// The argument of USER.
    pub user: String,
    /// `None` unless the plugin holds the grant `passwords`: without it
    /// [`crypto::verify_offered`](crate::crypto::verify_offered) tells whether the password fits.
    pub password: Option<Secret>,
}

/// What becomes of an attempt to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthDecision {
    /// Not mine; ask the next authenticator.
    Abstain,
    /// Come in.
    Accept(Account),
    /// Stay out, answered like any wrong password; the text is for the log.
    Deny(Option<String>),
    /// Carry on down the chain with these, for instance with a one-time code split off.
    Replace(Credentials),
    /// 332: called again with `attribute("acct")` set.
    NeedAccount,
    /// I cannot tell, because what I go by cannot be reached or makes no sense: nobody is logged
    /// in, and it does not count against the client. The text is for the log.
    Fail(String),
}

impl Credentials {
    /// A user's name with a password that the plugin does not see.
    pub fn of_user(name: &str) -> Self {
        Self::Password(PasswordOffer { user: name.to_owned(), password: None })
    }

    /// A user's name with a password that the plugin sees.
    pub fn with_password(name: &str, password: &str) -> Self {
        let password = Some(Secret::new(password));
        Self::Password(PasswordOffer { user: name.to_owned(), password })
    }

    /// The argument of USER.
    pub fn user(&self) -> &str {
        match self {
            Self::Password(offer) => &offer.user,
            Self::Certificate(offer) => &offer.user,
        }
    }
}

impl Account {
    /// An account whose files are in a storage, such as `local:/srv/ftp/alice`, or `plugin:NAME`
    /// for the storage that the plugin of that name exports. It may do nothing yet.
    pub fn new(name: &str, storage: &str) -> Self {
        Self {
            name: name.to_owned(),
            storage: storage.to_owned(),
            root: "/".to_owned(),
            permissions: Vec::new(),
            limits: Vec::new(),
            groups: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// With this directory of the storage seen as `/`.
    pub fn root(mut self, directory: &str) -> Self {
        directory.clone_into(&mut self.root);
        self
    }

    /// With these permissions: `list`, `read`, `write`, `append`, `delete`, `rename`, `mkdir`.
    pub fn permit<'a>(mut self, permissions: impl IntoIterator<Item = &'a str>) -> Self {
        self.permissions.extend(permissions.into_iter().map(str::to_owned));
        self
    }

    /// With a limit by name: `max.sessions`, `tls.resumption`. Others are refused, and the login
    /// with them.
    pub fn limit(mut self, name: &str, value: impl ToString) -> Self {
        self.limits.push((name.to_owned(), value.to_string()));
        self
    }

    /// As a member of this group.
    pub fn group(mut self, name: &str) -> Self {
        self.groups.push(name.to_owned());
        self
    }

    /// With a fact that every plugin finds in [`Session::attribute`].
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl From<wire::Credentials> for Credentials {
    fn from(credentials: wire::Credentials) -> Self {
        match credentials {
            wire::Credentials::Password(offer) => Self::Password(PasswordOffer {
                user: offer.user,
                password: offer.password.map(Secret::new),
            }),
            wire::Credentials::Certificate(offer) => Self::Certificate(offer),
        }
    }
}

impl From<Credentials> for wire::Credentials {
    fn from(credentials: Credentials) -> Self {
        match credentials {
            Credentials::Password(offer) => Self::Password(wire::PasswordOffer {
                user: offer.user,
                password: offer.password.and_then(|secret| secret.text().map(str::to_owned)),
            }),
            Credentials::Certificate(offer) => Self::Certificate(offer),
        }
    }
}

impl From<AuthDecision> for wire::AuthDecision {
    fn from(decision: AuthDecision) -> Self {
        match decision {
            AuthDecision::Abstain => Self::Abstain,
            AuthDecision::Accept(account) => Self::Accept(account),
            AuthDecision::Deny(text) => Self::Deny(text),
            AuthDecision::Replace(credentials) => Self::Replace(credentials.into()),
            AuthDecision::NeedAccount => Self::NeedAccount,
            AuthDecision::Fail(text) => Self::Fail(text),
        }
    }
}

impl<H: Holder<Plugin: Authenticator>> wire::Guest for H {
    fn authenticate(
        session: &sessions::Session,
        credentials: wire::Credentials,
    ) -> wire::AuthDecision {
        match running::<H>() {
            Some(plugin) => plugin.authenticate(Session::host(session), &credentials.into()).into(),
            None => wire::AuthDecision::Fail(NOT_CONFIGURED.to_owned()),
        }
    }
}
