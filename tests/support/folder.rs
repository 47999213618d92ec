//! A folder of plugins that `command-policy` is dropped into, with settings beside it.

use std::fs;

use super::log::Line;
use super::site::Site;
use super::waft::Waft;

/// The component, what lies beside it, and what the log says of a version that is not taken.
pub(crate) const COMPONENT: &str = "plugins.d/command-policy.wasm";
pub(crate) const SETTINGS: &str = "plugins.d/command-policy.toml";
pub(crate) const SCENARIO: &str = "plugins.d/command-policy.scenario.txt";
pub(crate) const KEPT: &str = "plugin not replaced, the version before stays in force";

/// A site whose folder of plugins is there, and has nothing in it; `plugins` goes on with the
/// settings of the folder.
pub(crate) fn site(plugins: &str) -> Site {
    let site = Site::new(&format!("[plugins]\ndirectory = \"plugins.d\"\n{plugins}"));
    let text = fs::read_to_string(site.path("waft.toml")).unwrap();
    let text = text.replace("[server]\n", "[server]\nstate = \"state\"\n");
    site.write("waft.toml", text);
    site.make("plugins.d");
    site.make("state");
    site
}

/// Settings that deny CWD in these words.
pub(crate) fn deny(words: &str) -> String {
    format!("[config]\ndeny = [\"CWD\"]\nmessage = \"{words}\"\n")
}

/// What CWD is answered with.
pub(crate) fn answer(waft: &Waft) -> Vec<String> {
    waft.log_in().command("CWD /").lines
}

/// Waits until a change of the files has become of the plugin what the log calls so.
pub(crate) fn until(waft: &Waft, change: impl FnOnce(&Site), message: &str) -> Line {
    waft.and_wait(change, message, |line| line.message() == message)
}
