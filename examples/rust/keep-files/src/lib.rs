//! Keeps files that end in `.keep` from being deleted, and hides those that begin with a dot.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{
    FileDecision, FileFilter, FileOp, FileStat, Interest, Plugin, Reply, Session, Settings,
};

struct KeepFiles;

impl Plugin for KeepFiles {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }

    /// Nothing else that is done to files is ever shown to this plugin.
    fn interest(&self) -> Interest {
        Interest::everything().in_file_ops(["remove"])
    }
}

impl FileFilter for KeepFiles {
    fn on_file(&self, _: Session<'_>, op: &FileOp) -> FileDecision {
        match op.path().ends_with(".keep") {
            true => FileDecision::Deny(Reply::new(550, "This file stays.")),
            false => FileDecision::Pass,
        }
    }

    fn shows(&self, _: Session<'_>, _: &str, name: &str, _: &FileStat) -> bool {
        !name.starts_with('.')
    }
}

waft_plugin_sdk::export!(KeepFiles: file_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn only_files_to_be_kept_stay() {
        let session = TestSession::new();
        let remove =
            |path: &str| KeepFiles.on_file(session.session(), &FileOp::Remove(path.into()));
        assert_eq!(remove("/a.txt"), FileDecision::Pass);
        assert!(matches!(remove("/a.keep"), FileDecision::Deny(_)));
    }
}
