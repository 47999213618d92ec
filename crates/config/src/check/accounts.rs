//! Who may log in, and to where.

use std::collections::BTreeSet;
use std::path::Path;

use super::{At, Findings, directory, duplicates, everyone};
use crate::config::Config;
use crate::permissions::Permission;
use crate::sections::User;
use crate::types::{CertificateLogin, ClientCertificates};

pub(super) fn anonymous(config: &Config, findings: &mut Findings) {
    let Some(anonymous) = &config.anonymous else { return };
    let at = |key| At::of(config, &anonymous.key, key, &anonymous.origin);
    directory(&anonymous.root, at("root"), findings);
    let uploads = [Permission::Write, Permission::Append];
    let granted = uploads.into_iter().find(|upload| anonymous.permissions.contains(*upload));
    if let (Some(upload), false) = (granted, anonymous.upload) {
        let message = format!("uploads are granted separately: {:?}", upload.word());
        findings.mistake(at("permissions"), message, "remove it, or add upload = true");
    }
}

/// The names under which anonymous users log in.
const ANONYMOUS: [&str; 2] = ["anonymous", "ftp"];

pub(super) fn users(config: &Config, findings: &mut Findings) {
    duplicates(
        config.users.iter().map(|u| (u.name.as_str(), At::of(config, &u.key, "name", &u.origin))),
        findings,
    );
    for user in &config.users {
        let at = |key| At::of(config, &user.key, key, &user.origin);
        if config.anonymous.is_some() && ANONYMOUS.contains(&user.name.as_str()) {
            let message = format!("anonymous users log in with this name: {}", user.name);
            findings.mistake(at("name"), message, "rename the account, or remove [anonymous]");
        }
        proof(config, user, findings);
    }
    let plugins = config.plugins.directory.is_some() || !config.named_plugins.is_empty();
    let written = ["user", "anonymous"].iter().any(|key| config.origins.contains_key(*key));
    if config.users.is_empty() && config.anonymous.is_none() && !plugins && !written {
        let remedy = "add [[user]], [anonymous] or a plugin that knows accounts";
        findings.warn(At::key(config, "user"), "nobody can log in", remedy);
    }
}

/// What proves who logs in: a password, a certificate, or both.
fn proof(config: &Config, user: &User, findings: &mut Findings) {
    let at = |key| At::of(config, &user.key, key, &user.origin);
    let alone = user.certificate_login == CertificateLogin::Alone;
    let missing = !config.origins.contains_key(&format!("{}.password", user.key));
    if missing && (user.certificates.is_empty() || !alone) {
        findings.mistake(at("password"), "missing", "add password = …");
    }
    if user.certificates.is_empty() {
        if !alone {
            let message = "no certificate is the account's, so that it could never log in";
            findings.mistake(at("certificate_login"), message, "add certificates = [ … ]");
        }
        return;
    }
    let asked = config.tls.as_ref().map(|tls| tls.client_certificates);
    if asked.unwrap_or(ClientCertificates::None) == ClientCertificates::None {
        let remedy = "write client_certificates = \"optional\" in [tls], or remove it here";
        findings.mistake(at("certificates"), "nobody is asked for a certificate", remedy);
    }
}

/// Files with password hashes are for the server alone.
pub(super) fn secrecy(config: &Config, findings: &mut Findings) {
    let hashed: BTreeSet<&Path> = config.users.iter().map(|user| &*user.origin.file).collect();
    for path in hashed {
        if everyone(path) & 0o006 != 0 {
            let origin = crate::place::Origin::whole(path);
            let at = At { key: "user".to_owned(), origin: &origin };
            let message = "everyone on this machine can read or change these password hashes";
            findings.warn(at, message, format!("chmod 600 {}", path.display()));
        }
    }
}
