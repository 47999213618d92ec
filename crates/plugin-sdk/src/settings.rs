//! What the operator wrote in `[plugin.config]`, read with types and with all mistakes at once.

mod closest;
mod section;

use std::cell::RefCell;

use crate::Secret;
#[cfg(target_arch = "wasm32")]
use crate::bindings::base::waft::plugin::config;

pub use closest::closest;
pub use section::Section;

/// A plugin's settings.
///
/// Reading one with the wrong type returns nothing and notes a mistake; [`finish`](Self::finish)
/// reports them all, along with every key that nothing has asked for. So a plugin first reads all
/// it knows, and then finishes:
///
/// ```
/// use waft_plugin_sdk::Settings;
///
/// let settings = Settings::of([("deny.0", "PORT"), ("deny.1", "EPRT"), ("mesage", "no")]);
/// let root = settings.root();
/// assert_eq!(root.texts("deny"), ["PORT", "EPRT"]);
/// assert_eq!(root.text("message"), None);
/// assert_eq!(
///     settings.finish().unwrap_err(),
///     "unknown key, did you mean message: mesage"
/// );
/// ```
#[derive(Debug)]
pub struct Settings {
    /// Keys and texts: few enough that looking at each is quicker than a tree is large.
    values: Vec<(String, String)>,
    notes: RefCell<Notes>,
    #[cfg(not(target_arch = "wasm32"))]
    secrets: Vec<(String, Secret)>,
}

/// What reading has shown so far.
#[derive(Debug, Default)]
struct Notes {
    /// For each value whether it was asked for.
    read: Vec<bool>,
    /// Keys that were asked for, whether there is a value or not.
    known: Vec<String>,
    mistakes: Vec<String>,
}

impl Settings {
    /// Settings with these dotted keys and texts, as the server delivers them.
    pub fn of<K, V>(values: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let values: Vec<(String, String)> =
            values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let notes = Notes { read: vec![false; values.len()], ..Notes::default() };
        Self {
            values,
            notes: RefCell::new(notes),
            #[cfg(not(target_arch = "wasm32"))]
            secrets: Vec::new(),
        }
    }

    /// With a secret, for tests.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_secret(mut self, name: &str, secret: Secret) -> Self {
        self.secrets.push((name.to_owned(), secret));
        self
    }

    /// What the operator has granted under a name: a password, a key. It is no part of the
    /// settings' texts, so that it turns up in no log; `None` where the grant is missing.
    ///
    /// ```
    /// use waft_plugin_sdk::{Secret, Settings};
    ///
    /// let settings = Settings::of([("url", "https://login.example.org")])
    ///     .with_secret("token", Secret::new("s3cr3t"));
    /// assert_eq!(settings.secret("token").unwrap().text(), Some("s3cr3t"));
    /// assert_eq!(settings.secret("other"), None);
    /// ```
    pub fn secret(&self, name: &str) -> Option<Secret> {
        #[cfg(target_arch = "wasm32")]
        let secret = config::secret(name).map(Secret::new);
        #[cfg(not(target_arch = "wasm32"))]
        let secret =
            self.secrets.iter().find(|(own, _)| own == name).map(|(_, secret)| secret.clone());
        secret
    }

    /// The outermost table.
    pub fn root(&self) -> Section<'_> {
        Section::root(self)
    }

    /// Says whether all is well: nothing unknown, nothing mistaken.
    ///
    /// # Errors
    /// All mistakes, one per line, in the order in which they were met; then the unknown keys.
    pub fn finish(&self) -> Result<(), String> {
        let notes = self.notes.borrow();
        let unknown = self.values.iter().zip(&notes.read).filter(|(_, read)| !**read);
        let unknown = unknown.map(|((key, _), _)| match closest(key, notes.known.iter()) {
            Some(known) => format!("unknown key, did you mean {known}: {key}"),
            None => format!("unknown key: {key}"),
        });
        let mistakes: Vec<String> = notes.mistakes.iter().cloned().chain(unknown).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("\n")) }
    }

    /// The value under a key, which is then known and read.
    fn value(&self, key: &str) -> Option<&str> {
        let mut notes = self.notes.borrow_mut();
        notes.known.push(key.to_owned());
        let at = self.values.iter().position(|(own, _)| own == key)?;
        if let Some(read) = notes.read.get_mut(at) {
            *read = true;
        }
        self.values.get(at).map(|(_, value)| value.as_str())
    }

    /// The names one level below a prefix that ends with a dot: those of a list, in their order,
    /// then all others, in the order in which the server delivers them.
    fn names_below(&self, prefix: &str) -> Vec<String> {
        let mut others = Vec::new();
        for (key, _) in &self.values {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let name = rest.split('.').next().unwrap_or(rest);
            if !others.iter().any(|other| other == name) {
                others.push(name.to_owned());
            }
        }
        let mut names = Vec::new();
        for number in 0..others.len() {
            let number = number.to_string();
            let Some(at) = others.iter().position(|name| *name == number) else { break };
            names.push(others.remove(at));
        }
        names.append(&mut others);
        names
    }

    /// Whatever lies below a prefix has been dealt with, if only by a mistake.
    fn skip_below(&self, prefix: &str) {
        let mut notes = self.notes.borrow_mut();
        for ((key, _), read) in self.values.iter().zip(&mut notes.read) {
            *read |= key.starts_with(prefix);
        }
    }

    fn mistake(&self, key: &str, what: &str) {
        self.notes.borrow_mut().mistakes.push(format!("{key}: {what}"));
    }
}
