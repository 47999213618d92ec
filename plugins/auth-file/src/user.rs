//! Users, as the settings and password files have them.

use waft_plugin_sdk::{Section, closest};

/// How the hashes begin that the server verifies.
const HASHES: &[&str] = &[
    "$argon2",
    "$2a$",
    "$2b$",
    "$2y$",
    "$scrypt$",
    "$pbkdf2",
    "$5$",
    "$6$",
    #[cfg(test)]
    "$test$",
];

/// How hashes begin that password files have, and that the server does not verify: they are quick
/// to guess.
const WEAK: [(&str, &str); 3] =
    [("$apr1$", "Apache's own MD5 (apr1)"), ("$1$", "MD5"), ("{SHA}", "plain SHA-1")];

const PERMISSIONS: [&str; 7] = ["list", "read", "write", "append", "delete", "rename", "mkdir"];

/// One user.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) hash: String,
    /// The directory, absolute.
    pub(crate) root: String,
    pub(crate) permissions: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) max_sessions: Option<u32>,
}

/// What holds for users that do not say otherwise.
#[derive(Debug)]
pub(crate) struct Defaults {
    /// With `{user}` in it, perhaps.
    root: Option<String>,
    permissions: Vec<String>,
    groups: Vec<String>,
    max_sessions: Option<u32>,
}

impl Defaults {
    pub(crate) fn read(root: &Section<'_>) -> Self {
        let directory = directory(root);
        if directory.is_none() && root.text("root").is_none() {
            root.mistake("root", "is missing; the directory of a user, such as /srv/ftp/{user}");
        }
        let permissions =
            permissions(root).unwrap_or_else(|| vec!["list".to_owned(), "read".to_owned()]);
        let (groups, max_sessions) = (root.texts("groups"), max_sessions(root));
        Self { root: directory, permissions, groups, max_sessions }
    }

    fn user(&self, name: &str, hash: &str, root: Option<&str>) -> Result<User, String> {
        if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\0']) {
            return Err(format!("not a name for a directory: {name}"));
        }
        let root = root.or(self.root.as_deref()).unwrap_or_default().replace("{user}", name);
        Ok(User {
            name: name.to_owned(),
            hash: hash.to_owned(),
            root,
            permissions: self.permissions.clone(),
            groups: self.groups.clone(),
            max_sessions: self.max_sessions,
        })
    }
}

impl User {
    /// Reads a user of the settings; mistakes are noted in the section.
    pub(crate) fn read(section: &Section<'_>, defaults: &Defaults) -> Option<Self> {
        let name = needed(section, "name");
        let hash = needed(section, "password");
        if let Some(Err(mistake)) = hash.as_deref().map(verifiable) {
            section.mistake("password", mistake);
        }
        let (root, permissions) = (directory(section), permissions(section));
        let (groups, sessions) = (section.texts("groups"), max_sessions(section));
        match defaults.user(&name?, &hash?, root.as_deref()) {
            Ok(user) => Some(Self {
                permissions: permissions.unwrap_or(user.permissions),
                groups: if groups.is_empty() { user.groups } else { groups },
                max_sessions: sessions.or(user.max_sessions),
                ..user
            }),
            Err(mistake) => {
                section.mistake("name", mistake);
                None
            }
        }
    }
}

/// The users of a file with lines of `NAME:HASH`, as `htpasswd` writes it; whatever follows behind
/// another colon is passed over, and so are empty lines and those that begin with `#`.
pub(crate) fn of_file(root: &Section<'_>, text: &str, defaults: &Defaults) -> Vec<User> {
    let mut users = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default();
        let hash = fields.next().filter(|hash| !hash.is_empty());
        let user = hash.ok_or_else(|| "NAME:HASH is wanted".to_owned()).and_then(|hash| {
            verifiable(hash)?;
            defaults.user(name, hash, None)
        });
        match user {
            Ok(user) => users.push(user),
            Err(mistake) => root.mistake("users", format_args!("line {number}: {mistake}")),
        }
    }
    users
}

fn verifiable(hash: &str) -> Result<(), String> {
    if HASHES.iter().any(|start| hash.starts_with(start)) {
        return Ok(());
    }
    let weak = WEAK.iter().find(|(start, _)| hash.starts_with(start));
    Err(match weak {
        Some((_, name)) => format!(
            "{name} is not verified here; make another with: waft user hash, or htpasswd -B"
        ),
        None => "not a hash that the server can verify (argon2, bcrypt, scrypt, pbkdf2, \
                 sha-crypt); make one with: waft user hash, or htpasswd -B"
            .to_owned(),
    })
}

fn needed(section: &Section<'_>, key: &str) -> Option<String> {
    let text = section.text(key);
    if text.is_none() {
        section.mistake(key, "is missing");
    }
    text
}

fn directory(section: &Section<'_>) -> Option<String> {
    let text = section.text("root")?;
    if text.starts_with('/') {
        return Some(text);
    }
    let wanted = "an absolute directory is wanted, such as /srv/ftp/{user}";
    section.mistake("root", format_args!("{wanted}: {text}"));
    None
}

fn permissions(section: &Section<'_>) -> Option<Vec<String>> {
    let listed = section.numbered_texts("permissions");
    for (key, name) in &listed {
        match closest(name, PERMISSIONS) {
            _ if PERMISSIONS.contains(&name.as_str()) => {}
            Some(known) => {
                section.mistake(key, format_args!("no permission, did you mean {known}: {name}"));
            }
            None => section.mistake(key, format_args!("no permission: {name}")),
        }
    }
    (!listed.is_empty()).then(|| listed.into_iter().map(|(_, name)| name).collect())
}

fn max_sessions(section: &Section<'_>) -> Option<u32> {
    let sessions = section.number("max_sessions")?;
    if sessions == 0 {
        section.mistake("max_sessions", "a number above 0 is wanted");
    }
    Some(sessions)
}
