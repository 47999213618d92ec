use std::sync::Arc;

use waft_accounts::{AccountSpec, CertificateLogin, LocalAccounts, VerifierOptions};
use waft_core::auth::{Authenticator, Credentials, Secret, Verdict};
use waft_core::session::TlsFacts;
use waft_core::{CertificateName, Resumption, SessionFacts};

use super::support::{PASSWORD, QUICK, SLOW, Setup, accepted, denied, session};

const OTHER: &str = "not the certificate of this account";
const ANOTHERS: &str = "the certificate of another account";

fn names(names: &[&str]) -> Vec<CertificateName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// A session under TLS, whose client has shown a certificate with these names; none for `None`.
fn under_tls(certificate: Option<&[&str]>) -> SessionFacts {
    let tls = TlsFacts {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        server_name: None,
        peer_certificate_sha256: certificate.map(|_| "00".repeat(32)),
        peer_certificate_names: certificate.map(names).unwrap_or_default(),
    };
    SessionFacts { tls: Some(Arc::new(tls)), ..session() }
}

/// What comes of USER: the account, a refusal with its reason, or a question for the password.
async fn user(accounts: &LocalAccounts, session: &SessionFacts, user: &str) -> String {
    let credentials = Credentials::Certificate {
        user: user.to_owned(),
        sha256: "00".repeat(32),
        names: Vec::new(),
    };
    told(accounts.authenticate(session, &credentials).await.unwrap())
}

/// What comes of PASS with the right password.
async fn pass(accounts: &LocalAccounts, session: &SessionFacts, user: &str) -> String {
    let password = Secret::new(PASSWORD.as_bytes().to_vec());
    let credentials = Credentials::Password { user: user.to_owned(), password };
    told(accounts.authenticate(session, &credentials).await.unwrap())
}

fn told(verdict: Verdict) -> String {
    match verdict {
        Verdict::Abstain => "password?".to_owned(),
        Verdict::Accept(account) => format!("in as {}", account.name),
        Verdict::Deny { reason } => reason.to_owned(),
    }
}

/// alice by certificate, bob by certificate and password, carol by password.
fn everybody(setup: &Setup) -> LocalAccounts {
    let alice = AccountSpec {
        certificates: names(&["email:alice@example.org", "cn:alice"]),
        ..setup.spec("alice", QUICK)
    };
    let bob = AccountSpec {
        certificates: names(&["subject:CN=bob,O=Example"]),
        certificate_login: CertificateLogin::WithPassword,
        ..setup.spec("bob", QUICK)
    };
    let specs = [alice, bob, setup.spec("carol", QUICK)];
    setup.try_accounts(&specs, Some(setup.anonymous())).unwrap()
}

#[tokio::test]
async fn a_certificate_logs_in_alone_or_with_the_password_as_the_account_says() {
    let setup = Setup::new(VerifierOptions::default());
    let accounts = everybody(&setup);
    for shown in [&["cn:alice"][..], &["dns:x", "email:alice@EXAMPLE.org"]] {
        let alices = under_tls(Some(shown));
        assert_eq!(user(&accounts, &alices, "alice").await, "in as alice");
        assert_eq!(pass(&accounts, &alices, "alice").await, "in as alice");
    }
    let bobs = under_tls(Some(&["cn:bob", "subject:O=Example,CN=bob"]));
    assert_eq!(user(&accounts, &bobs, "bob").await, "password?");
    assert_eq!(pass(&accounts, &bobs, "bob").await, "in as bob");
}

#[tokio::test]
async fn without_a_certificate_the_password_is_enough_where_one_is_not_needed() {
    let setup = Setup::new(VerifierOptions::default());
    let accounts = everybody(&setup);
    for session in [session(), under_tls(None)] {
        assert_eq!(pass(&accounts, &session, "alice").await, "in as alice");
        assert_eq!(pass(&accounts, &session, "bob").await, "certificate missing");
        assert_eq!(pass(&accounts, &session, "carol").await, "in as carol");
    }
}

#[tokio::test]
async fn a_certificate_is_nobody_elses_and_an_account_takes_no_other() {
    let setup = Setup::new(VerifierOptions::default());
    let accounts = everybody(&setup);
    let alices = under_tls(Some(&["cn:alice"]));
    assert_eq!(user(&accounts, &alices, "bob").await, OTHER);
    assert_eq!(pass(&accounts, &alices, "bob").await, OTHER);
    for name in ["carol", "nobody", "Alice"] {
        assert_eq!(user(&accounts, &alices, name).await, ANOTHERS);
    }
    let strangers = under_tls(Some(&["cn:mallory", "subject:CN=bob,O=Other"]));
    for name in ["alice", "bob"] {
        assert_eq!(user(&accounts, &strangers, name).await, OTHER);
        assert_eq!(pass(&accounts, &strangers, name).await, OTHER);
    }
    // It is nobody's: the password decides.
    assert_eq!(user(&accounts, &strangers, "carol").await, "password?");
    assert_eq!(pass(&accounts, &strangers, "carol").await, "in as carol");
    assert_eq!(user(&accounts, &strangers, "nobody").await, "password?");
    // Anybody may be anonymous, whoever else he is.
    assert_eq!(user(&accounts, &alices, "anonymous").await, "password?");
}

#[tokio::test]
async fn an_account_without_a_password_lets_only_the_certificate_in() {
    let setup = Setup::new(VerifierOptions::default());
    let alice = AccountSpec {
        password: None,
        certificates: names(&["cn:alice"]),
        ..setup.spec("alice", QUICK)
    };
    let disabled = AccountSpec { name: "bob".to_owned(), enabled: false, ..alice.clone() };
    let accounts = setup.accounts(&[alice, disabled]);
    assert_eq!(denied(&accounts, "alice", PASSWORD).await, "no password");
    let alices = under_tls(Some(&["cn:alice"]));
    assert_eq!(user(&accounts, &alices, "alice").await, "in as alice");
    assert_eq!(pass(&accounts, &alices, "alice").await, "no password");
    assert_eq!(user(&accounts, &alices, "bob").await, "account disabled");
}

#[tokio::test]
async fn a_missing_certificate_is_found_after_the_same_work_as_a_wrong_password() {
    let setup = Setup::narrow(VerifierOptions::default());
    let bound = AccountSpec {
        certificates: names(&["cn:bob"]),
        certificate_login: CertificateLogin::WithPassword,
        ..setup.spec("bob", SLOW)
    };
    let bare = AccountSpec { password: None, name: "alice".to_owned(), ..bound.clone() };
    let accounts = setup.accounts(&[setup.spec("slow", SLOW), bound, bare]);
    for user in ["alice", "bob"] {
        assert!(super::support::takes_work(&accounts, user, "x").await, "{user}");
    }
}

#[tokio::test]
async fn what_is_demanded_of_data_connections_is_the_accounts() {
    let setup = Setup::new(VerifierOptions::default());
    let strict =
        AccountSpec { resumption: Some(Resumption::Require), ..setup.spec("alice", QUICK) };
    let accounts = setup.accounts(&[strict, setup.spec("bob", QUICK)]);
    let account = accepted(&accounts, "alice", PASSWORD).await;
    assert_eq!(account.resumption, Some(Resumption::Require));
    assert_eq!(accepted(&accounts, "bob", PASSWORD).await.resumption, None);
}
