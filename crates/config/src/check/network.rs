//! Listeners, certificate, data connections.

use super::{At, Findings, duplicates, everyone, file};
use crate::config::Config;
use crate::sections::{Listener, Tls};
use crate::system::System;
use crate::types::{ActiveMode, ClientCertificates, TlsMode};

pub(super) fn listeners(config: &Config, findings: &mut Findings) {
    if config.listeners.is_empty() && !config.origins.contains_key("listener") {
        findings.mistake(
            At::key(config, "listener"),
            "missing: there is nothing to listen on",
            "add [[listener]] with address = \"0.0.0.0:21\"",
        );
    }
    let ports = config.listeners.iter().filter(|listener| listener.address.port() != 0);
    duplicates(ports.map(|l| (l.address, At::of(config, &l.key, "address", &l.origin))), findings);
    let named = config.listeners.iter().filter(|l| l.name != l.address.to_string());
    duplicates(
        named.map(|l| (l.name.as_str(), At::of(config, &l.key, "name", &l.origin))),
        findings,
    );
    for listener in &config.listeners {
        let at = || At::of(config, &listener.key, "tls", &listener.origin);
        let written = config.origins.contains_key(&format!("{}.tls", listener.key));
        if listener.tls != TlsMode::Off
            && config.tls.is_none()
            && !config.origins.contains_key("tls")
        {
            let remedy = "add [tls] with certificate and private_key, or write tls = \"off\"";
            findings.mistake(at(), format!("no certificate for {:?}", listener.tls.word()), remedy);
        }
        if listener.tls == TlsMode::Off && !written && !listener.address.ip().is_loopback() {
            let remedy = "add [tls] with certificate and private_key, or say that it is meant: \
                          tls = \"off\"";
            let message = "passwords and files cross the network in clear text";
            findings.warn(at(), message, remedy);
        }
    }
}

pub(super) fn certificate(config: &Config, findings: &mut Findings) {
    let Some(tls) = &config.tls else { return };
    let hosts = tls.host.iter().map(|h| (&h.certificate, &h.private_key, &h.key, &h.origin));
    let own = (&tls.certificate, &tls.private_key, &tls.key, &tls.origin);
    let own = is_named(config, tls, findings).then_some(own);
    for (certificate, key, entry, origin) in own.into_iter().chain(hosts) {
        let at = |key| At::of(config, entry, key, origin);
        file(certificate, at("certificate"), PEM, findings);
        if file(key, at("private_key"), PEM, findings) && everyone(key) & 0o006 != 0 {
            let key = key.display();
            let message = format!("everyone on this machine can read or change it: {key}");
            findings.warn(at("private_key"), message, format!("chmod 600 {key}"));
        }
    }
    let at = |key| At::of(config, &tls.key, key, &tls.origin);
    match &tls.client_authorities {
        Some(authorities) => {
            file(authorities, at("client_authorities"), PEM, findings);
        }
        None if tls.client_certificates != ClientCertificates::None => {
            let word = tls.client_certificates.word();
            let message = format!("nobody to verify client certificates, which are {word:?}");
            findings.mistake(at("client_certificates"), message, "add client_authorities");
        }
        None => {}
    }
}

/// Whether the certificate and its key are files that have to be there. Tells where they are not
/// named, or where there is another certificate beside them.
fn is_named(config: &Config, tls: &Tls, findings: &mut Findings) -> bool {
    let keys = ["certificate", "private_key"];
    let is_written = |key: &str| config.origins.contains_key(&format!("{}.{key}", tls.key));
    let at = |key| At::of(config, &tls.key, key, &tls.origin);
    if !is_written("acme") {
        for key in keys.into_iter().filter(|key| !is_written(key)) {
            findings.mistake(at(key), "missing", format!("add {key} = …, or [tls.acme]"));
        }
        return keys.into_iter().all(is_written);
    }
    for key in keys.into_iter().filter(|key| is_written(key)) {
        let remedy = "remove it, or remove [tls.acme]";
        findings.mistake(at(key), "the certificate is that of [tls.acme]", remedy);
    }
    false
}

/// A certificate that an authority is asked for; nobody is asked here.
pub(super) fn acme(config: &Config, findings: &mut Findings) {
    let Some(acme) = config.tls.as_ref().and_then(|tls| tls.acme.as_ref()) else { return };
    let at = |key| At::of(config, &acme.key, key, &acme.origin);
    if acme.names.is_empty() {
        let remedy = "name the server as clients connect to it: names = [\"ftp.example.org\"]";
        findings.mistake(at("names"), "no name to ask for", remedy);
    }
    if !acme.terms_of_service_agreed {
        let message = "not agreed to the authority's terms of service";
        let remedy = "read them, and write terms_of_service_agreed = true";
        findings.mistake(at("terms_of_service_agreed"), message, remedy);
    }
    if let Some(certificate) = &acme.authority_certificate {
        file(certificate, at("authority_certificate"), PEM, findings);
    }
    let is_taken = |listener: &Listener| listener.address == acme.address;
    if acme.address.port() != 0 && config.listeners.iter().any(is_taken) {
        let message = format!("used by a listener: {}", acme.address);
        let remedy = "take port 80 for http-01, 443 for tls-alpn-01, or one that they lead to";
        findings.mistake(at("address"), message, remedy);
    }
    let directory = &acme.directory;
    if directory.exists() && !directory.is_dir() {
        let message = format!("not a directory: {}", directory.display());
        findings.mistake(at("directory"), message, "name a directory");
    }
}

const PEM: &str = "name a PEM file that the server can read";

pub(super) fn passive(config: &Config, system: &System, findings: &mut Findings) {
    let passive = &config.passive;
    duplicates(
        passive.rule.iter().map(|r| (r.from, At::of(config, &r.key, "from", &r.origin))),
        findings,
    );
    let (ports, at) = (passive.ports, || At::key(config, "passive.ports"));
    let written = config.origins.contains_key("passive.ports");
    if written && system.may_take_from(ports) {
        let message =
            format!("the kernel gives ports of this range to outgoing connections: {ports}");
        let remedy = format!("reserve them: sysctl -w net.ipv4.ip_local_reserved_ports={ports}");
        findings.warn(at(), message, remedy);
    }
    let limits = &config.limits;
    let wanted = [limits.sessions, limits.sessions_per_address].into_iter().flatten().min();
    let needed = wanted.unwrap_or(PORTS_LEAST);
    if ports.count() < needed {
        let message = format!(
            "one client alone can take them all: {} ports, {needed} sessions",
            ports.count()
        );
        let remedy = "widen the range, or lower sessions_per_address in [limits]";
        findings.warn(at(), message, remedy);
    }
}

/// How many passive ports there should be where the number of sessions is not limited.
const PORTS_LEAST: u32 = 100;

pub(super) fn active(config: &Config, findings: &mut Findings) {
    if config.active.mode == ActiveMode::Lan && config.active.lan.is_empty() {
        let remedy = "name the networks, or write mode = \"off\"";
        findings.mistake(At::key(config, "active.lan"), "no networks for mode \"lan\"", remedy);
    }
}
