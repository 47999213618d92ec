//! What sets up data connections, and ends them: PASV, EPSV, PORT, EPRT, ABOR.

use std::net::{SocketAddr, SocketAddrV4};

use waft_proto::address::{
    EpsvArgument, Family, extended_passive_reply, parse_eprt, parse_port, passive_reply,
};
use waft_proto::{Code, Reply};

use super::{Answer, Refusal};
use crate::data::{self, DataSetup};
use crate::net::Network;
use crate::session::Session;

impl<N: Network> Session<N> {
    /// PASV: listens, and tells an IPv4 address and a port.
    pub(super) async fn pasv(&mut self) -> Answer {
        self.refuse_after_epsv_all()?;
        let (client, local) = (self.facts.peer.ip(), self.facts.local.ip());
        let passive = self.settings.passive_of(&self.facts.listener);
        let told = data::announced(&self.shared.network, passive, client, local).await;
        let Some(address) = told.map_err(unresolved)?.ipv4 else {
            return Err(Refusal::new(Code::CANNOT_OPEN_DATA, "PASV is for IPv4 only; use EPSV."));
        };
        let port = self.listen()?;
        Ok(passive_reply(SocketAddrV4::new(address, port)))
    }

    /// EPSV: as PASV, for the address that the client is connected to (RFC 2428, 3).
    pub(super) async fn epsv(&mut self, argument: &[u8]) -> Answer {
        let (client, local) = (self.facts.peer.ip(), self.facts.local.ip());
        let own = Family::of(local);
        let wanted = EpsvArgument::parse(argument)
            .map_err(|error| Refusal::new(error.code(), "Syntax: EPSV [1|2|ALL]"))?;
        match wanted {
            EpsvArgument::All => {
                self.parameters.only_epsv = true;
                return Ok(Reply::new(Code::OKAY, "EPSV ALL noted."));
            }
            EpsvArgument::UnknownFamily => return Err(wrong_family("(1,2)")),
            EpsvArgument::Family(family) if family != own => {
                return Err(wrong_family(match own {
                    Family::Ipv4 => "(1)",
                    Family::Ipv6 => "(2)",
                }));
            }
            EpsvArgument::Family(_) | EpsvArgument::None => {}
        }
        // EPSV promises the address of the control connection. Where the operator tells clients
        // another one, the client must hear of it, and falls back to PASV.
        if own == Family::Ipv4 {
            let passive = self.settings.passive_of(&self.facts.listener);
            let told = data::announced(&self.shared.network, passive, client, local).await;
            if !told.map_err(unresolved)?.is_local {
                return Err(Refusal::new(
                    Code::NOT_IMPLEMENTED,
                    "Data connections go to another address; use PASV.",
                ));
            }
        }
        Ok(extended_passive_reply(self.listen()?))
    }

    /// Listens in place of whatever was set up before; tells the port.
    fn listen(&mut self) -> Result<u16, Refusal> {
        self.data = DataSetup::None;
        let local = self.facts.local.ip();
        let passive = self.settings.passive_of(&self.facts.listener);
        match data::listen(&self.shared.network, local, &passive.ports) {
            Ok(listener) => {
                let port = listener.port();
                let owner = self.settings.passive_owner(&self.facts.listener);
                let listener = listener.counted(self.shared.passive_ports.count(owner));
                self.data = DataSetup::Passive(listener);
                self.issue_ticket();
                Ok(port)
            }
            Err(error) => {
                self.shared.counters.passive_exhausted.add_one();
                tracing::warn!(%error, "no passive port");
                Err(Refusal::new(Code::CANNOT_OPEN_DATA, "No passive port is free, try again."))
            }
        }
    }

    /// PORT.
    pub(super) fn port(&mut self, argument: &[u8]) -> Answer {
        self.refuse_active()?;
        let target = parse_port(argument)
            .map_err(|error| Refusal::new(error.code(), "Syntax: PORT h1,h2,h3,h4,p1,p2"))?;
        self.connect_to(SocketAddr::V4(target))
    }

    /// EPRT (RFC 2428, 2).
    pub(super) fn eprt(&mut self, argument: &[u8]) -> Answer {
        self.refuse_active()?;
        let target = parse_eprt(argument).map_err(|error| {
            let text = match error.code() {
                Code::BAD_PROTOCOL => "Network protocol not supported, use (1,2).",
                _ => "Syntax: EPRT |family|address|port|",
            };
            Refusal::new(error.code(), text)
        })?;
        self.connect_to(target)
    }

    /// Notes where to connect to, in place of whatever was set up before; the connection itself waits
    /// for the transfer command.
    fn connect_to(&mut self, target: SocketAddr) -> Answer {
        let (peer, local) = (self.facts.peer.ip(), self.facts.local.ip());
        let target = data::active_target(target, peer, local, &self.settings.active)
            .map_err(|error| Refusal(error.reply()))?;
        self.data = DataSetup::Active(target);
        self.issue_ticket();
        Ok(Reply::new(Code::OKAY, "Data address noted."))
    }

    /// Where active mode is off, what the argument looks like does not matter.
    fn refuse_active(&self) -> Result<(), Refusal> {
        if !self.settings.active.allows(self.facts.peer.ip()) {
            return Err(Refusal(data::Refused::Disabled.reply()));
        }
        self.refuse_after_epsv_all()
    }

    fn refuse_after_epsv_all(&self) -> Result<(), Refusal> {
        if self.parameters.only_epsv {
            return Err(Refusal::new(Code::BAD_PARAMETER, "Refused after EPSV ALL."));
        }
        Ok(())
    }

    /// ABOR while nothing runs (RFC 959, 4.1.3): a waiting listener is closed.
    pub(super) fn abor(&mut self) -> Reply {
        self.data = DataSetup::None;
        Reply::new(Code::TRANSFER_DONE, "Nothing to abort.")
    }
}

fn unresolved(error: data::Unresolved) -> Refusal {
    tracing::error!(%error, "passive address unknown");
    Refusal::new(Code::CANNOT_OPEN_DATA, "The passive address is not known now, try again.")
}

fn wrong_family(usable: &str) -> Refusal {
    let text = format!("Network protocol not supported, use {usable}.");
    Refusal(Reply::data(Code::BAD_PROTOCOL, text))
}
