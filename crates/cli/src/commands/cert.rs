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
    let mut params = CertificateParams::new(arguments.names.clone())
        .map_err(|error| Failure::Usage(format!("--name: {error}")))?;
    let mut subject = DistinguishedName::new();
    if let Some(name) = arguments.names.iter().find(|name| name.parse::<IpAddr>().is_err()) {
        subject.push(DnType::CommonName, name);
    }
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    // Clocks differ.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * arguments.days).into();
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.self_signed(&key).context("cannot make a certificate")?;
    write(&arguments.key, &key.serialize_pem(), 0o600)?;
    write(&arguments.certificate, &certificate.pem(), 0o644)?;
    output::tell(&format!(
        "written: {} and {}, valid for {} days, for {}",
        arguments.certificate.display(),
        arguments.key.display(),
        arguments.days,
        arguments.names.join(", ")
    ));
    Ok(())
}

fn write(file: &Path, content: &str, mode: u32) -> Result<(), Failure> {
    let open = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        file.write_all(content.as_bytes())
    };
    Ok(open().with_context(|| format!("cannot write {}", file.display()))?)
}
