//! TLS on data connections: the handshake, and what is demanded of it.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use tokio::io::AsyncReadExt;
use waft_core::Resumption;
use waft_proto::{Code, Reply};

use super::{pump, sentence};
use crate::counters::Counters;
use crate::net::Stream;
use crate::time::within;
use crate::tls::{self, Channel, CloseNotify};

/// Octets read from a data connection at a time, at most.
const READ_BYTES_MAX: usize = 256 * 1024;

/// The first octets of a TLS connection: a handshake record with a ClientHello in it.
const HELLO_BYTES: usize = 6;

/// How a data connection is to be protected.
pub(crate) struct DataTls {
    /// What the handshake uses.
    pub(crate) config: Arc<ServerConfig>,
    /// How long it may take; zero is no limit.
    pub(crate) limit: Duration,
    /// Whether it has to resume the control connection's session.
    pub(crate) resumption: Resumption,
    /// How an upload has to end.
    pub(crate) close_notify: CloseNotify,
    /// Set when it has not ended so.
    pub(crate) truncated: Arc<AtomicBool>,
    /// The client's certificate on the control connection, by its digest: without resumption the
    /// data connection has to show the same.
    pub(crate) certificate: Option<String>,
}

/// Why a data connection is not protected as it has to be: 522 (RFC 4217, 10.2).
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFailure {
    /// The handshake failed.
    #[error("TLS handshake of data connection failed: {}", reason(.0))]
    Handshake(#[source] io::Error),
    /// There was none.
    #[error("no TLS handshake on the data connection within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It resumed nothing, or nothing of this session.
    #[error("TLS session of data connection not resumed")]
    NotResumed,
    /// Somebody else's certificate, or none.
    #[error("client certificate of data connection is not that of the control connection")]
    OtherCertificate,
    /// The client began TLS where it had agreed on clear text.
    #[error("TLS on a data connection that PROT says is in clear text")]
    Unexpected,
}

impl TlsFailure {
    /// What the client is told.
    pub(crate) fn reply(&self) -> Reply {
        Reply::new(Code::BAD_PROTOCOL, sentence(&self.to_string()))
    }
}

/// Shakes hands on a data connection, as the server, whoever connected.
pub(crate) async fn secure<S: Stream>(
    io: S,
    tls: DataTls,
    counters: &Counters,
) -> Result<Channel<S>, TlsFailure> {
    let DataTls { config, close_notify, truncated, .. } = tls;
    let accepting = tls::accept(io, config, READ_BYTES_MAX, close_notify, truncated, None);
    let channel = match within(tls.limit, Box::pin(accepting)).await {
        Some(accepted) => accepted.map_err(TlsFailure::Handshake)?,
        None => return Err(TlsFailure::TimedOut(tls.limit)),
    };
    let Some(connection) = channel.tls() else { return Ok(channel) };
    let judged = judge(connection, tls.resumption, tls.certificate.as_deref(), counters);
    match judged {
        Ok(()) => Ok(channel),
        Err(failure) => {
            pump::close(channel).await;
            Err(failure)
        }
    }
}

fn judge(
    connection: &ServerConnection,
    resumption: Resumption,
    certificate: Option<&str>,
    counters: &Counters,
) -> Result<(), TlsFailure> {
    // Tickets open this control session only, so that there is nothing else to compare.
    if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
        counters.data_tls_resumed.add_one();
        return Ok(());
    }
    counters.data_tls_not_resumed.add_one();
    match resumption {
        Resumption::Off => {}
        Resumption::Report => tracing::info!("TLS session of data connection not resumed"),
        Resumption::Require => return Err(TlsFailure::NotResumed),
    }
    let shown = tls::certificate(connection).map(tls::digest);
    if certificate.is_some() && shown.as_deref() != certificate {
        return Err(TlsFailure::OtherCertificate);
    }
    Ok(())
}

/// Waits for the first octets of an upload in clear text, which must not be TLS: a handshake is
/// no file. The wait ends after `limit`; zero is no limit.
pub(crate) async fn refuse_hello<S: Stream>(
    mut io: S,
    limit: Duration,
) -> Result<Channel<S>, TlsFailure> {
    let mut first = Vec::with_capacity(HELLO_BYTES);
    let reading = async {
        while first.len() < HELLO_BYTES && may_be_hello(&first) {
            let mut octet = [0];
            match io.read(&mut octet).await {
                Ok(1..) => first.extend_from_slice(&octet),
                // Whoever reads on will find the same.
                Ok(0) | Err(_) => break,
            }
        }
    };
    within(limit, reading).await;
    if first.len() == HELLO_BYTES && may_be_hello(&first) {
        return Err(TlsFailure::Unexpected);
    }
    Ok(Channel::peeked(io, first))
}

fn may_be_hello(first: &[u8]) -> bool {
    first.iter().enumerate().all(|(at, octet)| match (at, octet) {
        (0, octet) => *octet == 0x16,
        (1, octet) => *octet == 3,
        (2, octet) => *octet <= 4,
        (5, octet) => *octet == 1,
        _ => true,
    })
}

/// What went wrong, in a few words for the client.
fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => format!("the client says {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => "what came is no TLS".to_owned(),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the client closed the connection".to_owned()
        }
        None => error.source().map_or_else(|| error.to_string(), ToString::to_string),
    }
}
