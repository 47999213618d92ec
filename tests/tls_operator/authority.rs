//! An authority, and the certificates that it issues.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};

use crate::support::site::Site;

/// Who issues certificates.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a client a certificate, which goes to `NAME.pem` in the site, and its key to
    /// `NAME.key`.
    pub(crate) fn issue(&self, site: &Site, name: &str, email: &str) {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !email.is_empty() {
            params.subject_alt_names = vec![SanType::Rfc822Name(email.try_into().unwrap())];
        }
        let (certificate, key) = self.sign(&params);
        site.write(format!("{name}.pem"), certificate);
        site.write(format!("{name}.key"), key);
    }

    /// A certificate and a key for `localhost`, valid from and until so many days from now.
    pub(crate) fn server(&self, days: Range<i32>) -> (String, String) {
        let mut params = named("server");
        params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        params.not_before = in_days(days.start).into();
        params.not_after = in_days(days.end).into();
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// An hour more, so that no test meets the end of a day.
fn in_days(days: i32) -> SystemTime {
    let distance = Duration::from_secs(u64::from(days.unsigned_abs()) * 24 * 60 * 60 + 60 * 60);
    let now = SystemTime::now();
    if days < 0 { now - distance } else { now + distance }
}
