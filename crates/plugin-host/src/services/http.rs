//! The gate to web services: everything that a plugin asks over HTTP goes through it, whether it
//! imports `waft:plugin/http` or `wasi:http`.
//!
//! A request is judged twice: its URL by the operator's list, and then the address that its host
//! turns out to have ([`address`]), to which, and to no other, the connection is made. Redirects are
//! responses: a plugin that follows one asks anew. Waiting ends before the call of the hook does, so
//! that the guest hears of it.

mod address;
mod body;
mod connect;
mod outcome;
mod url;

use std::error::Error as _;
use std::sync::Arc;

use ::http::{HeaderName, Request, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime_wasi_http::WasiBody;

use crate::capability::log::{self, About};
use crate::limits;
use crate::settings::HttpGrant;
use crate::stand_ins::{NoWebResponse, StandIns, WebRequest};
use body::{Watched, plain};
use connect::{Connector, Prohibited};
pub(crate) use outcome::HttpCounts;
use outcome::Outcomes;
use url::Allowed;
pub use url::check_url;

/// The way of one plugin to web services.
pub(crate) struct Gate {
    plugin: String,
    allowed: Vec<Allowed>,
    client: Client<Connector, WasiBody>,
    slots: Arc<Semaphore>,
    outcomes: Arc<Outcomes>,
    /// For lines about what was denied.
    complaints: log::Gate,
    stand_ins: Option<Arc<dyn StandIns>>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoResponse {
    /// It may not be asked for.
    #[error("{0}")]
    Denied(String),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// Too many octets.
    #[error("too large")]
    TooLarge,
    /// The network, TLS, or what the service said.
    #[error("{0}")]
    Network(String),
}

/// Headers that say how a message is transported, which is the host's business.
const RESERVED: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Whether only the host sets that header.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(name)
}

impl Gate {
    /// The gate for what a plugin is granted.
    ///
    /// # Errors
    /// A URL of the grant is none.
    pub(crate) fn new(
        plugin: &str,
        grant: &HttpGrant,
        stand_ins: Option<Arc<dyn StandIns>>,
    ) -> Result<Gate, String> {
        let allowed: Result<Vec<Allowed>, String> =
            grant.urls.iter().map(|url| Allowed::new(url)).collect();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::HTTP_IDLE_MAX)
            .pool_max_idle_per_host(limits::HTTP_REQUESTS_MAX)
            .build(Connector::new(grant.private));
        Ok(Gate {
            plugin: plugin.to_owned(),
            allowed: allowed?,
            client,
            slots: Arc::new(Semaphore::new(limits::HTTP_REQUESTS_MAX)),
            outcomes: Arc::default(),
            complaints: log::Gate::new(limits::COMPLAINTS_MAX),
            stand_ins,
        })
    }

    /// Sends a request of a call and waits for the beginning of the response, until `deadline`.
    ///
    /// # Errors
    /// There is no response.
    pub(crate) async fn send(
        &self,
        about: About,
        request: Request<WasiBody>,
        deadline: Instant,
    ) -> Result<Response<Watched>, NoResponse> {
        let waiting = self.outcomes.began();
        let sent = self.pass(request, deadline).await;
        match &sent {
            Ok(_) => waiting.answered(),
            Err(error) => waiting.ended(error.into()),
        }
        if let Err(NoResponse::Denied(reason)) = &sent
            && self.complaints.pass(Instant::now()).is_some()
        {
            tracing::warn!(
                plugin = self.plugin,
                generation = about.generation,
                session = about.session.map(|session| session.0),
                hook = about.hook.name(),
                reason = log::cleaned(reason),
                "request of a plugin denied"
            );
        }
        sent
    }

    async fn pass(
        &self,
        mut request: Request<WasiBody>,
        deadline: Instant,
    ) -> Result<Response<Watched>, NoResponse> {
        *request.uri_mut() = url::judged(request.uri(), &self.allowed)?;
        let sending = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await;
            let slot = slot.map_err(|error| NoResponse::Network(error.to_string()))?;
            let response = match &self.stand_ins {
                Some(world) => answered(&**world, request).await?.map(plain),
                None => {
                    let response = self.client.request(request).await;
                    response.map_err(|error| told(&error))?.map(plain)
                }
            };
            Ok((response, slot))
        };
        let sent = tokio::time::timeout_at(deadline, sending).await;
        let (response, slot) = sent.map_err(|_| NoResponse::Timeout)??;
        let outcomes = Arc::clone(&self.outcomes);
        Ok(response.map(|body| Watched::new(body, deadline, slot, outcomes)))
    }

    /// What requests came to so far.
    pub(crate) fn counts(&self) -> HttpCounts {
        self.outcomes.read()
    }
}

/// What a stand-in answers in the service's place.
async fn answered(
    world: &dyn StandIns,
    request: Request<WasiBody>,
) -> Result<Response<Full<Bytes>>, NoResponse> {
    let failed = |error: &dyn std::fmt::Display| NoResponse::Network(error.to_string());
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|error| failed(&error))?.to_bytes();
    let headers = head.headers.iter();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let response = world.fetch(WebRequest {
        method: head.method.to_string(),
        url: head.uri.to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
        body: body.into(),
    });
    let response = response.map_err(|reason| match reason {
        NoWebResponse::Timeout => NoResponse::Timeout,
        NoWebResponse::Network(reason) => NoResponse::Network(reason),
    })?;
    let mut made = Response::builder().status(response.status);
    for (name, value) in &response.headers {
        made = made.header(name, value);
    }
    made.body(Full::new(response.body.into())).map_err(|error| failed(&error))
}

/// What a client's error comes from.
fn told(error: &ClientError) -> NoResponse {
    let mut source = error.source();
    let mut deepest = error.to_string();
    while let Some(cause) = source {
        if let Some(prohibited) = cause.downcast_ref::<Prohibited>() {
            return NoResponse::Denied(prohibited.to_string());
        }
        // What wraps another error in an IO error hides it from its sources.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(prohibited) = inner.and_then(|inner| inner.downcast_ref::<Prohibited>()) {
            return NoResponse::Denied(prohibited.to_string());
        }
        deepest = cause.to_string();
        source = cause.source();
    }
    NoResponse::Network(deepest)
}
