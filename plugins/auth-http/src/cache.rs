//! Answers that hold for a while.
//!
//! They are in this instance's memory and nowhere else, found by an HMAC whose key was drawn when
//! the instance began: no password is kept, and nothing outlives the plugin. The server has several
//! instances, of which each learns for itself.

use std::cell::RefCell;
use std::time::Duration;

use waft_plugin_sdk::{clock, crypto};

use crate::answer::Answer;

/// How many are kept; then the one that holds shortest gives way.
const ANSWERS_MAX: usize = 1000;

const KEY_BYTES: u32 = 32;

/// The answers.
#[derive(Debug)]
pub(crate) struct Cache {
    lifetime: Duration,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Drawn with the first answer: a plugin that is only asked what it wants needs none.
    key: Vec<u8>,
    /// The oldest first.
    answers: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    tag: Vec<u8>,
    /// Nanoseconds of the monotonic clock.
    until: u64,
    answer: Answer,
}

impl Cache {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, inner: RefCell::default() }
    }

    /// The answer to a question, if it still holds.
    pub(crate) fn get(&self, question: &[u8]) -> Option<Answer> {
        let mut inner = self.inner.borrow_mut();
        inner.forget(clock::monotonic_ns());
        if inner.answers.is_empty() {
            return None;
        }
        let tag = crypto::hmac_sha256(&inner.key, question);
        let kept = inner.answers.iter().find(|kept| kept.tag == tag);
        kept.map(|kept| kept.answer.clone())
    }

    /// Forgets the answer to a question.
    pub(crate) fn forget(&self, question: &[u8]) {
        let mut inner = self.inner.borrow_mut();
        if !inner.answers.is_empty() {
            let tag = crypto::hmac_sha256(&inner.key, question);
            inner.answers.retain(|kept| kept.tag != tag);
        }
    }

    /// Keeps an answer to a question that has none.
    pub(crate) fn put(&self, question: &[u8], answer: &Answer) {
        let mut inner = self.inner.borrow_mut();
        if inner.key.is_empty() {
            inner.key = crypto::random(KEY_BYTES);
        }
        if inner.answers.len() >= ANSWERS_MAX {
            inner.answers.remove(0);
        }
        let tag = crypto::hmac_sha256(&inner.key, question);
        let lifetime = u64::try_from(self.lifetime.as_nanos()).unwrap_or(u64::MAX);
        let until = clock::monotonic_ns().saturating_add(lifetime);
        inner.answers.push(Kept { tag, until, answer: answer.clone() });
    }
}

impl Inner {
    fn forget(&mut self, now: u64) {
        self.answers.retain(|kept| now < kept.until);
    }
}

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::{advance_clock, set_clock};

    use super::*;

    fn answer(home: &str) -> Answer {
        Answer::read(format!("{{\"home\":\"/{home}\"}}").as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_holds_for_its_question_and_its_time() {
        set_clock(0);
        let cache = Cache::new(Duration::from_secs(60));
        assert_eq!(cache.get(b"a"), None);
        cache.put(b"a", &answer("a"));
        advance_clock(Duration::from_secs(59));
        assert_eq!(cache.get(b"a"), Some(answer("a")));
        assert_eq!(cache.get(b"b"), None);
        advance_clock(Duration::from_secs(1));
        assert_eq!(cache.get(b"a"), None);
    }

    #[test]
    fn an_answer_is_forgotten_alone() {
        set_clock(0);
        let cache = Cache::new(Duration::from_secs(60));
        cache.forget(b"a");
        cache.put(b"a", &answer("a"));
        cache.put(b"b", &answer("b"));
        cache.forget(b"a");
        assert_eq!((cache.get(b"a"), cache.get(b"b")), (None, Some(answer("b"))));
    }

    #[test]
    fn the_oldest_gives_way_where_there_are_too_many() {
        set_clock(0);
        let cache = Cache::new(Duration::from_secs(60));
        for number in 0..=ANSWERS_MAX {
            cache.put(number.to_string().as_bytes(), &answer("a"));
        }
        assert_eq!(cache.get(b"0"), None);
        assert!(cache.get(b"1").is_some() && cache.get(b"1000").is_some());
        assert_eq!(cache.inner.borrow().answers.len(), ANSWERS_MAX);
    }
}
