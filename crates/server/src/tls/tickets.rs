//! Fresh TLS 1.3 tickets on a control connection, as many as its client spends.
//!
//! A ticket resumes one data connection where the client uses it once, as it should, and many
//! clients keep no more than the last one: after a transfer they have nothing to resume. Data
//! connections send no tickets, because clients that upload do not read them. TLS 1.3 lets a server
//! send them on the control connection at any time; rustls does so with the handshake only, and
//! takes no message of ours. So this stands between rustls and the control connection: it keeps the
//! first ticket that rustls made, and sends it again, sealed anew, where the session wants it.
//!
//! For that, records are numbered anew: each one that rustls wrote is opened with the connection's
//! own key, and its content sealed with the same key under the next number. What rustls sealed
//! stays here, so that no number ever goes out with two contents. Everything else is as it was.
//!
//! What such tickets have in common is their nonce, and so the key that they stand for: as if a
//! ticket were used more than once, which `binding` allows within one control session anyway.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, KeyType, Prk};
use rustls::server::ProducesTickets;
use rustls::{CipherSuite, KeyLog};
use zeroize::Zeroizing;

/// Octets before a record's content: type, version, length.
const HEADER_BYTES: usize = 5;

/// Types of records.
const HANDSHAKE: u8 = 22;
const PROTECTED: u8 = 23;

/// Types of handshake messages.
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// The name of the secret that protects what a server writes, among those that rustls tells.
const SERVER_SECRET: &str = "SERVER_TRAFFIC_SECRET_0";

/// What it takes to send tickets again; made for one handshake.
#[derive(Clone)]
pub(crate) struct Tickets {
    secret: Arc<Secret>,
    /// Seals what is in a ticket.
    sealer: Arc<dyn ProducesTickets>,
}

impl Tickets {
    pub(super) fn new(sealer: Arc<dyn ProducesTickets>) -> Tickets {
        Tickets { secret: Arc::default(), sealer }
    }

    /// For rustls to tell the secret to.
    pub(super) fn key_log(&self) -> Arc<dyn KeyLog> {
        Arc::clone(&self.secret) as _
    }
}

/// The secret that protects what the server writes.
#[derive(Default)]
struct Secret(Mutex<Option<Zeroizing<Vec<u8>>>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl KeyLog for Secret {
    fn will_log(&self, label: &str) -> bool {
        label == SERVER_SECRET
    }

    fn log(&self, _: &str, _: &[u8], secret: &[u8]) {
        let secret = Zeroizing::new(secret.to_vec());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret);
    }
}

/// What rustls writes to a control connection, on its way.
pub(super) enum Outbound {
    /// Goes as it is: there are no tickets to send.
    AsItIs,
    /// The handshake goes as it is; the tickets at its end are looked for.
    Handshake { pieces: Pieces, protected: Vec<Vec<u8>>, tickets: Tickets },
    /// Is numbered anew.
    Numbered(Box<Numbered>),
}

impl Outbound {
    pub(super) fn watching(tickets: Tickets) -> Outbound {
        Outbound::Handshake { pieces: Pieces::default(), protected: Vec::new(), tickets }
    }

    /// Notes what was written during the handshake.
    pub(super) fn note(&mut self, octets: &[u8]) {
        let Outbound::Handshake { pieces, protected, .. } = self else { return };
        pieces.push(octets);
        while let Some(record) = pieces.next_record() {
            if record.first() == Some(&PROTECTED) {
                protected.push(record);
            }
        }
    }

    /// The handshake is over, with that cipher suite. Where it brought no tickets, or is not of
    /// TLS 1.3, records go on as they are.
    pub(super) fn begin(&mut self, suite: Option<CipherSuite>) {
        *self = match std::mem::replace(self, Outbound::AsItIs) {
            Outbound::Handshake { protected, tickets, .. } => {
                let numbered = suite.and_then(|suite| Numbered::new(suite, protected, tickets));
                numbered.map_or(Outbound::AsItIs, |numbered| Outbound::Numbered(Box::new(numbered)))
            }
            other => other,
        };
    }
}

/// Octets that become records.
#[derive(Default)]
pub(super) struct Pieces(Vec<u8>);

impl Pieces {
    fn push(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    fn next_record(&mut self) -> Option<Vec<u8>> {
        let [_, _, _, high, low, ..] = *self.0 else { return None };
        let length = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
        if self.0.len() < length {
            return None;
        }
        let rest = self.0.split_off(length);
        Some(std::mem::replace(&mut self.0, rest))
    }
}

/// Records under numbers of their own.
pub(super) struct Numbered {
    algorithms: Algorithms,
    secret: Zeroizing<Vec<u8>>,
    key: Key,
    /// The number of the next record that rustls writes.
    theirs: u64,
    /// The number of the next record that goes out.
    ours: u64,
    ticket: Ticket,
    pieces: Pieces,
    /// What is to go out.
    ready: Vec<u8>,
}

/// A record cannot be opened or sealed, which would be an error here or in rustls.
#[derive(Debug)]
pub(super) struct Unsealable;

impl From<aws_lc_rs::error::Unspecified> for Unsealable {
    fn from(_: aws_lc_rs::error::Unspecified) -> Unsealable {
        Unsealable
    }
}

impl Numbered {
    fn new(suite: CipherSuite, protected: Vec<Vec<u8>>, tickets: Tickets) -> Option<Numbered> {
        let algorithms = Algorithms::of(suite)?;
        let Tickets { secret, sealer } = tickets;
        let secret = secret.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let key = Key::new(&algorithms, &secret).ok()?;
        // Those before are the handshake's own, under other keys.
        let mut theirs = 0;
        let mut messages = Zeroizing::new(Vec::new());
        for record in protected {
            if let Ok(content) = key.open(theirs, record) {
                messages.extend_from_slice(without_type(&content)?.0);
                theirs += 1;
            }
        }
        let ticket = Ticket::parse(&messages, sealer)?;
        let (pieces, ready) = Default::default();
        Some(Numbered { algorithms, secret, key, theirs, ours: theirs, ticket, pieces, ready })
    }

    /// Takes what rustls writes.
    pub(super) fn push(&mut self, octets: &[u8]) -> Result<(), Unsealable> {
        self.pieces.push(octets);
        while let Some(record) = self.pieces.next_record() {
            let content = self.key.open(self.theirs, record)?;
            self.theirs += 1;
            let new_key = matches!(without_type(&content), Some(([KEY_UPDATE, ..], HANDSHAKE)));
            self.seal(content)?;
            if new_key {
                self.secret = self.algorithms.next_secret(&self.secret)?;
                self.key = Key::new(&self.algorithms, &self.secret)?;
                (self.theirs, self.ours) = (0, 0);
            }
        }
        Ok(())
    }

    /// Puts a ticket before whatever rustls writes next.
    pub(super) fn issue(&mut self) -> Result<(), Unsealable> {
        // Between two records only.
        if !self.pieces.0.is_empty() {
            return Ok(());
        }
        match self.ticket.message() {
            Some(mut message) => {
                message.push(HANDSHAKE);
                self.seal(Zeroizing::new(message))
            }
            None => Ok(()),
        }
    }

    /// What is to go out; what went is removed by whoever takes it.
    pub(super) fn ready(&mut self) -> &mut Vec<u8> {
        &mut self.ready
    }

    fn seal(&mut self, content: Zeroizing<Vec<u8>>) -> Result<(), Unsealable> {
        let record = self.key.seal(self.ours, content)?;
        self.ours += 1;
        self.ready.extend_from_slice(&record);
        Ok(())
    }
}

/// What rustls put into a ticket, and what stands beside it in the message (RFC 8446, 4.6.1).
struct Ticket {
    lifetime: [u8; 4],
    age_add: [u8; 4],
    nonce: Vec<u8>,
    state: Zeroizing<Vec<u8>>,
    sealer: Arc<dyn ProducesTickets>,
}

impl Ticket {
    /// The first of some messages.
    fn parse(messages: &[u8], sealer: Arc<dyn ProducesTickets>) -> Option<Ticket> {
        let (&[NEW_SESSION_TICKET, ..], rest) = messages.split_first_chunk::<4>()? else {
            return None;
        };
        let (lifetime, rest) = rest.split_first_chunk()?;
        let (age_add, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (nonce, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk()?;
        let ticket = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        let state = Zeroizing::new(sealer.decrypt(ticket)?);
        let (lifetime, age_add, nonce) = (*lifetime, *age_add, nonce.to_vec());
        Some(Ticket { lifetime, age_add, nonce, state, sealer })
    }

    /// The message again, with a ticket that is sealed now: keys of tickets change.
    fn message(&self) -> Option<Vec<u8>> {
        let ticket = self.sealer.encrypt(&self.state)?;
        let body = [
            &self.lifetime[..],
            &self.age_add,
            &[u8::try_from(self.nonce.len()).ok()?],
            &self.nonce,
            &u16::try_from(ticket.len()).ok()?.to_be_bytes(),
            &ticket,
            // No extensions.
            &[0, 0],
        ]
        .concat();
        let [_, length @ ..] = u32::try_from(body.len()).ok()?.to_be_bytes();
        Some([&[NEW_SESSION_TICKET][..], &length, &body].concat())
    }
}

/// The content of a record and its type, without padding.
fn without_type(inner: &[u8]) -> Option<(&[u8], u8)> {
    let end = inner.iter().rposition(|octet| *octet != 0)?;
    Some((inner.get(..end)?, *inner.get(end)?))
}

/// What a cipher suite stands for.
#[derive(Clone, Copy)]
struct Algorithms {
    aead: &'static aead::Algorithm,
    hkdf: hkdf::Algorithm,
}

impl Algorithms {
    fn of(suite: CipherSuite) -> Option<Algorithms> {
        let (aead, hkdf) = match suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => (&aead::AES_128_GCM, HKDF_SHA256),
            CipherSuite::TLS13_AES_256_GCM_SHA384 => (&aead::AES_256_GCM, HKDF_SHA384),
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => (&aead::CHACHA20_POLY1305, HKDF_SHA256),
            _ => return None,
        };
        Some(Algorithms { aead, hkdf })
    }

    /// The secret behind a change of keys (RFC 8446, 7.2).
    fn next_secret(&self, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        self.expand(secret, b"traffic upd", secret.len())
    }

    /// HKDF-Expand-Label without a context (RFC 8446, 7.1).
    fn expand(
        &self,
        secret: &[u8],
        label: &[u8],
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let octets = u16::try_from(length).map_err(|_| Unsealable)?.to_be_bytes();
        let label = [b"tls13 ", label].concat();
        let label_length = [u8::try_from(label.len()).map_err(|_| Unsealable)?];
        let info = [&octets[..], &label_length, &label, &[0]];
        let mut expanded = Zeroizing::new(vec![0; length]);
        let prk = Prk::new_less_safe(self.hkdf, secret);
        prk.expand(&info, Length(length))?.fill(&mut expanded)?;
        Ok(expanded)
    }
}

/// How much is to be derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// What opens and seals records (RFC 8446, 5.2).
struct Key {
    key: LessSafeKey,
    iv: Zeroizing<Vec<u8>>,
}

impl Key {
    fn new(algorithms: &Algorithms, secret: &[u8]) -> Result<Key, Unsealable> {
        let key = algorithms.expand(secret, b"key", algorithms.aead.key_len())?;
        let iv = algorithms.expand(secret, b"iv", NONCE_LEN)?;
        Ok(Key { key: LessSafeKey::new(UnboundKey::new(algorithms.aead, &key)?), iv })
    }

    /// The content and type of a record.
    fn open(&self, number: u64, mut record: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (header, sealed) = record.split_first_chunk_mut::<HEADER_BYTES>().ok_or(Unsealable)?;
        let length = self.key.open_in_place(self.nonce(number)?, Aad::from(*header), sealed)?.len();
        record.drain(..HEADER_BYTES);
        record.truncate(length);
        Ok(Zeroizing::new(record))
    }

    /// A record of that content and type.
    fn seal(&self, number: u64, mut inner: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, Unsealable> {
        let length = inner.len() + self.key.algorithm().tag_len();
        let [high, low] = u16::try_from(length).map_err(|_| Unsealable)?.to_be_bytes();
        let header = [PROTECTED, 3, 3, high, low];
        let nonce = self.nonce(number)?;
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut *inner)?;
        Ok([&header[..], &inner].concat())
    }

    fn nonce(&self, number: u64) -> Result<aead::Nonce, Unsealable> {
        let mut nonce = [0; NONCE_LEN];
        if let Some((_, last)) = nonce.split_last_chunk_mut() {
            *last = number.to_be_bytes();
        }
        for (octet, iv) in nonce.iter_mut().zip(self.iv.iter()) {
            *octet ^= iv;
        }
        Ok(aead::Nonce::assume_unique_for_key(nonce))
    }
}
