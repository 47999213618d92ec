//! Editing a users file: what `waft user` does.
//!
//! The text is edited, not written anew: comments, order and everything else that people have put
//! into it stay. What is written is complete or not there at all: it goes into a new file beside
//! the old one, readable by its owner alone, which then takes the old one's place.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::mistake::{Mistake, Mistakes, Warnings};
use crate::password::PasswordHash;
use crate::permissions::Permissions;
use crate::schema::{Reader, Section};
use crate::sections::{User, UsersDocument};
use crate::value::parse;

/// A users file that is being edited. Nothing is written before [`save`](Self::save).
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    /// What was read; `None` where there was no file.
    read: Option<String>,
    document: DocumentMut,
    users: Vec<User>,
}

/// An account to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name to log in with.
    pub name: String,
    /// The hash of the password.
    pub password: PasswordHash,
    /// The directory that is all the account sees; a relative one is seen from the current
    /// directory.
    pub root: PathBuf,
    /// What the account may do; everything unless told.
    pub permissions: Option<Permissions>,
    /// The directory in which its sessions begin; `/` unless told.
    pub home: Option<String>,
}

/// Why a users file was not edited.
#[derive(Debug, thiserror::Error)]
pub enum UsersFileError {
    /// What stands in it, or would stand in it, is not valid.
    #[error(transparent)]
    Invalid(#[from] Mistakes),
    /// It could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// There is an account of that name.
    #[error("there is an account of this name already: {0}")]
    Taken(String),
    /// There is no account of that name.
    #[error("there is no account of this name: {0}")]
    Unknown(String),
    /// The path of the root is not Unicode, which TOML has to be.
    #[error("not UTF-8: {}", .0.display())]
    NotUnicode(PathBuf),
    /// Somebody else has changed the file since it was read.
    #[error("changed by somebody else meanwhile, nothing is written: {}", .0.display())]
    Changed(PathBuf),
}

impl UsersFile {
    /// Reads the file at `path`; one that is not there is taken for an empty one.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or has mistakes.
    pub fn open(path: &Path) -> Result<Self, UsersFileError> {
        // Through a link, the file that it leads to is the one to be replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let read = read(&path)?;
        let text = read.as_deref().unwrap_or_default();
        let users = users_in(&path, text)?;
        let document = text.parse::<DocumentMut>().map_err(|error| {
            let origin = crate::place::Origin::whole(&path);
            let mistake = Mistake::new(&origin, "", error.message(), "correct the TOML syntax");
            one(mistake)
        })?;
        Ok(Self { path, read, document, users })
    }

    /// Returns the accounts, in the order in which they are written.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// Adds an account at the end.
    ///
    /// # Errors
    ///
    /// When there is one of that name, or the new one would not be valid.
    pub fn add(&mut self, user: &NewUser) -> Result<(), UsersFileError> {
        if self.index(&user.name).is_some() {
            return Err(UsersFileError::Taken(user.name.clone()));
        }
        let mut table = table_of(user)?;
        self.edit(|tables, end| {
            // What stands at the end of the file stays above what is added.
            let gap = if end.is_empty() && tables.is_empty() { "" } else { "\n" };
            let line = if end.is_empty() || end.ends_with('\n') { "" } else { "\n" };
            table.decor_mut().set_prefix(format!("{}{line}{gap}", std::mem::take(end)));
            tables.push(table);
        })
    }

    /// Gives the account `name` another password.
    ///
    /// # Errors
    ///
    /// When there is no such account.
    pub fn set_password(
        &mut self,
        name: &str,
        password: &PasswordHash,
    ) -> Result<(), UsersFileError> {
        let index = self.index(name).ok_or_else(|| UsersFileError::Unknown(name.to_owned()))?;
        self.edit(|tables, _| {
            let Some(user) = tables.get_mut(index) else { return };
            let decor =
                user.get("password").and_then(Item::as_value).map(|old| old.decor().clone());
            let mut new = value(password.as_str());
            if let (Some(new), Some(decor)) = (new.as_value_mut(), decor) {
                *new.decor_mut() = decor;
            }
            user.insert("password", new);
        })
    }

    /// Removes the account `name`.
    ///
    /// # Errors
    ///
    /// When there is no such account.
    pub fn remove(&mut self, name: &str) -> Result<(), UsersFileError> {
        let index = self.index(name).ok_or_else(|| UsersFileError::Unknown(name.to_owned()))?;
        self.edit(|tables, end| {
            let above = tables.get(index).map(comments_apart).unwrap_or_default();
            tables.remove(index);
            match tables.get_mut(index) {
                Some(next) if !above.is_empty() => {
                    let prefix = format!("{above}{}", prefix(next).trim_start_matches('\n'));
                    next.decor_mut().set_prefix(prefix);
                }
                Some(_) => {}
                None => end.insert_str(0, &above),
            }
        })
    }

    /// Writes the file, all of it or nothing.
    ///
    /// A new file is readable by its owner alone; one that was there keeps its owner and what its
    /// group may do.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or somebody else has changed it since it was read.
    pub fn save(&mut self) -> Result<(), UsersFileError> {
        if read(&self.path)? != self.read {
            return Err(UsersFileError::Changed(self.path.clone()));
        }
        let text = self.document.to_string();
        replace(&self.path, &text)
            .map_err(|source| UsersFileError::Io { path: self.path.clone(), source })?;
        self.read = Some(text);
        Ok(())
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.users.iter().position(|user| user.name == name)
    }

    /// Edits the tables of the accounts and the text behind them, and keeps the result if it is
    /// valid.
    fn edit(
        &mut self,
        edit: impl FnOnce(&mut ArrayOfTables, &mut String),
    ) -> Result<(), UsersFileError> {
        let mut document = self.document.clone();
        let mut end = document.trailing().as_str().unwrap_or_default().to_owned();
        // `user = [{ … }]` says the same as `[[user]]`; what cannot be made one is an empty list.
        let present = document.remove("user").unwrap_or_default();
        let mut tables = present.into_array_of_tables().unwrap_or_default();
        edit(&mut tables, &mut end);
        document.insert("user", Item::ArrayOfTables(tables));
        document.set_trailing(end);
        self.users = users_in(&self.path, &document.to_string())?;
        self.document = document;
        Ok(())
    }
}

fn table_of(user: &NewUser) -> Result<Table, UsersFileError> {
    let root = std::path::absolute(&user.root)
        .map_err(|source| UsersFileError::Io { path: user.root.clone(), source })?;
    let root = root.to_str().ok_or_else(|| UsersFileError::NotUnicode(user.root.clone()))?;
    let mut table = Table::new();
    table.insert("name", value(&user.name));
    table.insert("password", value(user.password.as_str()));
    table.insert("root", value(root));
    if let Some(permissions) = user.permissions {
        let words: Array = permissions.iter().map(|permission| permission.word()).collect();
        table.insert("permissions", value(words));
    }
    if let Some(home) = &user.home {
        table.insert("home", value(home));
    }
    Ok(table)
}

fn prefix(table: &Table) -> &str {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

/// Returns what stands above a table and is set apart from it by an empty line: that is about the
/// file, not about the table.
fn comments_apart(table: &Table) -> String {
    let prefix = prefix(table);
    match prefix.rfind("\n\n") {
        Some(end) => prefix.get(..end + 2).unwrap_or_default().to_owned(),
        None => String::new(),
    }
}

fn read(path: &Path) -> Result<Option<String>, UsersFileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(UsersFileError::Io { path: path.to_path_buf(), source }),
    }
}

fn users_in(path: &Path, text: &str) -> Result<Vec<User>, Mistakes> {
    let mut mistakes = Vec::new();
    let node = parse(path, text, &mut mistakes);
    let mut reader = Reader::of(!mistakes.is_empty());
    let document = UsersDocument::read(&node, &mut reader).unwrap_or_default();
    mistakes.append(&mut reader.mistakes);
    if mistakes.is_empty() {
        return Ok(document.user);
    }
    mistakes.sort_by_key(|mistake| (mistake.origin.line, mistake.origin.column));
    Err(Mistakes { mistakes, warnings: Warnings::default() })
}

fn one(mistake: Mistake) -> Mistakes {
    Mistakes { mistakes: vec![mistake], warnings: Warnings::default() }
}

/// Puts a file with `text` in the place of the one at `path`.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Made with mode 0600, under a name that nobody can guess.
    let mut file = tempfile::Builder::new().prefix(".waft-users-").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    keep_owner(path, file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself has to reach the disk, too.
    File::open(directory)?.sync_all()
}

/// Gives the new file the owner of the old one, and to the group what it had; the server may run
/// as another user than the one who edits.
#[cfg(unix)]
fn keep_owner(old: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let old = match std::fs::metadata(old) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let fresh = new.metadata()?;
    if (old.uid(), old.gid()) != (fresh.uid(), fresh.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    let mode = old.permissions().mode() & 0o770 | 0o600;
    new.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA";
    const OTHER: &str = "$argon2id$v=19$m=19456,t=2,p=1$b3RoZXJzYWx0$cXJzdHV2d3h5ejAxMjM0NQ";

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::parse(text).unwrap()
    }

    fn new_user(name: &str) -> NewUser {
        NewUser {
            name: name.to_owned(),
            password: hash(HASH),
            root: PathBuf::from("/srv").join(name),
            permissions: None,
            home: None,
        }
    }

    fn entry(name: &str) -> String {
        format!("[[user]]\nname = \"{name}\"\npassword = \"{HASH}\"\nroot = \"/srv/{name}\"\n")
    }

    /// Edits a file that holds `before` and returns what it holds then.
    fn edited(before: &str, edit: impl FnOnce(&mut UsersFile)) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        std::fs::write(&path, before).unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        edit(&mut file);
        file.save().unwrap();
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn a_file_that_is_not_there_is_made_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        let mut file = UsersFile::open(&path).unwrap();
        assert!(file.users().is_empty());
        file.add(&new_user("alice")).unwrap();
        file.add(&new_user("bob")).unwrap();
        file.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n{}", entry("alice"), entry("bob")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let names: Vec<&str> = file.users().iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["alice", "bob"]);
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside the file");
    }

    #[test]
    fn comments_and_order_stay_when_an_account_is_added() {
        let before = format!("# our people\n\n{}# the end", entry("alice"));
        let after = edited(&before, |file| file.add(&new_user("bob")).unwrap());
        assert_eq!(after, format!("{before}\n\n{}", entry("bob")));
        let after = edited("# nobody yet\n", |file| file.add(&new_user("bob")).unwrap());
        assert_eq!(after, format!("# nobody yet\n\n{}", entry("bob")));
    }

    #[test]
    fn a_new_account_has_the_permissions_and_home_it_was_given() {
        let user = NewUser {
            permissions: Some(Permissions::READ_ONLY),
            home: Some("/in".to_owned()),
            ..new_user("bob")
        };
        let after = edited("", |file| file.add(&user).unwrap());
        let more = "permissions = [\"list\", \"read\"]\nhome = \"/in\"\n";
        assert_eq!(after, format!("{}{more}", entry("bob")));
    }

    #[test]
    fn only_the_password_changes_when_it_is_changed() {
        let (plain, commented) = (format!("{HASH}\""), format!("{HASH}\"  # since May"));
        let commented = entry("bob").replace(&plain, &commented);
        let before = format!("{}\n{commented}", entry("alice"));
        let after = edited(&before, |file| file.set_password("bob", &hash(OTHER)).unwrap());
        let bob = before.rfind(HASH).unwrap();
        let expected = format!("{}{OTHER}{}", &before[..bob], &before[bob + HASH.len()..]);
        assert_eq!(after, expected);
    }

    #[test]
    fn an_account_with_a_certificate_alone_gets_a_password_and_keeps_the_rest() {
        let before = "[[user]]\nname = \"bob\"\nroot = \"/srv/bob\"\ncertificates = [\"cn:b\"]\n";
        let after = edited(before, |file| file.set_password("bob", &hash(HASH)).unwrap());
        assert_eq!(after, format!("{before}password = \"{HASH}\"\n"));
    }

    #[test]
    fn removing_an_account_takes_its_own_comments_along_and_no_others() {
        let before = format!(
            "# our people\n\n# the boss\n{}\n# the others\n{}\n{}",
            entry("alice"),
            entry("bob"),
            entry("carol"),
        );
        let after = edited(&before, |file| file.remove("alice").unwrap());
        let expected =
            format!("# our people\n\n# the others\n{}\n{}", entry("bob"), entry("carol"));
        assert_eq!(after, expected);
        let after = edited(&after, |file| file.remove("carol").unwrap());
        assert_eq!(after, format!("# our people\n\n# the others\n{}", entry("bob")));
        let after = edited(&after, |file| file.remove("bob").unwrap());
        assert_eq!(after, "# our people\n\n");
    }

    #[test]
    fn accounts_in_a_list_of_inline_tables_can_be_edited() {
        let before = format!("user = [{{ name = \"a\", password = \"{HASH}\", root = \"/\" }}]\n");
        let after = edited(&before, |file| file.add(&new_user("bob")).unwrap());
        let users = users_in(Path::new("x"), &after).unwrap();
        assert_eq!(users.len(), 2, "{after}");
        let after = edited("user = []\n", |file| file.add(&new_user("bob")).unwrap());
        assert_eq!(after, entry("bob"));
    }

    #[test]
    fn what_cannot_be_done_is_told_and_changes_nothing() {
        let before = entry("alice");
        let after = edited(&before, |file| {
            let told = |result: Result<(), UsersFileError>| result.unwrap_err().to_string();
            let taken = told(file.add(&new_user("alice")));
            assert_eq!(taken, "there is an account of this name already: alice");
            let unknown = "there is no account of this name: bob";
            assert_eq!(told(file.remove("bob")), unknown);
            assert_eq!(told(file.set_password("bob", &hash(OTHER))), unknown);
            let invalid = told(file.add(&new_user("a\nb")));
            assert!(invalid.contains("user.1.name: not a name"), "{invalid}");
        });
        assert_eq!(after, before);
    }

    #[test]
    fn a_file_with_mistakes_is_not_edited() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        std::fs::write(&path, "[[user]]\nname = 5\n").unwrap();
        let told = UsersFile::open(&path).unwrap_err().to_string();
        assert!(told.contains("users.toml:2:8: user.0.name: not a name: 5"), "{told}");
    }

    #[test]
    fn changes_of_somebody_else_are_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        std::fs::write(&path, entry("alice")).unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        file.remove("alice").unwrap();
        std::fs::write(&path, entry("bob")).unwrap();
        assert!(matches!(file.save(), Err(UsersFileError::Changed(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), entry("bob"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_the_group_keeps_what_it_had() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        std::fs::write(&path, entry("alice")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let link = directory.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut file = UsersFile::open(&link).unwrap();
        file.remove("alice").unwrap();
        file.save().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (0, 0o640));
    }
}
