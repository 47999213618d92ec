//! What a storage can do beyond reading, listing and whole uploads.

/// What a storage can do beyond reading, listing and uploads that replace a file. The server
/// announces no more than that, and refuses the rest before anything begins.
///
/// What [`facts`](super::Storage::facts) and [`space`](super::Storage::space) return is part of it:
/// `set_modified` and `space` tell the same of a session that has not logged in yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Uploads that go on behind the end of a file: APPE.
    pub append: bool,
    /// Uploads that go on from an offset: REST before STOR.
    pub write_at: bool,
    /// Renaming.
    pub rename: bool,
    /// Making directories.
    pub make_directory: bool,
    /// Removing files and empty directories.
    pub remove: bool,
    /// Setting when a file's contents last changed.
    pub set_modified: bool,
    /// Setting Unix permission bits, and when a file was made.
    pub set_mode: bool,
    /// Telling free space.
    pub space: bool,
}

impl Abilities {
    /// Everything.
    pub const ALL: Abilities = Abilities {
        append: true,
        write_at: true,
        rename: true,
        make_directory: true,
        remove: true,
        set_modified: true,
        set_mode: true,
        space: true,
    };
    /// Reading, listing and whole uploads.
    pub const NONE: Abilities = Abilities {
        append: false,
        write_at: false,
        rename: false,
        make_directory: false,
        remove: false,
        set_modified: false,
        set_mode: false,
        space: false,
    };
}
