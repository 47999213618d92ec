//! Who may own components and the directories that they lie in: whoever owns a file may replace what
//! is in it, whatever its mode says now.

/// The users that components may belong to, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owners {
    /// The user that the process is.
    process: u32,
    /// The user that it is to become.
    run_as: Option<u32>,
}

/// Whoever is root can do everything anyway.
const ROOT: u32 = 0;

impl Owners {
    /// Root, the user that the process is now, and the one that it is to become.
    pub(crate) fn of(run_as: Option<u32>) -> Owners {
        Owners { process: process_user(), run_as }
    }

    /// Those of a process of that user.
    #[cfg(test)]
    pub(crate) fn when(process: u32) -> Owners {
        Owners { process, run_as: None }
    }

    /// Whether the user is one of them.
    pub(crate) fn include(self, user: u32) -> bool {
        user == ROOT || user == self.process || Some(user) == self.run_as
    }

    /// Whether the server, once it serves, may change what that user owns: on behalf of its clients.
    pub(crate) fn serve_as(self, user: u32) -> bool {
        let serving = self.run_as.unwrap_or(self.process);
        serving == ROOT || serving == user
    }
}

#[cfg(unix)]
fn process_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn process_user() -> u32 {
    ROOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_belong_to_root_to_the_user_of_the_server_or_to_nobody_that_is_trusted() {
        let owners = Owners { process: 1000, run_as: Some(990) };
        assert!([0, 1000, 990].into_iter().all(|user| owners.include(user)));
        assert!(!owners.include(1001));
        assert!(!Owners { run_as: None, ..owners }.include(990));
    }

    #[test]
    fn clients_change_what_the_user_of_the_server_owns_and_anything_where_that_is_root() {
        let owners = Owners { process: ROOT, run_as: Some(990) };
        assert!(owners.serve_as(990));
        assert!(!owners.serve_as(ROOT));
        assert!(Owners::when(ROOT).serve_as(990));
        assert!(!Owners::when(990).serve_as(ROOT));
    }
}
