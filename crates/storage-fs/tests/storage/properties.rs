//! What holds for any sequence of uploads, and for any path.

use std::fs;

use proptest::prelude::*;
use waft_core::storage::{ErrorKind, Interrupted, Replace, Result, Storage, WriteMode};

use super::support::{Tree, bytes_path, path};

/// How an upload ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Finish,
    Keep,
    Delete,
    Drop,
}

fn modes() -> impl Strategy<Value = WriteMode> {
    prop_oneof![
        Just(WriteMode::CreateNew),
        Just(WriteMode::Replace),
        Just(WriteMode::Append),
        (0..12_u64).prop_map(WriteMode::At),
    ]
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Finish), Just(End::Keep), Just(End::Delete), Just(End::Drop)]
}

/// What the file and what is left of an interrupted upload to it should hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    file: Option<Vec<u8>>,
    partial: Option<Vec<u8>>,
}

impl Model {
    /// Where the upload begins, and whether in what an interrupted one has left.
    fn begin(&self, mode: WriteMode) -> std::result::Result<(Vec<u8>, bool), ErrorKind> {
        let (resumable, resumes) = match (&self.file, &self.partial) {
            (Some(file), _) => (file.as_slice(), false),
            (None, Some(partial)) => (partial.as_slice(), true),
            (None, None) => (&[][..], false),
        };
        match mode {
            WriteMode::CreateNew if self.file.is_some() => Err(ErrorKind::Exists),
            WriteMode::CreateNew | WriteMode::Replace => Ok((Vec::new(), false)),
            WriteMode::Append => Ok((resumable.to_vec(), resumes)),
            WriteMode::At(0) if resumes => Ok((Vec::new(), false)),
            WriteMode::At(offset) => match resumable.get(..offset as usize) {
                Some(prefix) => Ok((prefix.to_vec(), resumes)),
                None => Err(ErrorKind::BadOffset),
            },
        }
    }

    fn upload(&mut self, mode: WriteMode, data: &[u8], end: End) -> Option<ErrorKind> {
        let (prefix, resumed) = match self.begin(mode) {
            Ok(begun) => begun,
            Err(kind) => return Some(kind),
        };
        let whole = [&prefix[..], data].concat();
        let in_place = self.file.as_ref().is_some_and(|file| {
            matches!(mode, WriteMode::Append | WriteMode::At(_)) && *file == prefix
        });
        match end {
            End::Finish => *self = Model { file: Some(whole), partial: None },
            End::Keep if in_place => self.file = Some(whole),
            End::Keep if resumed || !data.is_empty() => self.partial = Some(whole),
            End::Delete | End::Drop if resumed => self.partial = Some(prefix),
            _ => {}
        }
        None
    }
}

async fn upload(tree: &Tree, mode: WriteMode, data: &[u8], end: End) -> Result<()> {
    let mut writer = tree.open_write("file", mode).await?;
    super::support::write(&mut writer, data).await;
    match end {
        End::Finish => writer.finish().await.map(drop),
        End::Keep => writer.abandon(Interrupted::Keep).await,
        End::Delete => writer.abandon(Interrupted::Delete).await,
        End::Drop => Ok(()),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_uploads_leaves_what_it_should_and_nothing_else(
        uploads in prop::collection::vec((modes(), "[a-z]{0,6}", ends()), 1..12),
    ) {
        let tree = Tree::new();
        let mut model = Model::default();
        for (mode, data, end) in uploads {
            let expected = model.upload(mode, data.as_bytes(), end);
            let uploaded = run(upload(&tree, mode, data.as_bytes(), end));
            prop_assert_eq!(uploaded.err().map(|error| error.kind()), expected);
            let there = Model {
                file: fs::read(tree.local("file")).ok(),
                partial: fs::read(tree.local("file.partial")).ok(),
            };
            prop_assert_eq!(&there, &model);
            let files = usize::from(there.file.is_some()) + usize::from(there.partial.is_some());
            prop_assert_eq!(tree.names().len(), files);
            let offset = run(tree.storage.resume_offset(&path("file"))).ok();
            let resumable = there.file.or(there.partial);
            prop_assert_eq!(offset, resumable.map(|contents| contents.len() as u64));
        }
    }

    #[test]
    fn no_path_leads_out_whatever_is_done_with_it(
        steps in prop::collection::vec((arguments(), arguments(), 0..9_u8), 1..20),
    ) {
        let tree = Tree::new();
        fs::create_dir_all(tree.local("a/b")).unwrap();
        tree.put("a/file", b"inside");
        for (target, name) in [("..", "up"), ("../out", "out"), ("a", "l"), ("../../out", "a/o")] {
            tree.link(target, name);
        }
        for (one, other, what) in steps {
            let (one, other) = (bytes_path(&one), bytes_path(&other));
            // What comes of it does not matter, only what it does.
            let _ = run(async {
                let storage = &tree.storage;
                match what {
                    0 => storage.make_directory(&one).await,
                    1 => storage.remove_directory(&one).await,
                    2 => storage.remove_file(&one).await,
                    3 => storage.rename(&one, &other, Replace::File).await,
                    4 => storage.rename(&one, &other, Replace::Never).await,
                    5 => storage.facts().unwrap().set_mode(&one, 0o700).await,
                    6 => match storage.open_write(&one, WriteMode::Append).await {
                        Ok(mut writer) => {
                            writer.write(b"x".to_vec()).await?;
                            writer.finish().await.map(drop)
                        }
                        Err(error) => Err(error),
                    },
                    7 => match storage.open_write(&one, WriteMode::Replace).await {
                        Ok(writer) => writer.abandon(Interrupted::Keep).await,
                        Err(error) => Err(error),
                    },
                    _ => storage.open_read(&one, 0).await.map(drop),
                }
            });
            tree.assert_outside_untouched();
        }
    }
}

/// Paths as clients send them, with a liking for what is there.
fn arguments() -> impl Strategy<Value = Vec<u8>> {
    let component = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "file", "up", "out", "l", "o", "secret", "root"])
            .prop_map(|name| name.as_bytes().to_vec()),
        2 => Just(b"..".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..5),
    ];
    prop::collection::vec(component, 0..5).prop_map(|components| {
        let mut path = components.join(&b'/');
        path.retain(|octet| !matches!(octet, 0 | b'\r' | b'\n'));
        path
    })
}
