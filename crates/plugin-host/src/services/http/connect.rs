//! From the host of a URL to a connection: resolved, judged by address, connected to that address,
//! and under TLS the host's.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use ::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::address::{Reach, reach};
use crate::load::blocking;

/// Makes connections for one plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connector {
    /// The most that an address may be.
    reach: Reach,
}

/// All addresses of a host are out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of {host} is out of bounds: {address}{hint}")]
pub(crate) struct Prohibited {
    host: String,
    address: IpAddr,
    hint: &'static str,
}

impl Connector {
    /// `private` lets it reach this machine and private networks.
    pub(crate) fn new(private: bool) -> Connector {
        Connector { reach: if private { Reach::Private } else { Reach::Public } }
    }

    async fn connect(self, uri: Uri) -> io::Result<Wire> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = self.reached(&host, port).await?;
        stream.set_nodelay(true)?;
        if !secure {
            return Ok(Wire::Clear(TokioIo::new(stream)));
        }
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = tls().await?.connect(name, stream).await?;
        Ok(Wire::Secure(Box::new(TokioIo::new(stream))))
    }

    /// Connects to the first address of the host that answers, of those that are within bounds.
    async fn reached(self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        let mut last = None;
        for address in &addresses {
            let reach = reach(address.ip());
            let tried = if reach <= self.reach {
                TcpStream::connect(address).await
            } else {
                let hint = match reach {
                    Reach::Private => "; http_private = true would allow it",
                    _ => "",
                };
                let host = host.to_owned();
                Err(io::Error::other(Prohibited { host, address: address.ip(), hint }))
            };
            match tried {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address")))
    }
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.connect(uri))
    }
}

/// TLS as the system trusts, made on first use.
async fn tls() -> io::Result<TlsConnector> {
    static TLS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = TLS.get() {
        return Ok(Arc::clone(config).into());
    }
    let made =
        blocking(config).await.unwrap_or_else(|| Err(io::Error::other("the server ends")))?;
    Ok(Arc::clone(TLS.get_or_init(|| made)).into())
}

fn config() -> io::Result<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(io::Error::other(format!("the system has no certificates to trust{why}")));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A connection, with TLS or without.
pub(crate) enum Wire {
    Clear(TokioIo<TcpStream>),
    Secure(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Clear(io) => Pin::new(io).poll_read(cx, buffer),
            Wire::Secure(io) => Pin::new(io.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Clear(io) => Pin::new(io).poll_write(cx, octets),
            Wire::Secure(io) => Pin::new(io.as_mut()).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Clear(io) => Pin::new(io).poll_flush(cx),
            Wire::Secure(io) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Clear(io) => Pin::new(io).poll_shutdown(cx),
            Wire::Secure(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }
}
