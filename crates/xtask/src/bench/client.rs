//! A session, as small as it can be: thousands of them live in this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use super::account::{PASSWORD, USER};

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Octets of replies that a session reads at once.
const REPLY_BYTES: usize = 256;

/// Octets of a listing that are read at once.
const LISTING_BYTES: usize = 256 << 10;

/// A session.
pub(super) struct Client {
    control: BufReader<TcpStream>,
    address: SocketAddr,
    line: String,
}

impl Client {
    /// Connects from some address of the loopback interface, and logs in.
    ///
    /// # Errors
    /// There is no port left, or the server refuses.
    pub(super) fn log_in(address: SocketAddr, from: Ipv4Addr) -> Result<Client> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into()).context("no port left")?;
        socket.connect(&address.into())?;
        let control = TcpStream::from(socket);
        control.set_nodelay(true)?;
        control.set_read_timeout(Some(PATIENCE))?;
        let control = BufReader::with_capacity(REPLY_BYTES, control);
        let mut client = Client { control, address, line: String::new() };
        client.expect("220")?;
        client.ask(&format!("USER {USER}"), "331")?;
        client.ask(&format!("PASS {PASSWORD}"), "230")?;
        client.line = String::new();
        Ok(client)
    }

    /// Sends a command, and waits for the reply with this code.
    ///
    /// # Errors
    /// Another one comes, or none.
    pub(super) fn ask(&mut self, command: &str, code: &str) -> Result<()> {
        self.control.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        self.expect(code).with_context(|| command.to_owned())
    }

    /// Lists a directory, and counts octets.
    ///
    /// # Errors
    /// The server does not list it.
    pub(super) fn list(&mut self, verb: &str, path: &str) -> Result<usize> {
        self.ask("EPSV", "229")?;
        let port = self.line.rsplit('|').nth(1).and_then(|port| port.parse().ok());
        let port: u16 = port.with_context(|| format!("no port: {}", self.line))?;
        let mut data = TcpStream::connect((self.address.ip(), port))?;
        data.set_read_timeout(Some(PATIENCE))?;
        self.ask(&format!("{verb} {path}"), "150")?;
        let mut buffer = vec![0; LISTING_BYTES];
        let mut octets = 0;
        loop {
            match data.read(&mut buffer)? {
                0 => break,
                read => octets += read,
            }
        }
        self.expect("226")?;
        Ok(octets)
    }

    fn expect(&mut self, code: &str) -> Result<()> {
        loop {
            self.line.clear();
            if self.control.read_line(&mut self.line)? == 0 {
                bail!("the server has closed the connection");
            }
            if self.line.as_bytes().get(3) == Some(&b' ') {
                break;
            }
        }
        if !self.line.starts_with(code) {
            bail!("answered with: {}", self.line.trim_end());
        }
        Ok(())
    }
}
