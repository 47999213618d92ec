//! A web for one test.

use std::cell::RefCell;

use crate::http::{Error, Request, Response};

type Answer = Box<dyn Fn(&Request) -> Result<Response, Error>>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// Answers the requests of this test; without it, all are denied.
pub fn answer_http(answer: impl Fn(&Request) -> Result<Response, Error> + 'static) {
    ANSWER.set(Some(Box::new(answer)));
}

/// A response without headers.
pub fn response(status: u16, body: &[u8]) -> Response {
    Response { status, headers: Vec::new(), body: body.to_vec() }
}

pub(crate) fn fetch(request: &Request) -> Result<Response, Error> {
    ANSWER.with_borrow(|answer| match answer {
        Some(answer) => answer(request),
        None => Err(Error::Denied("no test has said what the web answers".to_owned())),
    })
}
