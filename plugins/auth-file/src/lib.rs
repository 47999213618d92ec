//! Lets the users of a password file log in, or of a list in the settings.
//!
//! [`AuthFile`] decides, [`user`] reads users. The passwords stay with the server: it verifies the
//! one that a client offers, and this plugin is never shown it.

#![forbid(unsafe_code)]

mod user;

use waft_plugin_sdk::{
    Account, AuthDecision, Authenticator, Credentials, Plugin, Session, Settings, crypto,
};

use crate::user::{Defaults, User};

/// The name of the secret that holds the password file.
const FILE: &str = "users";

/// The users that may log in.
#[derive(Debug)]
pub struct AuthFile {
    users: Vec<User>,
}

impl Plugin for AuthFile {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let defaults = Defaults::read(&root);
        let mut users: Vec<User> =
            root.sections("user").iter().filter_map(|user| User::read(user, &defaults)).collect();
        match settings.secret(FILE) {
            Some(file) => match file.text() {
                Some(text) => users.extend(user::of_file(&root, text, &defaults)),
                None => root.mistake(FILE, "the file is not UTF-8"),
            },
            None if users.is_empty() => root.mistake(
                FILE,
                "nobody may log in: grant a file with secrets = { users = \"file:PATH\" }, \
                 or write [[plugin.config.user]]",
            ),
            None => {}
        }
        for (at, user) in users.iter().enumerate() {
            if users.iter().take(at).any(|other| other.name == user.name) {
                root.mistake(FILE, format_args!("stands there twice: {}", user.name));
            }
        }
        settings.finish().map(|()| Self { users })
    }
}

impl Authenticator for AuthFile {
    fn authenticate(&self, _: Session<'_>, credentials: &Credentials) -> AuthDecision {
        let Credentials::Password(offer) = credentials else { return AuthDecision::Abstain };
        let Some(user) = self.users.iter().find(|user| user.name == offer.user) else {
            return AuthDecision::Abstain;
        };
        match crypto::verify_offered(&user.hash) {
            Ok(true) => AuthDecision::Accept(user.account()),
            Ok(false) => AuthDecision::Deny(None),
            Err(reason) => AuthDecision::Deny(Some(reason)),
        }
    }
}

impl User {
    fn account(&self) -> Account {
        let permissions = self.permissions.iter().map(String::as_str);
        let mut account =
            Account::new(&self.name, &format!("local:{}", self.root)).permit(permissions);
        for group in &self.groups {
            account = account.group(group);
        }
        match self.max_sessions {
            Some(sessions) => account.limit("max.sessions", sessions),
            None => account,
        }
    }
}

waft_plugin_sdk::export!(AuthFile: authenticator);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::Secret;
    use waft_plugin_sdk::testing::{TestSession, hash_of, offer_password};

    use super::*;

    fn decide(plugin: &AuthFile, user: &str, password: &str) -> AuthDecision {
        offer_password(password);
        plugin.authenticate(TestSession::new().session(), &Credentials::of_user(user))
    }

    #[test]
    fn users_of_the_file_log_in_with_the_defaults() {
        let file = format!("# members\nalice:{}\n\nbob:{}:x:y\n", hash_of("a"), hash_of("b"));
        let settings = Settings::of([("root", "/srv/{user}"), ("groups", "members")])
            .with_secret(FILE, Secret::new(file));
        let plugin = AuthFile::new(&settings).unwrap();
        let alice = Account::new("alice", "local:/srv/alice").permit(["list", "read"]);
        let accepted = AuthDecision::Accept(alice.group("members"));
        assert_eq!(decide(&plugin, "alice", "a"), accepted);
        assert_eq!(decide(&plugin, "alice", "b"), AuthDecision::Deny(None));
        assert!(matches!(decide(&plugin, "bob", "b"), AuthDecision::Accept(_)));
        assert_eq!(decide(&plugin, "carol", "b"), AuthDecision::Abstain);
    }

    #[test]
    fn users_of_the_settings_have_their_own_facts() {
        let settings = Settings::of([
            ("root", "/srv/{user}"),
            ("user.0.name", "dora"),
            ("user.0.password", &hash_of("d")),
            ("user.0.root", "/srv/all"),
            ("user.0.permissions.0", "list"),
            ("user.0.permissions.1", "write"),
            ("user.0.max_sessions", "2"),
        ]);
        let plugin = AuthFile::new(&settings).unwrap();
        let dora = Account::new("dora", "local:/srv/all").permit(["list", "write"]);
        let accepted = AuthDecision::Accept(dora.limit("max.sessions", 2));
        assert_eq!(decide(&plugin, "dora", "d"), accepted);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let file = format!(
            "alice:$apr1$salt$hash\nbob\neve:{{SHA}}xyz\nmallory:\n../x:{0}\ndora:{0}\n",
            hash_of("x")
        );
        let settings = Settings::of([
            ("root", "srv/{user}"),
            ("permissions.0", "reed"),
            ("user.0.name", "dora"),
            ("user.0.password", &hash_of("d")),
            ("user.1.name", "erin"),
            ("user.2.password", "hunter2"),
            ("rooot", "/x"),
        ]);
        let settings = settings.with_secret(FILE, Secret::new(file));
        assert_eq!(
            AuthFile::new(&settings).unwrap_err().lines().collect::<Vec<_>>(),
            [
                "root: an absolute directory is wanted, such as /srv/ftp/{user}: srv/{user}",
                "permissions.0: no permission, did you mean read: reed",
                "user.1.password: is missing",
                "user.2.name: is missing",
                "user.2.password: not a hash that the server can verify (argon2, bcrypt, scrypt, \
                 pbkdf2, sha-crypt); make one with: waft user hash, or htpasswd -B",
                "users: line 1: Apache's own MD5 (apr1) is not verified here; make another with: \
                 waft user hash, or htpasswd -B",
                "users: line 2: NAME:HASH is wanted",
                "users: line 3: plain SHA-1 is not verified here; make another with: \
                 waft user hash, or htpasswd -B",
                "users: line 4: NAME:HASH is wanted",
                "users: line 5: not a name for a directory: ../x",
                "users: stands there twice: dora",
                "unknown key, did you mean root: rooot",
            ]
        );
    }

    #[test]
    fn without_users_the_operator_learns_how_to_name_some() {
        let mistake = AuthFile::new(&Settings::of([("root", "/srv")])).unwrap_err();
        assert!(mistake.contains("secrets = { users = \"file:PATH\" }"), "{mistake}");
    }
}
