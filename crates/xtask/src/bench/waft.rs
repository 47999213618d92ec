//! How waft is configured to be measured: with its defaults, but for limits that stand in the way.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::account::{self, USER};
use super::server::{Contender, Place};

/// The hash of the account's password, as cheap as Argon2id can be (8 KiB, one pass): what is
/// compared are servers, not hashes.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$0eafWZt/Lep6RwYtox7mOw$jvi8p0OLuXtImoHbOKKSjg";

/// waft by itself.
pub(super) fn plain() -> Contender {
    with("waft", String::new(), Vec::new())
}

/// waft with more in its configuration, and with these components in its folder of plugins.
pub(super) fn with(name: &str, more: String, components: Vec<PathBuf>) -> Contender {
    let configure = move |place: &Place<'_>| {
        let plugins = place.own.join("plugins.d");
        fs::create_dir_all(&plugins)?;
        for component in &components {
            let name = component.file_name().unwrap_or_default();
            fs::copy(component, plugins.join(name))?;
        }
        start(place, &more)
    };
    Contender::new(name, Box::new(configure))
}

fn start(place: &Place<'_>, more: &str) -> Result<Command> {
    let etc = place.own.join("etc");
    fs::create_dir_all(&etc)?;
    let file = etc.join("waft.toml");
    fs::write(&file, configuration(place, more))?;
    account::hand_over(&file)?;
    let mut command = Command::new(place.site.waft());
    command.arg("serve").arg("--config").arg(file).env_remove("WAFT_LOG");
    account::demote(&mut command);
    Ok(command)
}

fn configuration(place: &Place<'_>, more: &str) -> String {
    let [certificate, key] = place.site.certificate();
    format!(
        r#"
[limits]
sessions = 0
sessions_per_address = 0

[timeouts]
idle = "1h"

[[listener]]
address = "127.0.0.1:{port}"
tls = "explicit"

[tls]
certificate = "{certificate}"
private_key = "{key}"

[passive]
ports = "20000-29999"

[[user]]
name = "{USER}"
password = "{HASH}"
root = "{root}"

[plugins]
directory = "{plugins}"
{more}"#,
        port = place.port,
        certificate = certificate.display(),
        key = key.display(),
        root = place.site.files().display(),
        plugins = place.own.join("plugins.d").display(),
    )
}
