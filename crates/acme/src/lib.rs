//! A certificate from an authority that speaks ACME (RFC 8555), kept up to date in a file.
//!
//! A [`Keeper`] is a task that looks when the certificate in the file is due (`schedule`), orders
//! the next one (`order`), answers the authority's challenge on a listener of its own (`answers`)
//! and replaces the file (`store`). What fails is tried again, later each time, and the file stays
//! as it was.
//!
//! It hangs on none of the other crates: whoever serves with the certificate reads the file, as
//! any other file with a certificate, when [`Keeper::renewed`] says so.
//!
//! What is *not* here: the protocol itself, which is `instant-acme`'s; what is served until there
//! is a first certificate; configuration files.
#![forbid(unsafe_code)]

mod answers;
mod error;
mod order;
mod schedule;
mod store;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use answers::Answers;
use error::Error;
use schedule::Schedule;
use store::{Store, Validity};

/// How an authority sees that a name is the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// It fetches a text from port 80 (RFC 8555, section 8.3).
    Http01,
    /// It looks at a certificate on port 443 (RFC 8737).
    TlsAlpn01,
}

/// Which certificate, from whom, and where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The host names that it is for, the first one to begin with.
    pub names: Vec<String>,
    /// The URL of the authority's directory.
    pub authority: String,
    /// A PEM file with the certificate that the authority's own server is verified by, in place of
    /// those that the system trusts.
    pub authority_certificate: Option<PathBuf>,
    /// Mail addresses that the authority may write to.
    pub contact: Vec<String>,
    /// Whether the authority's terms of service are agreed to. Without that, most issue nothing.
    pub terms_agreed: bool,
    /// How names are proved.
    pub challenge: Challenge,
    /// The file of the account with the authority, its key included.
    pub account_file: PathBuf,
    /// The file of the private key and, behind it, the certificate and its chain, in PEM.
    pub certificate_file: PathBuf,
}

/// How long one order may take, all waiting for the authority included.
const ORDER_MAX: Duration = Duration::from_secs(600);

/// Keeps a certificate up to date until it is dropped.
#[must_use = "dropping it ends its work"]
#[derive(Debug)]
pub struct Keeper {
    tasks: [AbortHandle; 2],
    renewed: Arc<Notify>,
}

impl Keeper {
    /// Begins to. The listener is where challenges are answered. Needs a tokio runtime with time
    /// and IO enabled.
    ///
    /// # Errors
    ///
    /// The system refuses to hand the listener over.
    pub fn start(settings: Settings, listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let answers = Arc::new(Answers::new(settings.challenge));
        let renewed = Arc::new(Notify::new());
        let answering = tokio::spawn(answers::serve(listener, Arc::clone(&answers)));
        let keeping = tokio::spawn(keep(settings, answers, Arc::clone(&renewed)));
        Ok(Self { tasks: [answering.abort_handle(), keeping.abort_handle()], renewed })
    }

    /// Waits until the file has been replaced. No renewal is missed between two calls.
    pub async fn renewed(&self) {
        self.renewed.notified().await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn keep(settings: Settings, answers: Arc<Answers>, renewed: Arc<Notify>) {
    let store = Store::of(&settings);
    let stored = store.validity().filter(|stored| stored.is_for(&settings.names));
    let mut schedule = Schedule::new(stored.as_ref().map(Validity::due));
    loop {
        let wait = schedule.wait(SystemTime::now());
        if !wait.is_zero() {
            sleep(wait).await;
            continue;
        }
        match obtain(&settings, &store, &answers).await {
            Ok(validity) => {
                schedule.obtained(SystemTime::now(), validity.due());
                renewed.notify_one();
            }
            Err(error) => {
                let retry_in = schedule.failed(SystemTime::now());
                let remedy = error.remedy(&settings);
                tracing::error!(
                    %error,
                    remedy,
                    retry_in_seconds = retry_in.as_secs(),
                    "no certificate obtained: what is in use stays in use"
                );
            }
        }
    }
}

async fn obtain(settings: &Settings, store: &Store, answers: &Answers) -> Result<Validity, Error> {
    let (names, authority) = (settings.names.join(", "), settings.authority.as_str());
    tracing::info!(names, authority, "asking for a certificate");
    let ordered = timeout(ORDER_MAX, order::certificate(settings, store, answers)).await;
    answers.clear();
    let validity = ordered.map_err(|_| Error::TimedOut)??;
    tracing::info!(
        names,
        days = validity.days(),
        file = %settings.certificate_file.display(),
        "certificate obtained"
    );
    Ok(validity)
}
