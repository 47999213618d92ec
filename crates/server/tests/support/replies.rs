//! Replies as a strict client reads them.

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Read};
use super::text::escape;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// Its lines as they came.
    pub lines: Vec<String>,
}

impl Reply {
    pub fn is_final(&self) -> bool {
        self.code >= 200
    }
}

/// Reads the next reply, and says what is wrong with its form if anything is (RFC 959, 4.2).
pub async fn reply<S>(control: &mut Connection<S>) -> Read<Reply>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = line(control).await?;
    let Some((code, is_last)) = head(&first) else { return Err(format!("no reply: {first}")) };
    let mut reply = Reply { code, lines: vec![first] };
    let mut ended = is_last;
    while !ended {
        let line = line(control).await?;
        ended = head(&line) == Some((code, true));
        if !ended && !line.starts_with(' ') {
            return Err(format!("an inner line that may be taken for another reply: {line}"));
        }
        reply.lines.push(line);
    }
    Ok(reply)
}

/// The code at the beginning of a line, and whether the reply ends with that line.
fn head(line: &str) -> Option<(u16, bool)> {
    let (code, rest) = line.split_at_checked(3)?;
    let is_code = code.starts_with(['1', '2', '3', '4', '5']);
    let code = code.parse().ok().filter(|_| is_code)?;
    match rest.chars().next()? {
        ' ' => Some((code, true)),
        '-' => Some((code, false)),
        _ => None,
    }
}

async fn line<S>(control: &mut Connection<S>) -> Read<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = control.line().await?;
    if line.iter().any(|b| matches!(b, b'\r' | 0)) {
        return Err(format!("a line with CR or NUL: {}", escape(&line)));
    }
    Ok(escape(&line))
}
