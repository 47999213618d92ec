//! The signals that steer a server.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals to stop, from the moment of their installation on.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

/// The signal to read the configuration again.
pub(super) struct Reload(Signal);

impl Stop {
    /// Takes SIGTERM and SIGINT over from the system, which would end the process.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Reload {
    /// Takes SIGHUP over from the system, which would end the process.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        self.0.recv().await;
    }
}
