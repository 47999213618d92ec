//! One upload, while it passes.

use waft_plugin_sdk::{Filter, Reply, Verdict, metrics};

use crate::kinds;

/// How long a file with the test text may be: behind the text stands white space alone.
const EICAR_FILE_BYTES_MAX: u64 = 128;

/// What is looked for in contents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents {
    /// Bytes.
    pub(crate) max_size: Option<u64>,
    /// Whether a file must be what its name says.
    pub(crate) match_content: bool,
    /// Whether the test file of virus scanners is refused.
    pub(crate) eicar: bool,
    /// Whether what is refused for what it is goes to the quarantine.
    pub(crate) quarantine: bool,
}

impl Contents {
    /// Whether anything is looked for.
    pub(crate) fn any(self) -> bool {
        self.max_size.is_some() || self.match_content || self.eicar
    }
}

/// What has been seen of one upload: its first bytes and its length.
#[derive(Debug)]
pub struct Scan {
    contents: Contents,
    extension: String,
    head: Vec<u8>,
    length: u64,
}

impl Scan {
    pub(crate) fn new(contents: Contents, extension: String) -> Self {
        Self { contents, extension, head: Vec::new(), length: 0 }
    }

    /// What the beginning tells, once there is enough of it.
    fn mistake(&self) -> Option<&'static str> {
        let text = eicar();
        let rest = self.head.strip_prefix(text.as_slice());
        if self.contents.eicar
            && self.length <= EICAR_FILE_BYTES_MAX
            && rest.is_some_and(|rest| rest.iter().all(|octet| b" \t\r\n\x1a".contains(octet)))
        {
            return Some("A virus was found.");
        }
        // Of a file without contents, a name says nothing wrong.
        let disguised = self.contents.match_content
            && self.length > 0
            && !kinds::agree(&self.extension, &self.head);
        disguised.then_some("The contents are not what the name says.")
    }
}

impl Filter for Scan {
    fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
        self.length = self.length.saturating_add(chunk.len() as u64);
        if self.contents.max_size.is_some_and(|most| self.length > most) {
            metrics::counter("uploads_refused_total", 1, &[("reason", "size")]);
            return Err(Reply::new(552, "The file is larger than is allowed here."));
        }
        let known = self.head.len();
        self.head.extend(chunk.iter().take(kinds::HEAD_BYTES.saturating_sub(known)));
        // The sooner a client learns, the less it sends in vain; the quarantine wants all of it.
        if known < kinds::HEAD_BYTES
            && self.head.len() == kinds::HEAD_BYTES
            && !self.contents.quarantine
            && let Some(mistake) = self.mistake()
        {
            return Err(refusal(mistake));
        }
        Ok(Vec::new())
    }

    fn finish(self) -> Verdict {
        match self.mistake() {
            None => Verdict::Accept(Vec::new()),
            Some(mistake) if self.contents.quarantine => Verdict::Quarantine(refusal(mistake)),
            Some(mistake) => Verdict::Refuse(refusal(mistake)),
        }
    }
}

fn refusal(mistake: &str) -> Reply {
    metrics::counter("uploads_refused_total", 1, &[("reason", "content")]);
    Reply::new(550, mistake)
}

/// The text of the test file of virus scanners (eicar.org), put together here: a program with the
/// text in it would be taken for one.
pub(crate) fn eicar() -> Vec<u8> {
    let halves = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD", "-ANTIVIRUS-TEST-FILE!$H+H*"];
    halves.concat().into_bytes()
}
