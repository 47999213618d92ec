//! What the service answers of an account that it lets in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use waft_plugin_sdk::Account;

use crate::config::Defaults;

/// An account, in the service's words. A key that is not known is a mistake: a limit with a typing
/// mistake in its name would be none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Answer {
    /// The account's name, where it is not the one that the client gave.
    user: Option<String>,
    /// The directory of this machine that the account's files are in.
    root: Option<String>,
    /// In place of `root`: `local:DIRECTORY` or `plugin:NAME`.
    storage: Option<String>,
    /// The directory of the storage that the account sees as `/`.
    home: Option<String>,
    permissions: Option<Vec<String>>,
    limits: BTreeMap<String, Value>,
    groups: Option<Vec<String>>,
    attributes: BTreeMap<String, Value>,
    /// What the server verifies the password by, where the service is not told it.
    pub(crate) password_hash: Option<String>,
}

/// What a refusal may say.
#[derive(Debug, Deserialize)]
struct Refusal {
    reason: String,
}

impl Answer {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        // An array of values would be taken for those of the keys, in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err("the answer is no account: not a JSON object".to_owned());
        }
        serde_json::from_slice(body).map_err(|error| format!("the answer is no account: {error}"))
    }

    /// The account of who gave that name.
    ///
    /// # Errors
    /// What the answer lacks.
    pub(crate) fn account(&self, given: &str, defaults: &Defaults) -> Result<Account, String> {
        let name = self.user.as_deref().unwrap_or(given);
        let mut account = Account::new(name, &self.place(name, defaults)?);
        if let Some(home) = &self.home {
            account = account.root(home);
        }
        let permissions = self.permissions.as_ref().unwrap_or(&defaults.permissions);
        account = account.permit(permissions.iter().map(String::as_str));
        for group in self.groups.as_ref().unwrap_or(&defaults.groups) {
            account = account.group(group);
        }
        for (name, value) in &self.limits {
            account = account.limit(name, text("limits", name, value)?);
        }
        if let (Some(sessions), false) =
            (defaults.max_sessions, self.limits.contains_key("max.sessions"))
        {
            account = account.limit("max.sessions", sessions);
        }
        for (name, value) in &self.attributes {
            account = account.attribute(name, &text("attributes", name, value)?);
        }
        Ok(account)
    }

    /// Where the account's files are.
    fn place(&self, name: &str, defaults: &Defaults) -> Result<String, String> {
        match (&self.storage, &self.root, &defaults.root) {
            (Some(_), Some(_), _) => Err("the answer has both root and storage".to_owned()),
            (Some(storage), None, _) => Ok(storage.clone()),
            (None, Some(root), _) if !root.starts_with('/') => {
                Err(format!("root: an absolute directory is wanted: {root}"))
            }
            (None, Some(root), _) => Ok(format!("local:{root}")),
            (None, None, Some(root)) if !root.contains("{user}") => Ok(format!("local:{root}")),
            (None, None, Some(_)) if !is_directory_name(name) => {
                Err(format!("not a name for a directory: {name}"))
            }
            (None, None, Some(root)) => Ok(format!("local:{}", root.replace("{user}", name))),
            (None, None, None) => {
                Err("neither the answer nor the settings say where the files are: root".to_owned())
            }
        }
    }
}

/// Why the service refuses somebody, if it says so.
pub(crate) fn reason(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.reason)
}

/// A value that is a text here, and may be a number or a boolean there.
fn text(table: &str, name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(format!("{table}: a text, a number or a boolean is wanted: {name}")),
    }
}

/// Whether a name stands for a directory, and for no other than its own.
fn is_directory_name(name: &str) -> bool {
    !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\0'])
}
