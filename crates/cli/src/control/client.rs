//! The operator's side: one question, one answer.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use super::{Answer, Request};

/// Asks the server that serves this socket.
///
/// # Errors
/// There is no server, it is not the caller's to ask, or it says no.
pub(crate) fn ask(socket: &Path, request: &Request) -> anyhow::Result<Value> {
    let stream = UnixStream::connect(socket).map_err(|error| explained(socket, error))?;
    let answer = exchange(stream, request)
        .with_context(|| format!("no answer over the control socket {}", socket.display()))?;
    match answer {
        Answer::Done(value) => Ok(value),
        Answer::Error { message, remedy: None } => bail!(message),
        Answer::Error { message, remedy: Some(remedy) } => bail!("{message}\n  remedy: {remedy}"),
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> anyhow::Result<Answer> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // Who is turned away may be so before the question is out; the answer tells.
    let sent = stream.write_all(&line);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        sent?;
        bail!("the server ended the connection");
    }
    Ok(serde_json::from_str(&answer)?)
}

fn explained(socket: &Path, error: io::Error) -> anyhow::Error {
    let shown = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => anyhow!(
            "no server runs here: nobody serves the control socket {shown}\n  \
             remedy: start it, or name its configuration with --config"
        ),
        ErrorKind::PermissionDenied => {
            let owner = socket.metadata().map(|metadata| metadata.uid());
            let whose = owner.map_or_else(
                |_| "you may not reach it".to_owned(),
                |uid| format!("it belongs to the user with the number {uid}"),
            );
            anyhow!(
                "not your server: {whose}: {shown}\n  \
                 remedy: ask as root, or as the user that the server runs as"
            )
        }
        _ => anyhow::Error::new(error).context(format!("the control socket {shown}")),
    }
}
