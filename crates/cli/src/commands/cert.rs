//! `waft cert`: certificates for a first try.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

use crate::args::SelfSigned;
use crate::failure::Failure;
use crate::output;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a certificate that nobody has signed, and its key. What exists is not replaced.
///
/// # Errors
///
/// A name is none, or a file exists or cannot be written.
pub(crate) fn self_signed(arguments: &SelfSigned) -> Result<(), Failure> {
    let (certificate, key) = made(&arguments.names, arguments.days)?;
    write(&arguments.key, &key, 0o600)?;
    write(&arguments.certificate, &certificate, 0o644)?;
    output::tell(&format!(
        "written: {} and {}, valid for {} days, for {}",
        arguments.certificate.display(),
        arguments.key.display(),
        arguments.days,
        arguments.names.join(", ")
    ));
    Ok(())
}

/// A certificate for names or addresses that nobody has signed, and its key, in PEM.
///
/// # Errors
///
/// A name is none.
pub(crate) fn made(names: &[String], days: u32) -> Result<(String, String), Failure> {
    let mut params = CertificateParams::new(names)
        .map_err(|error| Failure::Usage(format!("--name: {error}")))?;
    let mut subject = DistinguishedName::new();
    if let Some(name) = names.iter().find(|name| name.parse::<IpAddr>().is_err()) {
        subject.push(DnType::CommonName, name);
    }
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    // Clocks differ.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.self_signed(&key).context("cannot make a certificate")?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write(file: &Path, content: &str, mode: u32) -> Result<(), Failure> {
    let open = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        file.write_all(content.as_bytes())
    };
    Ok(open().with_context(|| format!("cannot write {}", file.display()))?)
}
