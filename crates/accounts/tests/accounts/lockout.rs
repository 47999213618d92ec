use std::net::IpAddr;
use std::time::Duration;

use tokio::time::advance;
use waft_accounts::{Lockout, LockoutOptions};
use waft_core::auth::LoginGuard;

const OPTIONS: LockoutOptions = LockoutOptions {
    failures_per_address: 10,
    failures_per_account: 3,
    window: Duration::from_secs(60),
    duration: Duration::from_secs(600),
    delay_max: Duration::from_secs(10),
    entries_max: 1000,
};

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn fail(lockout: &Lockout, address: &str, user: &str, times: usize) -> Vec<u64> {
    (0..times).map(|_| lockout.note_failure(ip(address), user).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn replies_are_held_back_longer_and_longer() {
    let lockout = Lockout::new(OPTIONS);
    assert_eq!(fail(&lockout, "192.0.2.1", "alice", 7), [0, 1, 2, 4, 8, 10, 10]);
    let lockout = Lockout::new(LockoutOptions { delay_max: Duration::ZERO, ..OPTIONS });
    assert_eq!(fail(&lockout, "192.0.2.1", "alice", 100), [0; 100]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_the_delay_notes_nothing() {
    let lockout = Lockout::new(OPTIONS);
    let ask = || lockout.delay(ip("192.0.2.1"), "alice").as_secs();
    assert_eq!([ask(), ask(), ask()], [0; 3]);
    fail(&lockout, "192.0.2.1", "alice", 2);
    assert_eq!([ask(), ask()], [2; 2]);
    assert_eq!(fail(&lockout, "192.0.2.1", "alice", 1), [2]);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_locked_out_for_the_address_that_failed_and_for_no_other() {
    let lockout = Lockout::new(OPTIONS);
    fail(&lockout, "192.0.2.1", "alice", 2);
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    fail(&lockout, "192.0.2.1", "alice", 1);
    assert!(lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("bob")));
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), None));
    assert!(!lockout.is_locked_out(ip("192.0.2.2"), Some("alice")));
}

#[tokio::test(start_paused = true)]
async fn an_address_is_locked_out_for_all_accounts_after_failures_at_many() {
    let lockout = Lockout::new(OPTIONS);
    for user in 0..9 {
        fail(&lockout, "192.0.2.1", &format!("user{user}"), 1);
    }
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), None));
    fail(&lockout, "192.0.2.1", "user9", 1);
    assert!(lockout.is_locked_out(ip("192.0.2.1"), None));
    assert!(lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    assert!(!lockout.is_locked_out(ip("192.0.2.2"), None));
}

#[tokio::test(start_paused = true)]
async fn strangers_from_everywhere_slow_an_account_down_and_do_not_lock_its_owner_out() {
    let lockout = Lockout::new(OPTIONS);
    for host in 1..=200 {
        fail(&lockout, &format!("198.51.100.{host}"), "alice", 1);
    }
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    assert_eq!(fail(&lockout, "192.0.2.1", "alice", 1), [10]);
    assert_eq!(fail(&lockout, "192.0.2.1", "bob", 1), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_out_ends_and_the_count_begins_anew() {
    let lockout = Lockout::new(OPTIONS);
    fail(&lockout, "192.0.2.1", "alice", 3);
    advance(Duration::from_secs(599)).await;
    assert!(lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    advance(Duration::from_secs(1)).await;
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    assert_eq!(fail(&lockout, "192.0.2.1", "alice", 2), [0, 1]);
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
}

#[tokio::test(start_paused = true)]
async fn failures_while_locked_out_do_not_prolong_it() {
    let lockout = Lockout::new(OPTIONS);
    fail(&lockout, "192.0.2.1", "alice", 3);
    advance(Duration::from_secs(500)).await;
    fail(&lockout, "192.0.2.1", "alice", 1);
    advance(Duration::from_secs(100)).await;
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
}

#[tokio::test(start_paused = true)]
async fn failures_are_forgotten_after_a_quiet_while() {
    let lockout = Lockout::new(OPTIONS);
    fail(&lockout, "192.0.2.1", "alice", 2);
    advance(Duration::from_secs(59)).await;
    assert_eq!(fail(&lockout, "192.0.2.1", "bob", 1), [2], "the address has three by now");
    advance(Duration::from_secs(60)).await;
    assert_eq!(fail(&lockout, "192.0.2.1", "alice", 2), [0, 1]);
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
}

#[tokio::test(start_paused = true)]
async fn a_success_forgets_the_failures_of_that_account_there() {
    let lockout = Lockout::new(OPTIONS);
    for _ in 0..20 {
        fail(&lockout, "192.0.2.1", "alice", 2);
        lockout.note_success(ip("192.0.2.1"), "alice");
    }
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    assert_eq!(fail(&lockout, "192.0.2.1", "alice", 1), [0]);
}

#[tokio::test(start_paused = true)]
async fn who_has_an_account_cannot_clear_failures_at_others_by_logging_in() {
    let lockout = Lockout::new(OPTIONS);
    for victim in 0..10 {
        fail(&lockout, "192.0.2.1", &format!("victim{victim}"), 1);
        lockout.note_success(ip("192.0.2.1"), "mallory");
    }
    assert!(lockout.is_locked_out(ip("192.0.2.1"), None));
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_network_counts_as_one_address_and_a_mapped_address_as_ipv4() {
    let lockout = Lockout::new(OPTIONS);
    for host in 1..=3 {
        fail(&lockout, &format!("2001:db8:0:1:{host}::{host}"), "alice", 1);
    }
    assert!(lockout.is_locked_out(ip("2001:db8:0:1::99"), Some("alice")));
    assert!(!lockout.is_locked_out(ip("2001:db8:0:2::99"), Some("alice")));
    fail(&lockout, "::ffff:192.0.2.1", "alice", 3);
    assert!(lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    assert!(!lockout.is_locked_out(ip("::ffff:192.0.2.2"), Some("alice")));
}

#[tokio::test(start_paused = true)]
async fn zero_failures_mean_never() {
    let never = LockoutOptions { failures_per_address: 0, failures_per_account: 0, ..OPTIONS };
    let lockout = Lockout::new(never);
    fail(&lockout, "192.0.2.1", "alice", 1000);
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
}

#[tokio::test(start_paused = true)]
async fn new_options_hold_for_what_is_remembered() {
    let lockout = Lockout::new(OPTIONS);
    fail(&lockout, "192.0.2.1", "alice", 2);
    lockout.reconfigure(LockoutOptions { failures_per_account: 5, ..OPTIONS });
    fail(&lockout, "192.0.2.1", "alice", 2);
    assert!(!lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
    fail(&lockout, "192.0.2.1", "alice", 1);
    assert!(lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_addresses_and_names_does_not_wash_lock_outs_away() {
    let lockout = Lockout::new(OPTIONS);
    fail(&lockout, "192.0.2.1", "alice", 10);
    for number in 0..20_000_u32 {
        let address = IpAddr::from(number.to_be_bytes());
        lockout.note_failure(address, &format!("user{number}"));
    }
    assert!(lockout.is_locked_out(ip("192.0.2.1"), None));
    assert!(lockout.is_locked_out(ip("192.0.2.1"), Some("alice")));
}
