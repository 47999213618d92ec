//! The certificate that an authority issues: where challenges are answered, and who asks for it.

use std::io;
use std::net::TcpListener;

use waft_acme::Keeper;
use waft_config::Config;

use super::listeners::{self, BindError};
use crate::assemble;

/// What `[tls.acme]` asks for.
pub(super) struct Acme {
    wanted: waft_config::Acme,
    socket: TcpListener,
    keeper: Option<Keeper>,
}

impl Acme {
    /// Binds the listener for challenges, if there are to be any.
    pub(super) fn bind(config: &Config) -> Result<Option<Self>, BindError> {
        let Some(wanted) = wanted(config).cloned() else { return Ok(None) };
        let address = wanted.address;
        let origin = config.origin(&format!("{}.address", wanted.key)).unwrap_or(&wanted.origin);
        let socket = listeners::alone(address).map_err(|source| BindError {
            address,
            origin: origin.clone(),
            source,
        })?;
        Ok(Some(Self { wanted, socket, keeper: None }))
    }

    /// Begins to answer challenges, and to ask for certificates.
    ///
    /// # Errors
    ///
    /// The system refuses to hand the socket over.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let (address, challenge) = (self.socket.local_addr()?, self.wanted.challenge.word());
        tracing::info!(%address, challenge, "challenges are answered");
        if !self.wanted.certificate_file().exists() {
            tracing::warn!("no certificate yet: until one comes, clients see one that is unsigned");
        }
        let settings = assemble::acme_settings(&self.wanted);
        self.keeper = Some(Keeper::start(settings, self.socket.try_clone()?)?);
        Ok(())
    }

    /// Goes by another configuration; what stays the same goes on undisturbed. What cannot be
    /// bound is logged.
    pub(super) fn go_by(before: Option<Self>, config: &Config) -> Option<Self> {
        let wanted = wanted(config)?;
        let acme = match before {
            Some(same) if same.wanted == *wanted => return Some(same),
            Some(other) if other.wanted.address == wanted.address => {
                Ok(Some(Self { wanted: wanted.clone(), socket: other.socket, keeper: None }))
            }
            _ => Self::bind(config),
        };
        let mut acme = acme.inspect_err(|error| tracing::error!("{error}")).ok()??;
        acme.begin()
            .inspect_err(|error| tracing::error!(%error, "no certificate is asked for"))
            .ok()?;
        Some(acme)
    }

    /// Waits until there is another certificate.
    pub(super) async fn renewed(&self) {
        match &self.keeper {
            Some(keeper) => keeper.renewed().await,
            None => std::future::pending().await,
        }
    }
}

fn wanted(config: &Config) -> Option<&waft_config::Acme> {
    config.tls.as_ref()?.acme.as_ref()
}
