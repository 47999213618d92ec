use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use waft_accounts::{AccountSpec, Mistake, VerifierOptions};
use waft_core::storage::StoragePlace;
use waft_core::{Permissions, VirtualPath};

use super::support::{PASSWORD, QUICK, SLOW, Setup, accepted, denied, login, takes_work};

#[tokio::test]
async fn who_knows_the_password_gets_the_account() {
    let setup = Setup::new(VerifierOptions::default());
    std::fs::write(setup.directory.path().join("file"), b"x").unwrap();
    let home = VirtualPath::root().join(b"/home/alice").unwrap();
    let accounts = setup.accounts(&[AccountSpec {
        permissions: Permissions::READ_ONLY,
        home: home.clone(),
        sessions_max: 3,
        attributes: vec![("team".to_owned(), "red".to_owned())],
        ..setup.spec("alice", QUICK)
    }]);
    let account = accepted(&accounts, "alice", PASSWORD).await;
    assert_eq!(&*account.name, "alice");
    assert_eq!(account.permissions, Permissions::READ_ONLY);
    assert_eq!(account.home, home);
    assert_eq!(account.sessions_max, Some(3));
    assert_eq!(*account.attributes, [("team".to_owned(), "red".to_owned())]);
    assert!(!account.anonymous);
    let file = VirtualPath::root().join(b"file").unwrap();
    assert_eq!(account.storage.stat(&file).await.unwrap().size, 1);
}

#[tokio::test]
async fn everybody_else_is_refused_and_the_log_knows_why() {
    let setup = Setup::new(VerifierOptions::default());
    let disabled = AccountSpec { enabled: false, ..setup.spec("bob", QUICK) };
    let accounts = setup.accounts(&[setup.spec("alice", QUICK), disabled]);
    for wrong in ["", "password", "pässword ", "pässwor", PASSWORD.to_uppercase().as_str()] {
        assert_eq!(denied(&accounts, "alice", wrong).await, "wrong password");
    }
    assert_eq!(denied(&accounts, "alice", b"\xff\xfe").await, "wrong password");
    assert_eq!(denied(&accounts, "alice", vec![b'x'; 8000]).await, "wrong password");
    assert_eq!(denied(&accounts, "bob", PASSWORD).await, "account disabled");
    assert_eq!(denied(&accounts, "bob", "wrong").await, "account disabled");
    for unknown in ["Alice", "alice ", " alice", "", "anonymous", "ftp", "carol"] {
        assert_eq!(denied(&accounts, unknown, PASSWORD).await, "unknown user");
    }
}

#[tokio::test]
async fn a_password_beyond_the_longest_is_wrong_even_if_it_begins_right() {
    let setup = Setup::new(VerifierOptions::default());
    let longest = "x".repeat(1024);
    let hash = waft_accounts::hash_password(longest.as_bytes()).unwrap();
    let accounts = setup.accounts(&[setup.spec("alice", &hash)]);
    accepted(&accounts, "alice", &longest).await;
    assert_eq!(denied(&accounts, "alice", longest.clone() + "x").await, "wrong password");
}

#[tokio::test]
async fn refusals_take_work_whatever_their_reason() {
    let setup = Setup::narrow(VerifierOptions::default());
    let disabled = AccountSpec { enabled: false, ..setup.spec("bob", QUICK) };
    let accounts =
        setup.accounts(&[setup.spec("slow", SLOW), setup.spec("alice", QUICK), disabled]);
    for (user, password) in
        [("alice", "wrong"), ("carol", PASSWORD), ("bob", PASSWORD), ("bob", "wrong")]
    {
        for _ in 0..2 {
            assert!(takes_work(&accounts, user, password).await, "{user}");
        }
    }
}

#[tokio::test]
async fn without_any_account_unknown_users_take_work_too() {
    let setup = Setup::narrow(VerifierOptions::default());
    let accounts = setup.accounts(&[]);
    assert_eq!(denied(&accounts, "alice", PASSWORD).await, "unknown user");
    assert!(takes_work(&accounts, "alice", PASSWORD).await);
}

#[tokio::test]
async fn anonymous_needs_no_password_where_it_is_configured() {
    let setup = Setup::narrow(VerifierOptions::default());
    let specs = [setup.spec("slow", SLOW)];
    let accounts = setup.try_accounts(&specs, Some(setup.anonymous())).unwrap();
    for name in ["anonymous", "ftp", "Anonymous", "FTP"] {
        let account = accepted(&accounts, name, "guest@example.org").await;
        assert!(account.anonymous);
        assert_eq!(&*account.name, "anonymous");
        assert_eq!(account.permissions, Permissions::READ_ONLY);
        assert_eq!(account.sessions_max, Some(10));
        assert!(!takes_work(&accounts, name, "").await);
    }
    assert_eq!(denied(&accounts, "anonymously", "").await, "unknown user");
}

#[tokio::test]
async fn an_account_named_ftp_comes_before_anonymous() {
    let setup = Setup::new(VerifierOptions::default());
    let specs = [setup.spec("ftp", QUICK)];
    let accounts = setup.try_accounts(&specs, Some(setup.anonymous())).unwrap();
    assert_eq!(denied(&accounts, "ftp", "guest").await, "wrong password");
    assert!(!accepted(&accounts, "ftp", PASSWORD).await.anonymous);
    assert!(accepted(&accounts, "anonymous", "guest").await.anonymous);
}

#[tokio::test]
async fn a_root_that_cannot_be_opened_is_our_fault_and_may_be_mended() {
    let setup = Setup::new(VerifierOptions::default());
    let root = setup.directory.path().join("later");
    let accounts = setup.accounts(&[AccountSpec {
        storage: StoragePlace::Local(root.clone()),
        ..setup.spec("alice", QUICK)
    }]);
    let error = login(&accounts, "alice", PASSWORD).await.unwrap_err();
    assert!(error.to_string().contains("cannot open the root of alice"), "{error}");
    assert_eq!(denied(&accounts, "alice", "wrong").await, "wrong password");
    std::fs::create_dir(root).unwrap();
    accepted(&accounts, "alice", PASSWORD).await;
}

#[tokio::test]
async fn sessions_share_a_storage_and_the_last_one_closes_it() {
    let setup = Setup::new(VerifierOptions::default());
    let other = setup.directory.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let accounts = setup.accounts(&[
        setup.spec("alice", QUICK),
        setup.spec("bob", QUICK),
        AccountSpec { storage: StoragePlace::Local(other), ..setup.spec("carol", QUICK) },
    ]);
    assert_eq!(setup.opened.load(Ordering::Relaxed), 0, "nothing is opened before it is needed");
    let alice = accepted(&accounts, "alice", PASSWORD).await;
    let bob = accepted(&accounts, "bob", PASSWORD).await;
    assert_eq!(setup.opened.load(Ordering::Relaxed), 1);
    let storage = Arc::downgrade(&alice.storage);
    drop(accepted(&accounts, "carol", PASSWORD).await);
    drop((alice, bob));
    assert!(storage.upgrade().is_none());
    drop(accepted(&accounts, "alice", PASSWORD).await);
    assert_eq!(setup.opened.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn all_mistakes_are_told_together_and_no_password_with_them() {
    let setup = Setup::new(VerifierOptions::default());
    let specs = [
        setup.spec("alice", QUICK),
        setup.spec("bob", "secret in the clear"),
        setup.spec("alice", QUICK),
        setup.spec("carol", "$1$salt$hash"),
    ];
    let mistakes = setup.try_accounts(&specs, None).unwrap_err();
    assert_eq!(mistakes.len(), 3);
    assert_eq!(mistakes[1], Mistake::NamedTwice("alice".to_owned()));
    let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("password of account bob: not a password hash"), "{}", told[0]);
    assert!(told[2].ends_with("$1$"), "{}", told[2]);
    assert!(!told.concat().contains("secret"));
    assert!(!format!("{specs:?}").contains("argon2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_wait_for_each_other_up_to_a_number() {
    let parallel = NonZeroUsize::new(2).unwrap();
    let setup =
        Setup::new(VerifierOptions { parallel, waiting_max: 6, ..VerifierOptions::default() });
    let accounts = Arc::new(setup.accounts(&[setup.spec("slow", SLOW)]));
    let logins: Vec<_> = (0..8)
        .map(|_| {
            let accounts = Arc::clone(&accounts);
            tokio::spawn(async move { denied(&accounts, "slow", "x").await })
        })
        .collect();
    for login in logins {
        assert_eq!(login.await.unwrap(), "wrong password");
    }
}

#[tokio::test]
async fn who_comes_when_too_many_wait_is_sent_away_at_once_and_may_come_again() {
    let setup = Setup::narrow(VerifierOptions::default());
    let accounts = setup.accounts(&[setup.spec("slow", SLOW), setup.spec("alice", QUICK)]);
    let (first, second) =
        tokio::join!(login(&accounts, "slow", "x"), login(&accounts, "alice", PASSWORD));
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err().reason, "too many logins at once");
    accepted(&accounts, "alice", PASSWORD).await;
}

#[tokio::test]
async fn who_vanishes_while_waiting_gives_up_the_place() {
    let setup = Setup::new(VerifierOptions {
        parallel: NonZeroUsize::MIN,
        waiting_max: 1,
        ..VerifierOptions::default()
    });
    let accounts = setup.accounts(&[setup.spec("slow", SLOW), setup.spec("alice", QUICK)]);
    let session = async {
        let mut waiting = Box::pin(login(&accounts, "alice", "x"));
        assert!(
            std::future::poll_fn(|context| {
                std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())
            })
            .await
        );
        assert!(login(&accounts, "alice", PASSWORD).await.is_err(), "the one place is taken");
        drop(waiting);
        accepted(&accounts, "alice", PASSWORD).await;
    };
    let (working, ()) = tokio::join!(login(&accounts, "slow", "x"), session);
    assert!(working.is_ok());
}
