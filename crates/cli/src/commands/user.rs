//! `waft user`: accounts in a users file, and hashes of passwords. A password itself is never
//! written anywhere, and never part of the command line.

mod password;

use anyhow::Context;
use serde::Serialize;
use waft_config::{
    NewUser, PasswordHash, Permission, Permissions, User, UsersFile, UsersFileError,
};

use crate::args;
use crate::failure::Failure;
use crate::output;

pub(crate) use password::hash;

/// Runs one of the subcommands.
///
/// # Errors
///
/// The file or the password cannot be had, or the change makes no sense.
pub(crate) fn run(command: args::User) -> Result<(), Failure> {
    match command {
        args::User::Add(user) => add(user),
        args::User::Passwd { name, file, password } => passwd(&name, &file, password),
        args::User::Remove { name, file } => remove(&name, &file),
        args::User::List { file, json } => list(&file, json),
        args::User::Hash(password) => {
            let hash = ask(password)?;
            Ok(output::print(&format!("{}\n", hash.as_str()))?)
        }
    }
}

fn add(new: args::NewUser) -> Result<(), Failure> {
    let permissions = new.permissions.as_deref().map(permissions).transpose()?;
    let mut file = UsersFile::open(&new.file.path)?;
    // Before somebody types a password in vain.
    if is_known(&file, &new.name) {
        return Err(UsersFileError::Taken(new.name).into());
    }
    let password = ask(new.password)?;
    let name = new.name.clone();
    let user = NewUser { name: new.name, password, root: new.root, permissions, home: new.home };
    file.add(&user)?;
    file.save()?;
    output::tell(&format!("account added: {name}"));
    Ok(())
}

fn passwd(name: &str, file: &args::UsersFile, password: args::Password) -> Result<(), Failure> {
    let mut file = UsersFile::open(&file.path)?;
    if !is_known(&file, name) {
        return Err(UsersFileError::Unknown(name.to_owned()).into());
    }
    file.set_password(name, &ask(password)?)?;
    file.save()?;
    output::tell(&format!("password changed: {name}"));
    Ok(())
}

fn remove(name: &str, file: &args::UsersFile) -> Result<(), Failure> {
    let mut file = UsersFile::open(&file.path)?;
    file.remove(name)?;
    file.save()?;
    output::tell(&format!("account removed: {name}"));
    Ok(())
}

/// An account as another program reads it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    enabled: bool,
    root: String,
    home: &'a str,
    permissions: Vec<&'static str>,
}

fn list(file: &args::UsersFile, json: bool) -> Result<(), Failure> {
    // A file that is about to be made is fine elsewhere; here it is most likely a mistyped name.
    std::fs::metadata(&file.path).with_context(|| file.path.display().to_string())?;
    let file = UsersFile::open(&file.path)?;
    let users: Vec<Listed<'_>> = file.users().iter().map(listed).collect();
    if json {
        return Ok(output::print_json(&users)?);
    }
    Ok(output::print(&table(&users))?)
}

fn listed(user: &User) -> Listed<'_> {
    Listed {
        name: &user.name,
        enabled: user.enabled,
        root: user.root.display().to_string(),
        home: &user.home,
        permissions: user.permissions.iter().map(Permission::word).collect(),
    }
}

fn table(users: &[Listed<'_>]) -> String {
    let head = ["NAME", "ENABLED", "ROOT", "HOME", "PERMISSIONS"].map(str::to_owned);
    let rows = users.iter().map(|user| {
        let enabled = if user.enabled { "yes" } else { "no" };
        let permissions = user.permissions.join(",");
        [user.name.to_owned(), enabled.into(), user.root.clone(), user.home.into(), permissions]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn is_known(file: &UsersFile, name: &str) -> bool {
    file.users().iter().any(|user| user.name == name)
}

fn permissions(words: &[String]) -> Result<Permissions, Failure> {
    let permission = |word: &String| {
        Permission::from_word(word).ok_or_else(|| {
            let known = Permission::ALL.map(Permission::word).join(", ");
            Failure::Usage(format!("--permissions: no such permission: {word}; there are {known}"))
        })
    };
    words.iter().map(permission).collect()
}

fn ask(from: args::Password) -> Result<PasswordHash, Failure> {
    let password = if from.from_stdin { password::from_stdin() } else { password::from_terminal() };
    Ok(hash(&password?)?)
}

impl From<UsersFileError> for Failure {
    fn from(error: UsersFileError) -> Self {
        match error {
            UsersFileError::Invalid(mistakes) => Self::Configuration(mistakes),
            error => Self::Runtime(error.into()),
        }
    }
}
