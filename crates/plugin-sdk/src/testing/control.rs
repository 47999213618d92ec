//! What a test has done to the server.

use std::cell::RefCell;

thread_local! {
    static BANNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static DISCONNECTED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The networks that this test has banned.
pub fn banned() -> Vec<String> {
    BANNED.with_borrow(Clone::clone)
}

/// The sessions that this test has ended.
pub fn disconnected() -> Vec<u64> {
    DISCONNECTED.with_borrow(Clone::clone)
}

pub(crate) fn disconnect(session: u64, _: &str) -> bool {
    DISCONNECTED.with_borrow_mut(|sessions| sessions.push(session));
    true
}

pub(crate) fn ban(network: &str, _: u32, _: &str) -> Result<(), String> {
    BANNED.with_borrow_mut(|networks| networks.push(network.to_owned()));
    Ok(())
}

pub(crate) fn unban(network: &str) -> Result<(), String> {
    BANNED.with_borrow_mut(|networks| networks.retain(|own| own != network));
    Ok(())
}
