//! The process itself: how many files it may open, how it is scheduled, and as whom it runs.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use nix::unistd::{Gid, Uid, User, getgrouplist, getuid, initgroups, setgid, setuid};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waft_config::{Config, Mistake, Scheduling};
use waft_plugin_host::CompilerProcess;
use waft_server::Workers;

use crate::findings::mistake;
use crate::running::worker_threads;

/// Open files for which there is room from the beginning, if the configuration does not let more
/// sessions in: 8 octets of the kernel's memory each.
const ROOM_MIN: u64 = 4096;

/// The most of them: beyond, the table grows when it has to.
const ROOM_MAX: u64 = 65_536;

/// Whether this process is the program, and not one that uses its library.
static IS_PROGRAM: OnceLock<()> = OnceLock::new();

/// Remembers that this process is the program, which can be started once more.
pub(crate) fn is_program() {
    // It was told so before.
    let _ = IS_PROGRAM.set(());
}

/// Returns the program that compiles components: this one, once more, whatever lies where it was
/// started from by now.
pub(crate) fn compiler() -> Option<CompilerProcess> {
    IS_PROGRAM.get()?;
    let program = match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe().ok()?,
    };
    let arguments = ["plugin", "compile-child"].map(Into::into).to_vec();
    Some(CompilerProcess { program, arguments })
}

/// Lets the process open as many files as the system allows it to, and warns where that is not
/// enough for the sessions that the configuration allows, each with a control and a data connection, and
/// for their threads.
pub(crate) fn raise_open_files(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
    let of_threads = Workers::open_files(worker_threads(config));
    let of_sessions = config.limits.sessions.map_or(0, u64::from) * 2;
    let wanted = of_sessions.saturating_add(of_threads.try_into().unwrap_or(u64::MAX));
    let allowed = getrlimit(Resource::Nofile).current;
    make_room(wanted.clamp(ROOM_MIN, ROOM_MAX).min(allowed.unwrap_or(u64::MAX)));
    let Some(allowed) = allowed else { return };
    if wanted > allowed {
        tracing::warn!(
            allowed,
            wanted,
            remedy = "raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower limits.sessions",
            "too few open files for all sessions"
        );
    }
}

/// Lets the table of open files grow to so many at once, while the process has a single thread.
///
/// Where it has more, the one that opens a file for which there is no room waits until all
/// processors have passed a quiet point, 20 ms long, and so does whoever waits for that thread: all
/// clients, where it is the one that accepts them. The table doubles each time.
fn make_room(files: u64) {
    let Some(last) = files.checked_sub(1).and_then(|last| i32::try_from(last).ok()) else { return };
    // Closed at once: the table does not shrink. Without it the server is slow for a moment.
    let _ = fcntl_dupfd_cloexec(std::io::stderr(), last);
}

/// Says how the threads of the process get a processor, while it has a single one. A server that is
/// scheduled otherwise is still a server.
pub(crate) fn schedule(scheduling: Scheduling) {
    let told = match scheduling {
        Scheduling::Batch => waft_scheduling::give_way(),
        Scheduling::Inherited => return,
    };
    match told {
        Ok(true) => {}
        Ok(false) => tracing::debug!("scheduled as the process was started"),
        Err(error) => tracing::warn!(
            %error,
            remedy = "allow sched_setscheduler, or set scheduling = \"inherited\" in [server]",
            "threads are scheduled as the process was started: with many clients replies are slower"
        ),
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

/// Returns the number of a user, if there is one of that name.
pub(crate) fn number_of(user: &str) -> Option<u32> {
    Some(User::from_name(user).ok()??.uid.as_raw())
}

/// Returns what keeps the user to become from reading a file that root can read: the file itself or
/// a directory above it. Access control lists are not looked at: they may allow it nevertheless.
pub(crate) fn barrier(config: &Config, file: &Path) -> Option<PathBuf> {
    let user = User::from_name(config.server.run_as.as_deref()?).ok()??;
    if !getuid().is_root() || user.uid.is_root() {
        return None;
    }
    let name = CString::new(user.name.as_bytes()).ok()?;
    let groups = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
    barrier_for(user.uid, &groups, file)
}

fn barrier_for(user: Uid, groups: &[Gid], file: &Path) -> Option<PathBuf> {
    const READ: u32 = 0o4;
    const ENTER: u32 = 0o1;
    let file = file.canonicalize().ok()?;
    let mut above: Vec<&Path> = file.ancestors().collect();
    above.reverse();
    let denied = above.into_iter().find(|path| {
        let needed = if *path == file { READ } else { ENTER };
        let Ok(metadata) = path.metadata() else { return false };
        let granted = match metadata.mode() {
            mode if metadata.uid() == user.as_raw() => mode >> 6,
            mode if groups.contains(&Gid::from_raw(metadata.gid())) => mode >> 3,
            mode => mode,
        };
        granted & needed == 0
    });
    denied.map(Path::to_path_buf)
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

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
    fn room_is_made_for_as_many_files_as_may_be_opened() {
        let size = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
            size.trim().parse::<u64>().unwrap()
        };
        make_room(0);
        make_room(u64::MAX);
        let twice = size() * 2;
        make_room(twice);
        assert!(size() >= twice);
    }

    #[test]
    fn becoming_who_one_is_changes_nothing() {
        let me = User::from_uid(getuid()).unwrap().unwrap();
        become_user(&me.name).unwrap();
        assert_eq!(getuid(), me.uid);
    }

    #[test]
    fn what_keeps_another_user_from_a_file_is_found_on_the_way_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let (inner, file) = (directory.path().join("inner"), directory.path().join("inner/key"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "").unwrap();
        let owner = fs::metadata(&file).unwrap();
        let (own, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        let (other, strangers) = (Uid::from_raw(owner.uid() + 1), Gid::from_raw(owner.gid() + 1));
        let [outer, inner, file] =
            [directory.path(), &inner, &file].map(|path| path.canonicalize().unwrap());
        for (modes, user, groups, expected) in [
            ([0o700, 0o700, 0o400], own, [strangers], None),
            ([0o700, 0o755, 0o644], other, [strangers], Some(&outer)),
            ([0o711, 0o700, 0o644], other, [strangers], Some(&inner)),
            ([0o711, 0o750, 0o640], other, [strangers], Some(&inner)),
            ([0o711, 0o711, 0o640], other, [strangers], Some(&file)),
            ([0o711, 0o711, 0o604], other, [strangers], None),
            ([0o710, 0o710, 0o640], other, [group], None),
            ([0o710, 0o710, 0o604], other, [group], Some(&file)),
        ] {
            for (path, mode) in [&outer, &inner, &file].into_iter().zip(modes) {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
            let found = barrier_for(user, &groups, &file);
            assert_eq!(found.as_ref(), expected, "{modes:?} {user} {groups:?}");
        }
    }
}
