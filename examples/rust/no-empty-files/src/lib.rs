//! Refuses uploads without contents.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{
    ContentFilter, ContentInterest, Direction, Filter, Plugin, Reply, Session, Settings, Verdict,
};

struct NoEmptyFiles;

impl Plugin for NoEmptyFiles {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }
}

impl ContentFilter for NoEmptyFiles {
    type Filter = Seen;

    fn wants(
        &self,
        _: Session<'_>,
        direction: Direction,
        _: &str,
        _: Option<u64>,
    ) -> ContentInterest {
        match direction {
            Direction::Upload => ContentInterest::Inspect,
            Direction::Download => ContentInterest::Skip,
        }
    }

    fn open(&self, _: Session<'_>, _: Direction, _: &str) -> Seen {
        Seen { octets: 0 }
    }
}

/// What was seen of one upload.
struct Seen {
    octets: usize,
}

impl Filter for Seen {
    fn push(&mut self, chunk: Vec<u8>) -> Result<Vec<u8>, Reply> {
        self.octets += chunk.len();
        // Ignored: it is only looked at.
        Ok(Vec::new())
    }

    fn finish(self) -> Verdict {
        match self.octets {
            0 => Verdict::Refuse(Reply::new(550, "The file is empty.")),
            _ => Verdict::Accept(Vec::new()),
        }
    }
}

waft_plugin_sdk::export!(NoEmptyFiles: content_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn one_octet_is_enough() {
        let open = || NoEmptyFiles.open(TestSession::new().session(), Direction::Upload, "/a");
        assert!(matches!(open().finish(), Verdict::Refuse(_)));
        let mut upload = open();
        upload.push(vec![0]).unwrap();
        assert!(matches!(upload.finish(), Verdict::Accept(_)));
    }
}
