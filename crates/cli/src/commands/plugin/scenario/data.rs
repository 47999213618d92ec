//! Data connections: how they come about, and what goes over them.
//!
//! A handshake waits until the connection is used, which is behind the server's 150.

use std::net::{IpAddr, SocketAddr};

use tokio::time::timeout;
use waft_server::net::DataListener;
use waft_server::net::memory::{MemoryListener, MemoryStream};

use super::Step;
use super::client::{Connection, PATIENCE};
use super::play::{CLIENT_PORT, Otherwise, Player, SERVER, otherwise};
use super::text::{Pattern, quoted};

/// Where clients await data connections, unless they say.
const DATA_PORT: u16 = 50_000;

/// A data connection that nobody has used yet.
pub(super) enum Data {
    /// The client has connected.
    Passive(MemoryStream),
    /// The server has to connect.
    Active(MemoryListener),
}

impl<L: Fn() -> String> Player<'_, L> {
    /// Asks for a data connection in passive mode, and opens it.
    pub(super) async fn passive(&mut self) -> Result<(), Otherwise> {
        self.send(b"EPSV").await?;
        let expected = "229 with a port";
        let line = self.line(expected).await?;
        let text = String::from_utf8_lossy(&line);
        let port = text.strip_prefix("229").and_then(|text| text.split('|').nth(3));
        let port = port.and_then(|port| port.parse().ok());
        let port: u16 = port.ok_or_else(|| otherwise(expected, &text))?;
        let address = self.client().await?.control.address;
        let (to, from) = (SocketAddr::new(SERVER, port), SocketAddr::new(address, CLIENT_PORT));
        let stream = self.trial.server.network().client_connect(to, from);
        let stream = stream.map_err(|error| (expected.to_owned(), error.to_string()))?;
        self.data = Some(Data::Passive(stream));
        Ok(())
    }

    /// Asks for one in active mode, and awaits it.
    pub(super) async fn active(&mut self) -> Result<(), Otherwise> {
        self.listen(DATA_PORT).await?;
        let address = self.client().await?.control.address;
        let family = if address.is_ipv4() { 1 } else { 2 };
        self.ask(&format!("EPRT |{family}|{address}|{DATA_PORT}|"), "200").await
    }

    /// Awaits one at a port of the client.
    pub(super) async fn listen(&mut self, port: u16) -> Result<(), Otherwise> {
        // The port may be that of the one before.
        self.data = None;
        let place = SocketAddr::new(self.client().await?.control.address, port);
        let listener = self.trial.server.network().client_listen(place);
        let listener = listener.map_err(|error| otherwise("a free port", &error.to_string()))?;
        self.data = Some(Data::Active(listener));
        Ok(())
    }

    /// Uses the data connection, which is over then.
    pub(super) async fn transfer(&mut self, step: &Step) -> Result<(), Otherwise> {
        let open = "an open data connection: \"passive\" or \"active\" opens one";
        let data = self.data.take().ok_or_else(|| otherwise(open, "none"))?;
        let client = self.client().await?;
        let (tls, address) = (client.of_data(), client.control.address);
        let mut data = data.open(address).await?;
        if let Some(tls) = &tls {
            data = match data.secured(tls).await {
                Ok(data) => data,
                // What there was is gone.
                Err(_) if matches!(step, Step::DataGone) => return Ok(()),
                Err(got) => return Err(otherwise("a TLS handshake of the data connection", &got)),
            };
        }
        self.exchange(step, &mut data).await
    }

    async fn exchange(&mut self, step: &Step, data: &mut Connection) -> Result<(), Otherwise> {
        if let Step::DataSend(octets) = step {
            self.said.push(format!("data: send {}", quoted(octets)));
            let taken = "the server to take the data";
            data.send(octets).await.map_err(|got| otherwise(taken, &got))?;
            return data.end().await.map_err(|got| otherwise(taken, &got));
        }
        if matches!(step, Step::DataGone) {
            let gone = data.gone().await;
            return gone.map_err(|got| otherwise("the end of the data connection", &got));
        }
        let got = data.rest().await.map_err(|got| otherwise("all of the data", &got))?;
        self.said.push(format!("data: {}", quoted(&got)));
        match step {
            Step::DataExpect(expected) if *expected != got => Err((quoted(expected), quoted(&got))),
            Step::DataLines(expected) => lines(expected, &got),
            _ => Ok(()),
        }
    }
}

impl Data {
    /// The connection, once there is one.
    async fn open(self, address: IpAddr) -> Result<Connection, Otherwise> {
        let stream = match self {
            Self::Passive(stream) => stream,
            Self::Active(listener) => {
                let expected = "a data connection from the server";
                let accepted = timeout(PATIENCE, listener.accept()).await;
                let accepted = accepted.map_err(|_| otherwise(expected, "none within 30 s"))?;
                accepted.map_err(|error| otherwise(expected, &error.to_string()))?.0
            }
        };
        Ok(Connection::new(stream, address))
    }
}

/// Compares lines in any order.
fn lines(expected: &[Pattern], got: &[u8]) -> Result<(), Otherwise> {
    let got = got.strip_suffix(b"\n").unwrap_or(got);
    let mut left: Vec<&[u8]> =
        if got.is_empty() { Vec::new() } else { got.split(|octet| *octet == b'\n').collect() };
    for pattern in expected {
        let fits = |line: &&[u8]| pattern.fits(line.strip_suffix(b"\r").unwrap_or(line));
        match left.iter().position(fits) {
            Some(at) => drop(left.remove(at)),
            None => return Err((format!("a line: {}", pattern.source()), quoted(got))),
        }
    }
    match left.first() {
        Some(line) => Err(otherwise("no more lines", &quoted(line))),
        None => Ok(()),
    }
}
