//! Where the files are that belong to an authority's certificate.

use std::path::PathBuf;

use crate::sections::Acme;

impl Acme {
    /// Returns the file of the account, its key included.
    #[must_use]
    pub fn account_file(&self) -> PathBuf {
        self.of_authority().join("account.json")
    }

    /// Returns the file that holds both the certificate and its key.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.of_authority().join("certificate.pem")
    }

    /// Each authority has a directory of its own: what one of them issued must not be taken for
    /// what another one should.
    fn of_authority(&self) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let url = self.authority.trim_start_matches("https://");
        self.directory.join(url.chars().map(plain).collect::<String>())
    }
}
