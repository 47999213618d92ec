//! Listings: LIST, NLST, MLSD on a data connection, STAT on the control connection.

use waft_core::BoxFuture;
use waft_core::account::{Permission, Permissions};
use waft_core::hooks::FileOp;
use waft_core::storage::{
    Batch, Directory, ErrorKind, FileKind, LocalFile, Metadata, Reader, StorageError,
};
use waft_proto::facts::{Fact, write_mlsd_line};
use waft_proto::listing::{parse_list_argument, write_list_line, write_name_line};
use waft_proto::{Code, FactSet, Reply, Text, Timestamp};

use super::facts::entry;
use super::reach::{Actor, View};
use super::{Answer, Refusal};
use crate::glob;
use crate::net::Network;
use crate::session::Session;
use crate::settings::Hidden;
use crate::transfer::{Source, Transfer};

/// How entries are shown.
#[derive(Clone, Copy)]
enum Format {
    /// As `/bin/ls -l` does.
    List { now: Timestamp },
    /// Names.
    Names,
    /// Facts.
    Facts(FactSet),
}

impl Format {
    /// Whether it shows when entries were made.
    fn tells_created(self) -> bool {
        matches!(self, Format::Facts(facts) if facts.contains(Fact::Create))
    }
}

/// What is to be listed.
enum Subject {
    /// The entries of a directory; of those whose names fit a pattern.
    Entries {
        directory: Box<dyn Directory>,
        pattern: Option<Vec<u8>>,
        /// As plugins let it be seen, if they have a say in it.
        view: Option<View>,
    },
    /// One file.
    One(Vec<u8>, Metadata),
}

/// A listing, formatted batch by batch as it is read: its memory does not grow with the directory.
struct Listing {
    subject: Option<Subject>,
    format: Format,
    /// What goes before each name of NLST.
    prefix: Vec<u8>,
    hidden: Hidden,
    may: Permissions,
    entries_left: Option<usize>,
    batch: Batch,
}

impl<N: Network> Session<N> {
    /// LIST.
    pub(super) async fn list(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
    ) -> Result<Transfer, Refusal> {
        let now = Timestamp::from(std::time::SystemTime::now());
        let listing = self.shell_listing(by, argument, Format::List { now }).await?;
        Ok(Transfer::send("the directory listing", Source::Listing(Box::new(listing))))
    }

    /// NLST.
    pub(super) async fn nlst(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
    ) -> Result<Transfer, Refusal> {
        let listing = self.shell_listing(by, argument, Format::Names).await?;
        Ok(Transfer::send("the list of names", Source::Listing(Box::new(listing))))
    }

    /// MLSD: of directories only (RFC 3659, 7.2).
    pub(super) async fn mlsd(
        &mut self,
        by: &Actor<'_>,
        argument: &[u8],
    ) -> Result<Transfer, Refusal> {
        let path = self.target(by, argument, FileOp::Inspect).await?;
        if by.account.storage.stat(&path).await?.kind != FileKind::Directory {
            return Err(Refusal::new(Code::BAD_PARAMETER, "Not a directory; use MLST."));
        }
        let directory = by.account.storage.open_directory(&path).await?;
        let view = self.view(by, &path);
        let subject = Subject::Entries { directory, pattern: None, view };
        let format = Format::Facts(self.parameters.facts);
        let listing = self.listing(by, subject, format, Hidden::Shown);
        Ok(Transfer::send("the directory listing", Source::Listing(Box::new(listing))))
    }

    /// STAT with a path: a listing on the control connection, of a bounded size. Unlike STAT without
    /// one, it is for those who may list.
    pub(super) async fn stat_path(&mut self, by: &Actor<'_>, argument: &[u8]) -> Answer {
        if !by.account.permissions.allow(Permission::List) {
            return Err(Refusal::denied());
        }
        let now = Timestamp::from(std::time::SystemTime::now());
        let mut listing = self.shell_listing(by, argument, Format::List { now }).await?;
        let code = match listing.subject {
            Some(Subject::One(..)) => Code::FILE_STATUS,
            _ => Code::DIRECTORY_STATUS,
        };
        let mut lines = vec![Text::from("Status follows:")];
        let mut bytes = 0;
        loop {
            let chunk = listing.read(Vec::with_capacity(CHUNK_BYTES)).await?;
            if chunk.is_empty() {
                break;
            }
            bytes += chunk.len();
            if bytes > self.settings.limits.stat_bytes_max {
                return Err(Refusal::new(
                    Code::LOCAL_ERROR,
                    "Too long for the control connection; use LIST.",
                ));
            }
            let chunk = chunk.strip_suffix(b"\r\n").unwrap_or(&chunk);
            lines.extend(
                chunk
                    .split(|&b| b == b'\n')
                    .map(|line| Text::flattened(line.strip_suffix(b"\r").unwrap_or(line))),
            );
        }
        lines.push(Text::from("End of status"));
        Ok(Reply::lines(code, lines).fixed())
    }

    /// What the argument of LIST, NLST or STAT means: options, then a path or a pattern.
    async fn shell_listing(
        &self,
        by: &Actor<'_>,
        argument: &[u8],
        format: Format,
    ) -> Result<Listing, Refusal> {
        let argument = parse_list_argument(argument);
        let name = argument.path.unwrap_or_default();
        let hidden = if argument.all { Hidden::Shown } else { self.settings.transfers.hidden };
        let path = self.target(by, name, FileOp::Inspect).await?;
        let (subject, prefix) = match by.account.storage.stat(&path).await {
            Ok(metadata) if metadata.kind == FileKind::Directory => {
                let directory = by.account.storage.open_directory(&path).await?;
                let view = self.view(by, &path);
                (Subject::Entries { directory, pattern: None, view }, directory_prefix(name))
            }
            Ok(metadata) => (Subject::One(name.to_vec(), metadata), Vec::new()),
            Err(error) if error.kind() == ErrorKind::NotFound && glob::is_pattern(name) => {
                self.matching(by, name).await?
            }
            Err(error) => return Err(error.into()),
        };
        let mut listing = self.listing(by, subject, format, hidden);
        if matches!(format, Format::Names) {
            listing.prefix = prefix;
        }
        Ok(listing)
    }

    /// The entries of the directory above that fit the pattern which is the named path's last part.
    async fn matching(&self, by: &Actor<'_>, name: &[u8]) -> Result<(Subject, Vec<u8>), Refusal> {
        let path = self.path(name)?;
        let (Some(parent), Some(pattern)) = (path.parent(), path.file_name()) else {
            return Err(StorageError::from(ErrorKind::NotFound).into());
        };
        let parent = self.reach(by, FileOp::Inspect(parent)).await?;
        let directory = by.account.storage.open_directory(&parent).await?;
        let view = self.view(by, &parent);
        let slash = name.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        let prefix = name.get(..slash).unwrap_or_default().to_vec();
        Ok((Subject::Entries { directory, pattern: Some(pattern.to_vec()), view }, prefix))
    }

    fn listing(
        &self,
        by: &Actor<'_>,
        mut subject: Subject,
        format: Format,
        hidden: Hidden,
    ) -> Listing {
        if let Subject::Entries { directory, .. } = &mut subject
            && !format.tells_created()
        {
            directory.spare_created();
        }
        let entries = self.settings.limits.listing_entries_max;
        Listing {
            subject: Some(subject),
            format,
            prefix: Vec::new(),
            hidden,
            may: by.account.permissions,
            entries_left: (entries != 0).then_some(entries),
            batch: Batch::default(),
        }
    }
}

/// Octets after which a piece of a listing goes out.
const CHUNK_BYTES: usize = 64 * 1024;

/// What NLST puts before the names in a directory: the argument, with one slash at its end.
fn directory_prefix(name: &[u8]) -> Vec<u8> {
    match name {
        [] => Vec::new(),
        [.., b'/'] => name.to_vec(),
        _ => [name, b"/"].concat(),
    }
}

impl Listing {
    /// Appends the next entries, up to a piece and the rest of a batch; none are the end.
    ///
    /// The buffer's capacity says nothing: it grows by what goes beyond it, and pieces that followed
    /// it would become as long as the listing.
    async fn fill(&mut self, out: &mut Vec<u8>) -> Result<(), StorageError> {
        loop {
            match self.subject.take() {
                None => return Ok(()),
                Some(Subject::One(name, metadata)) => {
                    self.write(out, &name, &metadata);
                    return Ok(());
                }
                Some(Subject::Entries { mut directory, pattern, mut view }) => {
                    let mut batch = std::mem::take(&mut self.batch);
                    directory.read(&mut batch).await?;
                    if batch.is_empty() {
                        return Ok(());
                    }
                    let shown = match &mut view {
                        Some(view) => view.of(&batch).await?,
                        None => None,
                    };
                    self.write_batch(out, &batch, shown.as_deref(), pattern.as_deref())?;
                    self.batch = batch;
                    self.subject = Some(Subject::Entries { directory, pattern, view });
                    if out.len() >= CHUNK_BYTES {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn write_batch(
        &mut self,
        out: &mut Vec<u8>,
        batch: &Batch,
        shown: Option<&[bool]>,
        pattern: Option<&[u8]>,
    ) -> Result<(), StorageError> {
        for (index, (name, metadata)) in batch.iter().enumerate() {
            if shown.is_some_and(|shown| shown.get(index) != Some(&true)) {
                continue;
            }
            let hidden = self.hidden == Hidden::OnlyAsked && name.starts_with(b".");
            // As in a shell, a pattern fits a hidden name only if it says the dot itself.
            let fits = pattern.is_none_or(|pattern| {
                (pattern.starts_with(b".") || !name.starts_with(b".")) && glob::fits(pattern, name)
            });
            if (hidden && pattern.is_none()) || !fits {
                continue;
            }
            match &mut self.entries_left {
                Some(0) => return Err(ErrorKind::TooManyEntries.into()),
                Some(left) => *left -= 1,
                None => {}
            }
            self.write(out, name, metadata);
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>, name: &[u8], metadata: &Metadata) {
        let entry = entry(name, metadata, self.may);
        let written = match self.format {
            Format::List { now } => write_list_line(out, &entry, now),
            Format::Names => write_name_line(out, &self.prefix, name),
            Format::Facts(facts) => write_mlsd_line(out, facts, &entry),
        };
        if !written {
            tracing::debug!("a name with a line end was left out of a listing");
        }
    }
}

impl Reader for Listing {
    fn size(&self) -> Option<u64> {
        None
    }

    fn read(&mut self, mut buffer: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, StorageError>> {
        Box::pin(async move {
            // A batch whose entries are all left out does not end the listing.
            while buffer.is_empty() && self.subject.is_some() {
                self.fill(&mut buffer).await?;
            }
            Ok(buffer)
        })
    }

    fn local_file(&self) -> Option<LocalFile> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with so many batches left, of 500 entries each.
    struct Batches(usize);

    impl Directory for Batches {
        fn read<'a>(&'a mut self, batch: &'a mut Batch) -> BoxFuture<'a, Result<(), StorageError>> {
            batch.clear();
            let is_more = self.0 > 0;
            self.0 -= usize::from(is_more);
            for _ in 0..if is_more { 500 } else { 0 } {
                let metadata = Metadata {
                    kind: FileKind::File,
                    size: 1,
                    modified: None,
                    created: None,
                    mode: None,
                    links: 1,
                    unique: None,
                };
                batch.push(b"a-file-of-a-usual-name-00001.txt", metadata);
            }
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[tokio::test]
    async fn the_pieces_of_a_long_listing_do_not_grow() {
        let directory = Box::new(Batches(200));
        let mut listing = Listing {
            subject: Some(Subject::Entries { directory, pattern: None, view: None }),
            format: Format::List { now: Timestamp::from_seconds(0) },
            prefix: Vec::new(),
            hidden: Hidden::Shown,
            may: Permissions::ALL,
            entries_left: None,
            batch: Batch::default(),
        };
        let (mut buffer, mut lines) = (Vec::with_capacity(CHUNK_BYTES), 0);
        loop {
            buffer.clear();
            buffer = listing.read(buffer).await.unwrap();
            if buffer.is_empty() {
                break;
            }
            lines += buffer.iter().filter(|&&octet| octet == b'\n').count();
            assert!(buffer.capacity() <= 4 * CHUNK_BYTES, "{} after {lines}", buffer.capacity());
        }
        assert_eq!(lines, 200 * 500);
    }
}
