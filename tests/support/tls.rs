//! A server with TLS.

use std::net::SocketAddr;
use std::ops::Deref;

use super::site::Site;
use super::waft::{Waft, is_listening};

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By AUTH.
    Explicit,
    /// At once.
    Implicit,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub(crate) fn number(self) -> &'static str {
        match self {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
        }
    }
}

/// A server with a certificate for `localhost`, in `cert.pem`, and a listener for each [`Mode`].
pub(crate) struct Secured {
    waft: Waft,
    implicit: SocketAddr,
}

impl Secured {
    /// Starts it; data connections have to resume as `resumption` says.
    pub(crate) fn serve(site: Site, resumption: &str) -> Secured {
        let arguments = ["cert", "self-signed", "--certificate", "cert.pem", "--key", "key.pem"];
        site.waft(&arguments, "").succeeded();
        site.write(
            "conf.d/tls.toml",
            format!(
                "[tls]\ncertificate = \"../cert.pem\"\nprivate_key = \"../key.pem\"\n\
                 resumption = \"{resumption}\"\n\
                 [[listener]]\naddress = \"127.0.0.1:0\"\nname = \"implicit\"\n\
                 tls = \"implicit\"\n"
            ),
        );
        let waft = site.serve();
        let line = waft.log.wait("the implicit listener", |line| {
            is_listening(line) && line.field("listener") == "implicit"
        });
        Secured { implicit: line.field("address").parse().unwrap(), waft }
    }

    /// Where it listens for clients that begin TLS like that.
    pub(crate) fn address_of(&self, mode: Mode) -> SocketAddr {
        match mode {
            Mode::Explicit => self.waft.address(),
            Mode::Implicit => self.implicit,
        }
    }

    /// The port, for clients that want it apart.
    pub(crate) fn port_of(&self, mode: Mode) -> String {
        self.address_of(mode).port().to_string()
    }
}

impl Deref for Secured {
    type Target = Waft;

    fn deref(&self) -> &Waft {
        &self.waft
    }
}
