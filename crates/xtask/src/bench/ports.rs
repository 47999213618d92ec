//! Ports that are free.

use std::io;
use std::net::TcpListener;

/// A port of the loopback interface that nobody listens on.
///
/// # Errors
/// There is none.
pub(super) fn free() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
