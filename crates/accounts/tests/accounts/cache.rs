//! What is remembered of right passwords, and for how long.

use std::time::Duration;

use waft_accounts::{AccountSpec, VerifierOptions};

use super::support::{PASSWORD, QUICK, SLOW, Setup, accepted, denied, takes_work};

/// `pässword`, with another salt and method.
const OTHER: &str = "$2b$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG";

fn specs(setup: &Setup) -> [AccountSpec; 3] {
    [setup.spec("slow", SLOW), setup.spec("alice", QUICK), setup.spec("bob", QUICK)]
}

#[tokio::test]
async fn a_right_password_takes_no_work_the_second_time() {
    let setup = Setup::narrow(VerifierOptions::default());
    let accounts = setup.accounts(&specs(&setup));
    assert!(takes_work(&accounts, "alice", PASSWORD).await);
    accepted(&accounts, "alice", PASSWORD).await;
    assert!(!takes_work(&accounts, "alice", PASSWORD).await);
    assert!(takes_work(&accounts, "alice", "wrong").await);
    assert!(takes_work(&accounts, "bob", PASSWORD).await, "the same password of another account");
}

#[tokio::test]
async fn a_wrong_password_is_not_remembered() {
    let setup = Setup::narrow(VerifierOptions::default());
    let accounts = setup.accounts(&specs(&setup));
    denied(&accounts, "alice", "wrong").await;
    denied(&accounts, "alice", "wrong").await;
    assert!(takes_work(&accounts, "alice", "wrong").await);
}

#[tokio::test(start_paused = true)]
async fn a_right_password_is_forgotten_after_a_while_used_or_not() {
    let setup = Setup::narrow(VerifierOptions {
        remember: Duration::from_secs(60),
        ..VerifierOptions::default()
    });
    let accounts = setup.accounts(&specs(&setup));
    accepted(&accounts, "alice", PASSWORD).await;
    tokio::time::advance(Duration::from_millis(59_900)).await;
    assert!(!takes_work(&accounts, "alice", PASSWORD).await);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(takes_work(&accounts, "alice", PASSWORD).await);
    accepted(&accounts, "alice", PASSWORD).await;
    assert!(!takes_work(&accounts, "alice", PASSWORD).await);
}

#[tokio::test]
async fn a_new_configuration_keeps_what_is_remembered_of_unchanged_accounts() {
    let setup = Setup::narrow(VerifierOptions::default());
    let before = setup.accounts(&specs(&setup));
    accepted(&before, "alice", PASSWORD).await;
    let after = setup.accounts(&specs(&setup));
    assert!(!takes_work(&after, "alice", PASSWORD).await);
}

#[tokio::test]
async fn a_changed_stored_password_is_verified_anew() {
    let setup = Setup::narrow(VerifierOptions::default());
    let mut specs = specs(&setup);
    accepted(&setup.accounts(&specs), "alice", PASSWORD).await;
    specs[1].password = Some(OTHER.to_owned());
    let same_password = setup.accounts(&specs);
    assert!(takes_work(&same_password, "alice", PASSWORD).await);
    accepted(&same_password, "alice", PASSWORD).await;
    specs[1].password = Some(SLOW.to_owned());
    let other_password = setup.accounts(&specs);
    assert_eq!(denied(&other_password, "alice", PASSWORD).await, "wrong password");
}

#[tokio::test]
async fn a_disabled_account_is_refused_with_work_though_its_password_is_remembered() {
    let setup = Setup::narrow(VerifierOptions::default());
    let mut specs = specs(&setup);
    accepted(&setup.accounts(&specs), "alice", PASSWORD).await;
    specs[1].enabled = false;
    let accounts = setup.accounts(&specs);
    assert_eq!(denied(&accounts, "alice", PASSWORD).await, "account disabled");
    assert!(takes_work(&accounts, "alice", PASSWORD).await);
}

#[tokio::test]
async fn no_more_is_remembered_than_may_be() {
    let setup = Setup::narrow(VerifierOptions { remembered_max: 1, ..VerifierOptions::default() });
    let accounts = setup.accounts(&specs(&setup));
    accepted(&accounts, "alice", PASSWORD).await;
    accepted(&accounts, "bob", PASSWORD).await;
    assert!(takes_work(&accounts, "alice", PASSWORD).await, "the older one is gone");
    assert!(!takes_work(&accounts, "bob", PASSWORD).await);
}

#[tokio::test]
async fn nothing_is_remembered_where_that_is_wished() {
    for options in [
        VerifierOptions { remember: Duration::ZERO, ..VerifierOptions::default() },
        VerifierOptions { remembered_max: 0, ..VerifierOptions::default() },
    ] {
        let setup = Setup::narrow(options);
        let accounts = setup.accounts(&specs(&setup));
        accepted(&accounts, "alice", PASSWORD).await;
        assert!(takes_work(&accounts, "alice", PASSWORD).await);
    }
}
