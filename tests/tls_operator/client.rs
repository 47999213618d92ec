//! A client with TLS from the beginning, which looks at every reply.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use crate::support::site::Site;

/// A control connection, greeted.
pub(crate) struct Ftps {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Ftps {
    /// Connects, with the certificate of that name in the site if there is to be one.
    pub(crate) fn connect(site: &Site, address: SocketAddr, certificate: Option<&str>) -> Ftps {
        Ftps::try_connect(site, address, certificate, ALL_VERSIONS).unwrap()
    }

    /// Connects and speaks one version.
    pub(crate) fn of_version(
        site: &Site,
        address: SocketAddr,
        version: &'static SupportedProtocolVersion,
    ) -> io::Result<Ftps> {
        Ftps::try_connect(site, address, None, &[version])
    }

    fn try_connect(
        site: &Site,
        address: SocketAddr,
        certificate: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Ftps> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(site.path("cert.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain =
                    CertificateDer::from_pem_file(site.path(format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(site.path(format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = StreamOwned::new(connection, TcpStream::connect(address)?);
        let mut ftps = Ftps { stream: BufReader::new(stream) };
        let greeting = ftps.line()?;
        assert!(greeting.starts_with("220 "), "{greeting}");
        Ok(ftps)
    }

    /// What was agreed upon.
    pub(crate) fn tls(&self) -> &ClientConnection {
        &self.stream.get_ref().conn
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.tls().peer_certificates().unwrap()[0].to_vec()
    }

    /// Sends a command and reads its reply, which is one line.
    pub(crate) fn command(&mut self, line: &str) -> String {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.line().unwrap()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end_matches("\r\n").to_owned())
    }
}
