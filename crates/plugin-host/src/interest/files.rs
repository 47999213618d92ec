//! What a plugin wants to see of what is done to files.

use waft_core::hooks::{FileOpKind, FileOps};

/// What a plugin wants to see of what is done to files: everything, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) ops: FileOps,
    pub(crate) listings: bool,
}

impl Default for Files {
    fn default() -> Files {
        Files { ops: FileOps::ALL, listings: true }
    }
}

/// What is done to files, by name.
pub(super) fn ops(value: &str) -> Result<FileOps, String> {
    let names = super::entries(value)?;
    if names.contains(&super::ALL) {
        return Ok(FileOps::ALL);
    }
    let known = |name| {
        FileOpKind::from_name(name).ok_or_else(|| format!("nothing that is done to files: {name}"))
    };
    names.into_iter().try_fold(FileOps::NONE, |ops, name| Ok(ops.with(known(name)?)))
}

/// Whether listings are wanted.
pub(super) fn listings(value: &str) -> Result<bool, String> {
    match value.trim() {
        super::ALL => Ok(true),
        "" => Ok(false),
        _ => Err(format!("neither all listings (*) nor none: {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_to_files_is_named() {
        let wanted = ops("write, make-dir").unwrap();
        assert_eq!(wanted.names().collect::<Vec<_>>(), ["write", "make-dir"]);
        assert_eq!((ops("*"), ops("")), (Ok(FileOps::ALL), Ok(FileOps::NONE)));
        assert!(ops("write,fly").is_err());
        assert_eq!((listings("*"), listings("")), (Ok(true), Ok(false)));
        assert!(listings("yes").is_err());
    }
}
