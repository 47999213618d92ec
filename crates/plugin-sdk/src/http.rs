//! Asking web services. Grant: `http`, with the addresses that may be asked.
//!
//! ```
//! use std::time::Duration;
//!
//! use waft_plugin_sdk::http::{self, Request};
//! use waft_plugin_sdk::testing;
//!
//! testing::answer_http(|request| Ok(testing::response(200, request.url.as_bytes())));
//!
//! let request = Request::post("https://hooks.example.org/ftp", r#"{"file":"a"}"#)
//!     .header("content-type", "application/json")
//!     .timeout(Duration::from_secs(2));
//! let response = http::fetch(request).unwrap();
//! assert_eq!((response.status, response.text()), (200, Some("https://hooks.example.org/ftp")));
//! ```

use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::http as server;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::http as server;

pub use crate::bindings::base::waft::plugin::http::{Error, Request, Response};

/// Sends a request and waits for the response. Meanwhile the call of the hook waits, and its time
/// runs.
///
/// # Errors
/// The grant does not cover the address, or no complete response came. A status of 404 or 500 is
/// a response.
pub fn fetch(request: Request) -> Result<Response, Error> {
    server::fetch(&request)
}

impl Request {
    /// A request without headers or body.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
        }
    }

    /// Asks for something.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Sends something.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", url) }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Waiting no longer than this; the server waits no longer than the hook's budget anyway.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout_ms = Some(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
        self
    }
}

impl Response {
    /// The first header of a name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body, if it is a text.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}
