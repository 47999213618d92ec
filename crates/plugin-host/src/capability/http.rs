//! `http` and `wasi:http`: asking web services, both through the plugin's one gate.

use std::sync::Arc;

use ::http::{HeaderName, HeaderValue, Method, Request as HttpRequest, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Duration, Instant};
use wasmtime_wasi_http::{
    Error as WasiError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use crate::bindings::waft::plugin::http::{Error, Host, Request, Response};
use crate::capability::log::About;
use crate::guest::Guest;
use crate::hook::{Budget, Hook};
use crate::limits;
use crate::services::http::{Gate, NoResponse, is_reserved};

/// What one instance has of it.
pub(crate) struct Http {
    context: WasiHttpCtx,
    door: Door,
}

/// The plugin's gate, for the call in progress.
struct Door {
    /// `None` where nothing may be asked: without the grant, and while it describes itself.
    gate: Option<Arc<Gate>>,
    /// When waiting ends.
    deadline: Instant,
    /// What the call is about.
    about: About,
}

impl Http {
    /// Nothing can be asked yet.
    pub(crate) fn new() -> Http {
        let about = About { generation: 0, session: None, hook: Hook::Lifecycle };
        let door = Door { gate: None, deadline: Instant::now(), about };
        Http { context: WasiHttpCtx::new(), door }
    }

    /// Prepares for one call, which takes no longer than `budget`.
    pub(crate) fn begin(&mut self, gate: Option<&Arc<Gate>>, about: About, budget: Budget) {
        self.door.gate = gate.cloned();
        self.door.about = about;
        if self.door.gate.is_some() {
            let wait = (budget.wall / 100 * limits::HTTP_TIME_PERCENT).min(limits::HTTP_TIME_MAX);
            self.door.deadline = Instant::now() + wait;
        }
    }
}

impl Host for Guest {
    async fn fetch(&mut self, request: Request) -> Result<Response, Error> {
        self.note_more();
        let door = &self.http.door;
        let Some(gate) = &door.gate else {
            return Err(Error::Denied("there is no grant http".to_owned()));
        };
        let asked = request.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        let asked = asked.and_then(|asked| Instant::now().checked_add(asked));
        let deadline = asked.map_or(door.deadline, |asked| asked.min(door.deadline));
        let response = gate.send(self.about, made(request)?, deadline).await?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Response { status, headers, body: body.into() })
    }
}

/// The request as it is sent.
fn made(request: Request) -> Result<HttpRequest<WasiBody>, Error> {
    let wrong = |what: &str| Error::Denied(format!("not {what}"));
    if request.body.len() > limits::HTTP_REQUEST_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let body = Full::new(Bytes::from(request.body)).map_err(|never| match never {});
    let mut made = HttpRequest::new(body.boxed_unsync());
    *made.method_mut() =
        Method::from_bytes(request.method.as_bytes()).map_err(|_| wrong("a method"))?;
    *made.uri_mut() = request.url.parse::<Uri>().map_err(|_| wrong("a URL"))?;
    for (name, value) in request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("a header's name"))?;
        if is_reserved(&name) {
            return Err(Error::Denied(format!("the host sets the header {name}")));
        }
        let value = HeaderValue::from_str(&value).map_err(|_| wrong("a header's value"))?;
        made.headers_mut().append(name, value);
    }
    Ok(made)
}

impl From<NoResponse> for Error {
    fn from(reason: NoResponse) -> Error {
        match reason {
            NoResponse::Denied(why) => Error::Denied(why),
            NoResponse::Timeout => Error::Timeout,
            NoResponse::TooLarge => Error::TooLarge,
            NoResponse::Network(why) => Error::Network(why),
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Http { context, door } = &mut self.http;
        WasiHttpCtxView { hooks: door, table: &mut self.table, ctx: context }
    }
}

type Sent = Result<(::http::Response<WasiBody>, Done), WasiError>;
type Done = Box<dyn Future<Output = Result<(), WasiError>> + Send>;

impl WasiHttpHooks for Door {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_reserved(name)
    }

    fn send_request(
        &mut self,
        request: HttpRequest<WasiBody>,
        options: Option<RequestOptions>,
        _: Done,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (gate, about, deadline) = (self.gate.clone(), self.about, self.deadline);
        let asked = options.and_then(|options| options.first_byte_timeout);
        let asked = asked.and_then(|asked| Instant::now().checked_add(asked));
        let deadline = asked.map_or(deadline, |asked| asked.min(deadline));
        Box::new(async move {
            let gate = gate.ok_or(WasiError::HttpRequestDenied)?;
            let response = gate.send(about, request, deadline).await?;
            let response = response.map(|body| body.map_err(WasiError::from).boxed_unsync());
            let done: Done = Box::new(std::future::ready(Ok(())));
            Ok((response, done))
        })
    }
}

impl From<NoResponse> for WasiError {
    fn from(reason: NoResponse) -> WasiError {
        match reason {
            NoResponse::Denied(_) => WasiError::HttpRequestDenied,
            NoResponse::Timeout => WasiError::HttpResponseTimeout,
            NoResponse::TooLarge => WasiError::HttpResponseBodySize(None),
            NoResponse::Network(why) => WasiError::InternalError(Some(why)),
        }
    }
}
