//! Storages whose every path is one of another storage: what is left to that one is written down
//! once, for a directory of a storage and for mounts.

use waft_core::VirtualPath;
use waft_core::storage::{Result, Storage};

/// What a path has to be for what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whatever is there.
    Anything,
    /// A file, be it a new one.
    File,
    /// Nothing: a directory is made there.
    Nothing,
    /// A directory that may go.
    Directory,
}

/// A storage whose every path is one of another storage.
pub(crate) trait Routed {
    /// The storage that a path belongs to, and the path in it.
    ///
    /// # Errors
    /// The path is never what is wanted.
    fn place(&self, path: &VirtualPath, wanted: Wanted) -> Result<(&dyn Storage, VirtualPath)>;
}

/// The methods of `Storage` that a [`Routed`] storage leaves to the one which the path belongs to.
macro_rules! left_to_its_storage {
    () => {
        left_to_its_storage! {
            open_read(File, offset: u64) -> Box<dyn Reader>;
            check_write(File, mode: WriteMode) -> ();
            open_write(File, mode: WriteMode) -> Box<dyn Writer>;
            open_write_unseen(File, mode: WriteMode) -> Box<dyn Writer>;
            resume_offset(File) -> u64;
            remove_file(File) -> ();
            make_directory(Nothing) -> ();
            remove_directory(Directory) -> ();
        }
    };
    ($($method:ident($wanted:ident $(, $argument:ident: $type:ty)?) -> $out:ty;)+) => {$(
        fn $method<'a>(
            &'a self,
            path: &'a VirtualPath,
            $($argument: $type)?
        ) -> BoxFuture<'a, Result<$out>> {
            Box::pin(async move {
                let (storage, inner) = Routed::place(self, path, Wanted::$wanted)?;
                storage.$method(&inner $(, $argument)?).await
            })
        }
    )+};
}

/// The abilities that not every storage has, of a [`Routed`] one.
macro_rules! abilities_of_its_storage {
    ($routed:ty) => {
        abilities_of_its_storage! { $routed:
            ChangeFacts by facts {
                set_modified(modified: Timestamp) -> ();
                set_created(created: Timestamp) -> ();
                set_mode(mode: u32) -> ();
            }
            Space by space { available() -> u64; }
        }
    };
    ($routed:ty: $($ability:ident by $get:ident {
        $($method:ident($($argument:ident: $type:ty)?) -> $out:ty;)+
    })+) => {$(
        impl $ability for $routed {$(
            fn $method<'a>(
                &'a self,
                path: &'a VirtualPath,
                $($argument: $type)?
            ) -> BoxFuture<'a, Result<$out>> {
                Box::pin(async move {
                    let (storage, inner) = Routed::place(self, path, Wanted::Anything)?;
                    let able = storage.$get().ok_or(ErrorKind::Unsupported)?;
                    able.$method(&inner $(, $argument)?).await
                })
            }
        )+}
    )+};
}

pub(crate) use {abilities_of_its_storage, left_to_its_storage};
