//! What the authors of plugins can ask for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct NewPlugin {
    /// The directory, which is made; the last part of it is the plugin's name
    pub(crate) name: String,
    /// The language
    #[arg(long)]
    pub(crate) lang: LanguageName,
    /// What the plugin does to begin with
    #[arg(long, default_value = "command-filter")]
    pub(crate) hook: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LanguageName {
    Rust,
    C,
    Javascript,
    Python,
}

#[derive(Debug, Args)]
pub(crate) struct Sources {
    /// The plugin's directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Where the tools for JavaScript and Python are kept; in the user's cache unless told
    #[arg(long, value_name = "DIR")]
    pub(crate) tools: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TestedPlugin {
    /// The plugin's directory, in which it is built first, or a component
    #[arg(value_name = "DIR|FILE.wasm")]
    pub(crate) plugin: PathBuf,
    /// A scenario; can be given more than once. Those of DIR unless told: scenario.txt, and all in
    /// scenarios/
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Vec<PathBuf>,
    /// Where the tools for JavaScript and Python are kept; in the user's cache unless told
    #[arg(long, value_name = "DIR")]
    pub(crate) tools: Option<PathBuf>,
    /// Write the results to stdout, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PluginCheck {
    #[command(flatten)]
    pub(crate) component: Component,
    /// Go by what this configuration says about the plugin: its settings, limits and grants. Without
    /// it, nothing is set, and everything is granted and leads nowhere
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What an operator writes under `[[plugin]]`, such as the plugin.toml beside a scenario
    #[arg(long, value_name = "plugin.toml", conflicts_with = "config")]
    pub(crate) settings: Option<PathBuf>,
    /// The key, in PEM, whose signature has to lie beside the component; that of the configuration
    /// unless told
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// A version of the interface that a server has, such as 0.1.0: whether it has all that the
    /// component wants
    #[arg(long, value_name = "VERSION")]
    pub(crate) against: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Component {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PluginInspect {
    #[command(flatten)]
    pub(crate) component: Component,
    /// The key, in PEM, that the signature beside the component is compared with
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchedPlugin {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// A hook to measure; can be given more than once. All that it has unless told
    #[arg(long, value_name = "HOOK")]
    pub(crate) hook: Vec<String>,
    /// What an operator writes under `[[plugin]]`; without it, nothing is set, and everything is
    /// granted and leads nowhere
    #[arg(long, value_name = "plugin.toml")]
    pub(crate) settings: Option<PathBuf>,
    /// What a call may cost, as the median in nanoseconds; can be given more than once
    #[arg(long, value_name = "HOOK=NS")]
    pub(crate) limit: Vec<String>,
    /// What an earlier run wrote with --json: nothing may cost more than then
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// How many times as much it may cost nevertheless: 1 or more
    #[arg(long, value_name = "FACTOR", default_value_t = 1.3, requires = "baseline")]
    #[arg(value_parser = factor)]
    pub(crate) tolerance: f64,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A finite number of at least 1: nothing is slower than less, and nothing than NaN or infinity.
fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor >= 1.0);
    factor.ok_or_else(|| "not a number from 1 upwards".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct SignPlugin {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// The private key, in PEM (PKCS #8)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyPlugin {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// The public key, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PackPlugin {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// Where the archive goes; FILE.tar unless told
    #[arg(long, value_name = "ARCHIVE")]
    pub(crate) out: Option<PathBuf>,
    /// Leave out what lies beside the component: some tools take archives of one file alone
    #[arg(long)]
    pub(crate) alone: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnpackPlugin {
    /// The archive
    pub(crate) archive: PathBuf,
    /// Where the files go, such as the folder of plugins of a server that runs
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) into: PathBuf,
    /// Replace files that are there already
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// The key, in PEM, whose signature the component has to bear
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
}
