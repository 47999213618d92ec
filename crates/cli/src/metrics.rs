//! Numbers for a monitoring system, over HTTP: one page, in the text format of Prometheus.
//!
//! Whoever reaches the address reads them; there is nothing else here, and nothing to change.

mod text;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use waft_plugin_host::Host;
use waft_server::Server;
use waft_server::net::tcp::TcpNetwork;

use text::Told;

/// Where the numbers are.
const PATH: &str = "/metrics";

/// How long one connection may take, from the first octet to the last.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Connections at the same time; further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// How long nobody is accepted when the system cannot accept, for want of descriptors mostly.
const UNACCEPTING: Duration = Duration::from_secs(1);

/// Whose numbers they are.
#[derive(Clone)]
pub(crate) struct Measured {
    server: Arc<Server<TcpNetwork>>,
    host: Host,
    began: SystemTime,
}

impl Measured {
    /// Those of a server that has just been started.
    pub(crate) fn new(server: &Arc<Server<TcpNetwork>>, host: &Host) -> Self {
        Self { server: Arc::clone(server), host: host.clone(), began: SystemTime::now() }
    }
}

/// The numbers are told as long as this lives.
pub(crate) struct Telling(AbortHandle);

impl Telling {
    /// Answers on a socket that listens. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system refuses to hand the socket over.
    pub(crate) fn start(socket: StdListener, measured: Measured) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let listener = TcpListener::from_std(socket)?;
        tracing::info!(%address, "metrics are told");
        Ok(Self(tokio::spawn(accept(listener, measured)).abort_handle()))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: TcpListener, measured: Measured) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let measured = measured.clone();
                tokio::spawn(async move {
                    // Who takes longer is no monitoring system.
                    let _ = timeout(CONNECTION_MAX, answer(stream, measured)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                sleep(UNACCEPTING).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, measured: Measured) {
    let service = service_fn(move |request| {
        let response = response(&request, &measured);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection =
        http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // Whoever does not talk HTTP wants something else.
    let _ = connection.await;
}

fn response(request: &Request<Incoming>, measured: &Measured) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    if request.uri().path() != PATH {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else {
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        let Measured { server, host, began } = measured;
        *response.body_mut() = Full::from(text::page(&Told {
            began: *began,
            gauges: &server.gauges(),
            counts: &server.counts(),
            status: &host.status(),
            metrics: &host.metrics(),
        }));
    }
    response
}
