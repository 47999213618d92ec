//! The process itself: how many files it may open, and as whom it runs.

use std::ffi::CString;

use anyhow::{Context, ensure};
use nix::unistd::{User, getuid, initgroups, setgid, setuid};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waft_config::{Config, Mistake};

use crate::findings::mistake;

/// Lets the process open as many files as the system allows it to, and warns where that is not
/// enough for the sessions that the configuration allows: each of them has a control and a data
/// connection.
pub(crate) fn raise_open_files(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return };
    let wanted = config.limits.sessions.map_or(0, u64::from) * 2;
    if wanted > allowed {
        tracing::warn!(
            allowed,
            wanted,
            remedy = "raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower limits.sessions",
            "too few open files for all sessions"
        );
    }
}

/// Checks that the user to become exists.
pub(crate) fn check_user(config: &Config) -> Option<Mistake> {
    let name = config.server.run_as.as_deref()?;
    let message = match User::from_name(name) {
        Ok(Some(_)) => return None,
        Ok(None) => format!("no user of this name: {name}"),
        Err(error) => format!("cannot look up the user {name}: {error}"),
    };
    let remedy = format!("make it: useradd --system {name}");
    Some(mistake(config, "server.run_as", message, remedy))
}

/// Becomes the user `name` for good, with the groups of that user, if the process runs as root.
///
/// All threads become that user: the C library sees to it.
///
/// # Errors
///
/// There is no such user, or the system refuses.
pub(crate) fn become_user(name: &str) -> anyhow::Result<()> {
    let user = User::from_name(name)?.with_context(|| format!("no user of this name: {name}"))?;
    if getuid() == user.uid {
        return Ok(());
    }
    if !getuid().is_root() {
        let now = getuid().as_raw();
        tracing::warn!(uid = now, run_as = name, "not started as root: it stays who it is");
        return Ok(());
    }
    // Groups first: afterwards there is no right to change them.
    let c_name = CString::new(user.name.as_bytes())?;
    initgroups(&c_name, user.gid).context("cannot take the groups of the user")?;
    setgid(user.gid).context("cannot take the group of the user")?;
    setuid(user.uid).context("cannot become the user")?;
    ensure!(user.uid.is_root() || setuid(0.into()).is_err(), "could become root again");
    tracing::info!(uid = user.uid.as_raw(), gid = user.gid.as_raw(), run_as = name, "became user");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_user_that_does_not_exist_is_told_with_its_place() {
        let text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[server]\nrun_as = \"no-such-one\"\n";
        let (config, _) = Config::from_text(Path::new("waft.toml"), text).unwrap();
        let mistake = check_user(&config).unwrap();
        assert_eq!(mistake.origin.to_string(), "waft.toml:4:10");
        assert_eq!(mistake.message, "no user of this name: no-such-one");
        assert!(become_user("no-such-one").is_err());
    }

    #[test]
    fn becoming_who_one_is_changes_nothing() {
        let me = User::from_uid(getuid()).unwrap().unwrap();
        become_user(&me.name).unwrap();
        assert_eq!(getuid(), me.uid);
    }
}
