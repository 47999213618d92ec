//! What can be asked of a server that runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// How the server is reached, and how its answer is written.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// The configuration that the server runs with; ./waft.toml unless told, or else
    /// /etc/waft/waft.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The server's control socket, whatever the configuration says
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) socket: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Subcommands of `waft plugin` that are about a server that runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Operate {
    /// List the plugins of the running server
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Tell everything about a plugin of the running server, or about all
    Status {
        /// The plugin
        name: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Look at a plugin's file now, or at all; what was refused or rolled back is tried again
    Reload {
        /// The plugin
        name: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Put the version before in force, until the file or its settings change
    Rollback {
        /// The plugin
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Have a new version that serves a share of the sessions serve all
    Promote {
        /// The plugin
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Wait until no session and no transfer uses an earlier version any more
    Drain {
        /// The plugin
        name: String,
        /// For how many seconds at most
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
        /// End transfers that still use one; their clients are told with 426
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Take a plugin out of force, until it is enabled or the server starts anew
    Disable {
        /// The plugin
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Put a plugin in force again that was disabled
    Enable {
        /// The plugin
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
}
