//! http-01 (RFC 8555, section 8.3): a text at a URL.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What stands before the token in the path.
const PATH: &str = "/.well-known/acme-challenge/";

/// Texts by token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts(Arc<Mutex<HashMap<String, String>>>);

impl Texts {
    pub(super) fn add(&self, token: &str, text: &str) {
        self.locked(|texts| texts.insert(token.to_owned(), text.to_owned()));
    }

    pub(super) fn clear(&self) {
        self.locked(HashMap::clear);
    }

    fn locked<T>(&self, with: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn response(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let token = request.uri().path().strip_prefix(PATH);
        let text = token.and_then(|token| self.locked(|texts| texts.get(token).cloned()));
        let mut response = Response::default();
        match text {
            Some(text) if request.method() == Method::GET => {
                let octets = HeaderValue::from_static("application/octet-stream");
                response.headers_mut().insert(CONTENT_TYPE, octets);
                *response.body_mut() = Full::from(text);
            }
            _ => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        response
    }
}

/// Answers one request.
pub(super) async fn answer(stream: TcpStream, texts: Texts) {
    let service = service_fn(move |request| {
        let response = texts.response(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection =
        http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // Whoever does not talk HTTP is no authority.
    let _ = connection.await;
}
