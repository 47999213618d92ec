//! The operator's master keys, and the keys of files that are derived from them.
//!
//! A master key never encrypts anything itself: each file has a key of its own, by HKDF-SHA-256
//! (RFC 5869) over a random salt, so that nonces may simply count from zero. What a file says of
//! its master key is an identifier derived from it: names can change, and tell nobody anything.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use waft_plugin_sdk::{Secret, Section, Settings, crypto};

/// Octets of a key.
pub(crate) const KEY: usize = 32;

/// Octets by which a file names its master key.
pub(crate) const ID: usize = 8;

/// The name of the secret where the operator names none.
const NAME: &str = "key";

/// What an identifier is derived for.
const ID_INFO: &[u8] = b"waft encrypt 1 key id";

/// What the key of a file is derived for.
const FILE_INFO: &[u8] = b"waft encrypt 1 file key";

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// All master keys. The first encrypts, all decrypt.
#[derive(Debug)]
pub(crate) struct Keyring(Vec<MasterKey>);

/// One master key.
#[derive(Debug)]
pub(crate) struct MasterKey {
    id: [u8; ID],
    secret: Secret,
}

impl Keyring {
    /// The keys whose secrets `keys` names; what is wrong with them is a mistake in the settings.
    pub(crate) fn read(settings: &Settings, root: &Section<'_>) -> Self {
        let mut names = root.numbered_texts("keys");
        if names.is_empty() {
            names.push(("keys".to_owned(), NAME.to_owned()));
        }
        let mut keys: Vec<MasterKey> = Vec::new();
        for (at, name) in names {
            let Some(secret) = settings.secret(&name) else {
                let remedy = format!("secrets = {{ {name:?} = \"file:PATH\" }}");
                root.mistake(&at, format_args!("no key; grant one with {remedy}: {name}"));
                continue;
            };
            match MasterKey::parse(&secret) {
                Some(key) if keys.iter().any(|other| other.id == key.id) => {
                    root.mistake(&at, format_args!("a key that stands there already: {name}"));
                }
                Some(key) => keys.push(key),
                None => {
                    let wanted = "32 octets in hexadecimal or base64 are wanted, such as \
                                  openssl rand -hex 32 makes";
                    root.mistake(&at, format_args!("{wanted}: {name}"));
                }
            }
        }
        Self(keys)
    }

    /// The key for new files.
    pub(crate) fn first(&self) -> Option<&MasterKey> {
        self.0.first()
    }

    /// The key that a file names.
    pub(crate) fn find(&self, id: &[u8]) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl MasterKey {
    fn parse(secret: &Secret) -> Option<Self> {
        let text = secret.text()?.trim();
        let octets = match text.len() {
            64 => from_hex(text)?,
            _ => BASE64.decode(text).ok()?,
        };
        if octets.len() != KEY {
            return None;
        }
        let id = *crypto::hmac_sha256(&octets, ID_INFO).first_chunk()?;
        Some(Self { id, secret: Secret::new(octets) })
    }

    /// What files say of it.
    pub(crate) fn id(&self) -> &[u8; ID] {
        &self.id
    }

    /// The key of the file that has this salt.
    pub(crate) fn of_file(&self, salt: &[u8]) -> Option<[u8; KEY]> {
        derive(self.secret.octets(), salt, FILE_INFO)
    }
}

/// HKDF-SHA-256 for as many octets as one hash has.
fn derive(master: &[u8], salt: &[u8], info: &[u8]) -> Option<[u8; KEY]> {
    let extracted = crypto::hmac_sha256(salt, master);
    let expanded = crypto::hmac_sha256(&extracted, &[info, &[1]].concat());
    expanded.try_into().ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.chars().map(|digit| digit.to_digit(16));
    let mut octets = Vec::with_capacity(text.len() / 2);
    while let Some(high) = digits.next() {
        octets.push(u8::try_from(high? * 16 + digits.next()??).ok()?);
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Vec<u8>> {
        MasterKey::parse(&Secret::new(text)).map(|key| key.secret.octets().to_vec())
    }

    #[test]
    fn keys_are_read_from_hexadecimal_and_base64() {
        let octets: Vec<u8> = (0..32).map(|n| n * 8 + 7).collect();
        for text in [
            "070f171f272f373f474f575f676f777f878f979fa7afb7bfc7cfd7dfe7eff7ff\n",
            "070F171F272F373F474F575F676F777F878F979FA7AFB7BFC7CFD7DFE7EFF7FF",
            "Bw8XHycvNz9HT1dfZ293f4ePl5+nr7e/x8/X3+fv9/8=\n",
            "Bw8XHycvNz9HT1dfZ293f4ePl5+nr7e/x8/X3+fv9/8",
        ] {
            assert_eq!(parse(text), Some(octets.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let (short, long) = ("07".repeat(31), "07".repeat(33));
        for text in ["", "secret", &short, &long, &"0g".repeat(32), &"ä".repeat(32)] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(MasterKey::parse(&Secret::new([0xff; 32])).is_none());
    }

    #[test]
    fn keys_are_derived_as_in_the_first_case_of_rfc_5869() {
        let salt: Vec<u8> = (0..13).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let wanted = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf";
        let derived = derive(&[0x0b; 22], &salt, &info).unwrap();
        assert_eq!(derived.to_vec(), from_hex(wanted).unwrap());
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = MasterKey::parse(&Secret::new("07".repeat(32))).unwrap();
        assert!(format!("{key:?}").contains("***"));
    }
}
