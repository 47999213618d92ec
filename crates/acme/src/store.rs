//! What is kept from one run to the next: the account, and the certificate with its key.
//!
//! Files are small and written once in weeks, so they are written where the task is.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use instant_acme::AccountCredentials;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tempfile::NamedTempFile;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::Settings;
use crate::error::Error;

/// The files.
#[derive(Debug)]
pub(crate) struct Store {
    account: PathBuf,
    certificate: PathBuf,
}

/// For whom a certificate is valid, and when.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    names: Vec<String>,
    from: SystemTime,
    until: SystemTime,
}

impl Store {
    pub(crate) fn of(settings: &Settings) -> Self {
        let account = settings.account_file.clone();
        Self { account, certificate: settings.certificate_file.clone() }
    }

    /// Makes sure that both files can be written: better known before anybody is asked.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        for path in [&self.account, &self.certificate] {
            temporary(path).map_err(Error::file(path))?;
        }
        Ok(())
    }

    /// Returns the account, if there is one.
    pub(crate) fn account(&self) -> Result<Option<AccountCredentials>, Error> {
        let text = match fs::read(&self.account) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(&self.account)(error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| Error::Account { path: self.account.clone(), source })
    }

    pub(crate) fn keep_account(&self, account: &AccountCredentials) -> Result<(), Error> {
        let text = serde_json::to_vec(account)
            .map_err(|source| Error::Account { path: self.account.clone(), source })?;
        write(&self.account, &text)
    }

    pub(crate) fn forget_account(&self) -> Result<(), Error> {
        fs::remove_file(&self.account).map_err(Error::file(&self.account))
    }

    /// Returns the validity of the certificate that is there. One that cannot be read is as good as
    /// none.
    pub(crate) fn validity(&self) -> Option<Validity> {
        Validity::of_pem(&fs::read(&self.certificate).ok()?)
    }

    /// Replaces the certificate and its key, at once and for good, unless they do not belong
    /// together or are not for those names.
    pub(crate) fn keep_certificate(
        &self,
        key: &str,
        chain: &str,
        names: &[String],
    ) -> Result<Validity, Error> {
        let unusable = |error: &dyn ToString| Error::Unusable(error.to_string());
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(&error))?;
        let validity = certificates
            .first()
            .and_then(|certificate| Validity::of(certificate))
            .filter(|validity| validity.is_for(names))
            .ok_or_else(|| unusable(&"no certificate for these names"))?;
        let secret =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(&error))?;
        CertifiedKey::from_der(certificates, secret, &aws_lc_rs::default_provider())
            .map_err(|error| unusable(&error))?;
        write(&self.certificate, format!("{key}{chain}").as_bytes())?;
        Ok(validity)
    }
}

impl Validity {
    fn of_pem(pem: &[u8]) -> Option<Self> {
        Self::of(&CertificateDer::from_pem_slice(pem).ok()?)
    }

    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let names = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let time = |seconds: i64| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        };
        let validity = certificate.validity();
        let [from, until] = [validity.not_before, validity.not_after].map(|t| time(t.timestamp()));
        Some(Self { names: names.collect(), from, until })
    }

    /// Whether it is for all these names, and for no other.
    pub(crate) fn is_for(&self, names: &[String]) -> bool {
        let mut wanted: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let mut own = self.names.clone();
        for names in [&mut wanted, &mut own] {
            names.sort();
            names.dedup();
        }
        wanted == own
    }

    /// Returns when it is to be replaced: when a third of its time is left.
    pub(crate) fn due(&self) -> SystemTime {
        self.until - self.lifetime() / 3
    }

    /// Returns its whole time in days.
    pub(crate) fn days(&self) -> u64 {
        self.lifetime().as_secs() / (24 * 60 * 60)
    }

    fn lifetime(&self) -> Duration {
        self.until.duration_since(self.from).unwrap_or_default()
    }
}

/// Makes a file to be put in place of another, for its owner alone, and the directories above.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    NamedTempFile::new_in(directory)
}

/// Replaces a file at once.
fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let written = || -> io::Result<()> {
        let mut file = temporary(path)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    written().map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn store(directory: &Path) -> Store {
        Store {
            account: directory.join("acme/authority/account.json"),
            certificate: directory.join("acme/authority/certificate.pem"),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn certificate(key: &KeyPair) -> String {
        let mut params = CertificateParams::new(names(&["a.example", "b.example"])).unwrap();
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 4, 1);
        params.self_signed(key).unwrap().pem()
    }

    #[test]
    fn a_certificate_is_kept_for_the_owner_alone_and_due_when_a_third_of_its_time_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        assert_eq!(store.validity(), None);
        let key = KeyPair::generate().unwrap();
        let wanted = names(&["B.example", "a.example"]);
        let kept =
            store.keep_certificate(&key.serialize_pem(), &certificate(&key), &wanted).unwrap();
        assert_eq!(store.validity().as_ref(), Some(&kept));
        assert_eq!(kept.days(), 90);
        let due = SystemTime::from(date_time_ymd(2030, 3, 2));
        assert_eq!(kept.due(), due);
        assert!(!kept.is_for(&names(&["a.example"])));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.certificate), 0o600);
        assert_eq!(mode(store.certificate.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_certificate_for_another_key_or_name_does_not_replace_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let both = names(&["a.example", "b.example"]);
        let chain = certificate(&key);
        let refused = store.keep_certificate(&other.serialize_pem(), &chain, &both).unwrap_err();
        assert!(matches!(refused, Error::Unusable(_)), "{refused}");
        let one = names(&["a.example"]);
        let refused = store.keep_certificate(&key.serialize_pem(), &chain, &one).unwrap_err();
        assert!(matches!(refused, Error::Unusable(_)), "{refused}");
        assert!(!store.certificate.exists());
    }

    #[test]
    fn an_account_that_cannot_be_read_is_told_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        assert!(store.account().unwrap().is_none());
        write(&store.account, b"{}").unwrap();
        let error = store.account().err().unwrap();
        assert!(error.to_string().starts_with("no account: "), "{error}");
    }
}
