//! The server's side: the socket, who may use it, and what is done for them.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::getuid;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;
use waft_plugin_host::{Change, Host, OperateError};
use waft_server::Server;
use waft_server::net::tcp::TcpNetwork;

use super::{Answer, REQUEST_BYTES_MAX, Request, report};

/// How long accepting pauses after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What is controlled.
#[derive(Clone)]
pub(crate) struct Controlled {
    pub(crate) server: Arc<Server<TcpNetwork>>,
    pub(crate) host: Host,
}

/// The control socket is served as long as this lives; then its file is removed.
pub(crate) struct Serving {
    task: AbortHandle,
    path: PathBuf,
}

impl Serving {
    /// Serves the socket at that path. Needs a tokio runtime.
    ///
    /// # Errors
    /// It cannot be made there: another server serves it, or the system refuses.
    pub(crate) fn start(path: &Path, controlled: Controlled) -> io::Result<Self> {
        let listener = bind(path)?;
        // Who is quicker than this is turned away for who it is.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        tracing::debug!(socket = %path.display(), "control socket served");
        let task = tokio::spawn(accept(listener, controlled)).abort_handle();
        Ok(Self { task, path: path.to_owned() })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
        // Gone already, or it stays and is taken over by the next server.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds the socket; one that nobody serves any more is removed first.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match StdStream::connect(path) {
            Ok(_) => Err(io::Error::other("another server serves it")),
            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            Err(_) => Err(error),
        },
        result => result,
    }
}

async fn accept(listener: UnixListener, controlled: Controlled) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, controlled.clone()));
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept on the control socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, controlled: Controlled) {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    let mut stream = BufReader::new(stream);
    match peer {
        Ok(uid) if uid == 0 || uid == getuid().as_raw() => {
            // A caller that goes away in the middle is nobody's trouble.
            let _ = converse(&mut stream, uid, &controlled).await;
        }
        _ => {
            tracing::warn!(uid = peer.ok(), "control socket refused: neither root nor the server");
            let refusal = Answer::error("only root and the user of the server may ask");
            let _ = write(&mut stream, &refusal).await;
        }
    }
}

async fn converse(
    stream: &mut BufReader<UnixStream>,
    uid: u32,
    controlled: &Controlled,
) -> io::Result<()> {
    loop {
        let mut line = String::new();
        (&mut *stream).take(REQUEST_BYTES_MAX).read_line(&mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                note(uid, &request);
                controlled.answer(request).await
            }
            Err(error) => Answer::error(format!("not understood: {error}")),
        };
        write(stream, &answer).await?;
        if !line.ends_with('\n') {
            return Ok(());
        }
    }
}

async fn write(stream: &mut BufReader<UnixStream>, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// What changes something is logged with who asked for it.
fn note(uid: u32, request: &Request) {
    let (what, plugin) = match request {
        Request::Status | Request::Plugins | Request::Drain { force: false, .. } => return,
        Request::Drain { plugin, .. } => ("drain by force", Some(plugin.as_str())),
        Request::Reload { plugin } => ("reload", plugin.as_deref()),
        Request::Rollback { plugin } => ("rollback", Some(plugin.as_str())),
        Request::Promote { plugin } => ("promote", Some(plugin.as_str())),
        Request::Disable { plugin } => ("disable", Some(plugin.as_str())),
        Request::Enable { plugin } => ("enable", Some(plugin.as_str())),
    };
    tracing::info!(uid, what, plugin, "asked over the control socket");
}

impl Controlled {
    async fn answer(&self, request: Request) -> Answer {
        let changes = match request {
            Request::Status => return Answer::Done(report::server(&self.server, &self.host)),
            Request::Plugins => return done(&self.host.status()),
            Request::Drain { plugin, seconds, force } => {
                let within = Duration::from_secs(seconds);
                let left = match force {
                    true => self.host.force_drain(&plugin, within).await,
                    false => self.host.drain(&plugin, within).await,
                };
                return match left {
                    Ok(left) => Answer::Done(json!({ "plugin": plugin, "draining": left })),
                    Err(error) => refused(&error),
                };
            }
            Request::Reload { plugin } => self.host.reload(plugin.as_deref()).await,
            Request::Rollback { plugin } => self.host.rollback(&plugin).await,
            Request::Promote { plugin } => self.host.promote(&plugin).await,
            Request::Disable { plugin } => self.host.disable(&plugin).await,
            Request::Enable { plugin } => self.host.enable(&plugin).await,
        };
        match changes {
            Ok(changes) => Answer::Done(self.changed(&changes)),
            Err(error) => refused(&error),
        }
    }

    fn changed(&self, changes: &[Change]) -> serde_json::Value {
        let changes: Vec<_> = changes.iter().map(report::change).collect();
        json!({ "generation": self.host.generation(), "changes": changes })
    }
}

fn done(status: &impl serde::Serialize) -> Answer {
    serde_json::to_value(status).map_or_else(Answer::error, Answer::Done)
}

fn refused(error: &OperateError) -> Answer {
    Answer::Error { message: error.to_string(), remedy: error.remedy() }
}
