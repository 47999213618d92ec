//! A directory in which a server runs with one plugin: its configuration, files, and the component.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use waft_config::{Config, Mistake};

use super::scenario::{PASSWORD, Stage, TLS_NAME, USER};
use crate::commands::cert;
use crate::commands::user::hash;

/// What an operator would write into `[[plugin]]`: settings, grants, limits.
pub(super) const SETTINGS: &str = "plugin.toml";

/// Stands for the directory of all accounts' files in settings.
const FILES: &str = "{files}";

/// What all is put together in.
pub(super) const CONFIG: &str = "waft.toml";

/// The server's certificate and its key, where it has TLS.
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// A listener for TLS from the beginning.
const IMPLICIT: &str =
    "[[listener]]\nname = \"implicit\"\naddress = \"192.0.2.1:990\"\ntls = \"implicit\"\n";

/// A server's directory.
pub(super) struct Site {
    pub(super) directory: PathBuf,
    /// Where the component is.
    pub(super) component: PathBuf,
    /// The files of all accounts.
    pub(super) files: PathBuf,
    pub(super) config: Config,
}

/// What a site is made of.
pub(super) struct Ground<'a> {
    /// The directory, which is made anew.
    pub(super) directory: &'a Path,
    /// Where compiled components are kept from one time to the next.
    pub(super) state: &'a Path,
    /// The plugin's name.
    pub(super) name: &'a str,
    pub(super) component: &'a Path,
    /// A file with the settings, unless the stage has its own; it need not be there.
    pub(super) settings: &'a Path,
    pub(super) address: &'a str,
}

impl Site {
    /// Makes one with what is there before a scenario.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or the settings make no sense.
    pub(super) fn make(ground: &Ground<'_>, stage: &Stage) -> anyhow::Result<Self> {
        let directory = std::path::absolute(ground.directory)?;
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
        }
        let (plugins, files) = (directory.join("plugins.d"), directory.join("files"));
        // The server refuses components that others may change.
        for private in [&plugins, &std::path::absolute(ground.state)?] {
            let mut builder = fs::DirBuilder::new();
            builder.mode(0o700).recursive(true);
            builder.create(private).with_context(|| private.display().to_string())?;
        }
        let component = plugins.join(ground.name).with_extension("wasm");
        fs::copy(ground.component, &component)
            .with_context(|| ground.component.display().to_string())?;
        fs::create_dir(&files)?;
        for name in &stage.directories {
            fs::create_dir_all(files.join(name))?;
        }
        let secrets = directory.join("secrets");
        let all = stage.files.iter().map(|(name, octets)| (files.join(name), octets));
        for (path, octets) in all.chain(stage.secrets.iter().map(|(n, o)| (secrets.join(n), o))) {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, octets).with_context(|| path.display().to_string())?;
        }
        if stage.has_tls {
            let (certificate, key) = cert::made(&[TLS_NAME.to_owned()], 1)
                .map_err(|_| anyhow::anyhow!("cannot make a certificate"))?;
            fs::write(directory.join(CERTIFICATE), certificate)?;
            fs::write(directory.join(KEY), key)?;
        }
        let config = configuration(ground, stage, &directory)?;
        Ok(Self { directory, component, files, config })
    }

    /// Reads the settings anew, of a site that is there.
    ///
    /// # Errors
    ///
    /// They make no sense.
    pub(super) fn reread(&self, ground: &Ground<'_>) -> anyhow::Result<Config> {
        configuration(ground, &Stage::default(), &self.directory)
    }
}

/// Tells mistakes with their places; those in the settings at the lines that these have in their own
/// file, not in what is made of all.
pub(super) fn told(ground: &Ground<'_>, config: &Path, mistakes: &[Mistake]) -> String {
    let settings = fs::read_to_string(ground.settings).unwrap_or_default();
    let all = fs::read_to_string(config).unwrap_or_default();
    let lines = |text: &str| u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX);
    let before = all.rfind(&*settings).and_then(|at| all.get(..at)).map(lines);
    let told = mistakes.iter().map(|mistake| {
        let mut mistake = mistake.clone();
        let line = before.and_then(|before| mistake.origin.line.checked_sub(before));
        if let (Some(line @ 1..), true) = (line, *mistake.origin.file == *config) {
            mistake.origin.file = ground.settings.into();
            mistake.origin.line = line;
        }
        mistake.to_string()
    });
    told.collect::<Vec<_>>().join("\n")
}

fn configuration(ground: &Ground<'_>, stage: &Stage, directory: &Path) -> anyhow::Result<Config> {
    let settings = match &stage.plugin {
        Some(settings) => settings.clone(),
        None if ground.settings.is_file() => fs::read_to_string(ground.settings)?,
        None => String::new(),
    };
    let settings = settings.replace(FILES, &directory.join("files").to_string_lossy());
    let hash = hash(PASSWORD)?;
    let user = |(name, may): (&str, Option<&str>)| {
        let words = may.map(|may| may.split(',').map(str::trim).collect::<Vec<_>>());
        let may = words.map(|words| format!("permissions = {words:?}\n")).unwrap_or_default();
        let hash = hash.as_str();
        format!("[[user]]\nname = {name:?}\npassword = \"{hash}\"\nroot = \"files\"\n{may}")
    };
    let others = stage.accounts.iter().map(|(name, may)| (name.as_str(), may.as_deref()));
    let users: String = [(USER, None)].into_iter().chain(others).map(user).collect();
    let Ground { name, address, state, .. } = ground;
    let state = std::path::absolute(state)?;
    let (tls, implicit) = match stage.has_tls {
        true => ("tls = \"explicit\"\n", IMPLICIT),
        false => ("", ""),
    };
    let text = format!(
        "[[listener]]\naddress = \"{address}\"\n{tls}{implicit}{users}\
         [plugins]\ndirectory = \"plugins.d\"\n{}\
         [[plugin]]\nname = \"{name}\"\n{settings}\n",
        stage.server
    );
    let text = with_table(&text, "server", &format!("state = {state:?}"));
    let text = with_table(&text, "active", "mode = \"on\"");
    let mut text = with_table(&text, "login", "failure_delay = \"0s\"");
    if stage.has_tls {
        for (key, file) in [("certificate", CERTIFICATE), ("private_key", KEY)] {
            text = with_table(&text, "tls", &format!("{key} = \"{file}\""));
        }
    }
    let file = directory.join(CONFIG);
    // Kept for whoever wants to see what the server goes by.
    fs::write(&file, &text).with_context(|| file.display().to_string())?;
    match Config::from_text(&file, &text) {
        Ok((config, _)) => Ok(config),
        Err(wrong) => {
            bail!("the settings make no sense:\n{}", told(ground, &file, &wrong.mistakes))
        }
    }
}

/// Adds a line to a table, which need not be there yet, unless it sets that key itself.
fn with_table(text: &str, table: &str, line: &str) -> String {
    let head = format!("[{table}]");
    let Some(at) = text.lines().position(|line| line.trim() == head) else {
        return format!("{head}\n{line}\n{text}");
    };
    let mut own = text.lines().skip(at + 1).take_while(|line| !is_head(line));
    if own.any(|own| key(own) == key(line)) {
        return text.to_owned();
    }
    let added = |(place, own)| [Some(own), (place == at).then_some(line)];
    let lines = text.lines().enumerate().flat_map(added).flatten();
    lines.map(|line| format!("{line}\n")).collect()
}

/// Whether a table begins with the line, and not a line of an array.
fn is_head(line: &str) -> bool {
    let name = line.trim_start().strip_prefix('[').map(|name| name.trim_start_matches('['));
    name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn key(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}

#[cfg(test)]
mod tests {
    use super::with_table;

    #[test]
    fn a_line_is_added_unless_its_own_table_sets_it() {
        let with = |text: &str| with_table(text, "active", "mode = \"lan\"");
        assert_eq!(with(""), "[active]\nmode = \"lan\"\n");
        let set = "[active]\nbounds = [\n  [1, 2],\n]\nmode=\"off\"\n";
        assert_eq!(with(set), set);
        for other in ["modes = 1\n", "[plugin.config]\nmode = 1\n", "[[user]]\nmode = 1\n"] {
            let text = format!("mode = 1\n[active]\n{other}");
            let expected = format!("mode = 1\n[active]\nmode = \"lan\"\n{other}");
            assert_eq!(with(&text), expected);
        }
    }
}
