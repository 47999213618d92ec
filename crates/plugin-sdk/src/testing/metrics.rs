//! What a test has counted.

use std::cell::RefCell;

thread_local! {
    static OBSERVED: RefCell<Vec<(String, f64)>> = const { RefCell::new(Vec::new()) };
    static COUNTED: RefCell<Vec<(String, u64)>> = const { RefCell::new(Vec::new()) };
}

/// The sum of what this test has added to a counter, under all labels.
pub fn counted(name: &str) -> u64 {
    COUNTED.with_borrow(|counts| {
        counts.iter().filter(|(own, _)| own == name).map(|(_, delta)| delta).sum()
    })
}

/// The values of a gauge or a histogram, under all labels, in their order.
pub fn observed(name: &str) -> Vec<f64> {
    OBSERVED.with_borrow(|values| {
        values.iter().filter(|(own, _)| own == name).map(|&(_, value)| value).collect()
    })
}

pub(crate) fn counter(name: &str, delta: u64, _: &[(String, String)]) {
    COUNTED.with_borrow_mut(|counts| counts.push((name.to_owned(), delta)));
}

pub(crate) fn gauge(name: &str, value: f64, _: &[(String, String)]) {
    OBSERVED.with_borrow_mut(|values| values.push((name.to_owned(), value)));
}

pub(crate) fn histogram(name: &str, value: f64, labels: &[(String, String)]) {
    gauge(name, value, labels);
}
