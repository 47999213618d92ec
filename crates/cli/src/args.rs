//! The command line: what may be written, and its help. Nothing is looked up or opened here.

mod author;
mod operate;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use waft_config::LogFormat;

pub(crate) use author::{
    BenchedPlugin, Component, LanguageName, NewPlugin, PackPlugin, PluginCheck, PluginInspect,
    SignPlugin, Sources, TestedPlugin, UnpackPlugin, VerifyPlugin,
};
pub(crate) use operate::{Operate, Reach};

const EXAMPLES: &str = "\
Examples:
  waft serve --root /srv/ftp                      a directory to look at, for anybody
  waft serve --root . --user alice:secret         and to change, for one account
  waft serve --config /etc/waft/waft.toml         everything else
  waft check --config /etc/waft/waft.toml         what is wrong with it
  waft user add alice --root /srv/alice --file users.toml
  waft plugin inspect policy.wasm
  waft plugin list                                those of the server that runs
  waft plugin new no-uploads --lang rust          a plugin of one's own

Environment:
  WAFT_LOG   what is logged, before the configuration: a level (error, warn, info, debug,
             trace), or levels by part, such as warn,waft_server=debug
  NO_COLOR   if set, logs are not coloured

Exit codes: 0 fine, 1 failure at run time, 2 wrong command line or configuration";

const SERVE_EXAMPLES: &str = "\
Without --config and --root the configuration is ./waft.toml, or else /etc/waft/waft.toml.

Signals:
  SIGTERM, SIGINT   takes no more sessions, lets transfers finish, ends; a second one ends at once
  SIGHUP            reads the configuration again, for new sessions

Examples:
  waft serve --root /srv/ftp --listen 0.0.0.0:2121 --read-only
  waft serve --root . --user alice:secret --plugin policy.wasm";

const PLUGIN_BUILD_NOTES: &str = "\
The language is known by the file: Cargo.toml, plugin.c, plugin.js or plugin.py. What is needed:
  Rust         the target wasm32-unknown-unknown: rustup target add wasm32-unknown-unknown
  C            clang, lld and the C library for WebAssembly (Debian: clang lld wasi-libc)
  JavaScript   Node.js 20 with npm, or Python 3 with venv, by which one is fetched
  Python       Python 3 with venv (Debian: python3-venv)
componentize-js and componentize-py are fetched when first needed, in versions that are known to
work, and compared with known checksums.";

const PLUGIN_SIGN_NOTES: &str = "\
A pair of keys:
  openssl genpkey -algorithm ed25519 -out key.pem
  openssl pkey -in key.pem -pubout -out public.pem
The server demands signatures where public_key in [plugins] names public.pem. They are those of
  openssl pkeyutl -sign -rawin -inkey key.pem -in FILE.wasm -out FILE.wasm.sig";

const PLUGIN_PACK_NOTES: &str = "\
What lies beside FILE.wasm goes with it: FILE.wasm.sig, FILE.toml and FILE.scenario.txt. The archive
is an OCI image layout, and the same files make the same archive. To a registry and back:
  skopeo copy oci-archive:FILE.tar docker://registry.example.org/plugins/FILE:1.0.0
  skopeo copy docker://registry.example.org/plugins/FILE:1.0.0 oci-archive:FILE.tar";

const PLUGIN_UNPACK_NOTES: &str = "\
Nothing is written unless every octet of the archive is what its digests say. The component comes
last, and whole: a server that runs on that folder takes it with all that belongs to it. What a
plugin is granted stands in the configuration, and comes with no archive.";

const PLUGIN_TEST_NOTES: &str = "\
Lines of a scenario; docs/plugins/testing.md explains them:
  > LINE   < LINE           the client sends it; the server has to answer it ({any}: anything)
  login: NAME PASSWORD      alice and secret unless told; session: NAME [implicit] [from ADDRESS]
  tls   protect             AUTH TLS with its handshake; PROT P
  passive   active          EPSV or EPRT, and a data connection: data: send, expect, lines, gone
  listen PORT               the client awaits it there, for PORT or EPRT lines
  advance 60s               the clock jumps
  http: GET URL -> 200 \"BODY\"          http: expect GET URL
  kv: set KEY \"VALUE\"                  kv: expect KEY \"VALUE\"
  inject: trap HOOK                      inject: timeout HOOK
  event: NAME   log: TEXT   check: NAME holds \"OCTETS\"   eof   disconnect   # a comment
Before the first step: plugin:, server:, account:, file:, directory:, secret:, clock:
plugin.toml, beside the scenario or above scenarios/, has what an operator writes under [[plugin]].

Exit codes: 0 all went as written, 1 one did not, 2 a scenario makes no sense";

/// An FTP server that anyone can extend with WebAssembly
#[derive(Debug, Parser)]
#[command(name = "waft", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve files over FTP, in the foreground
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Tell everything that is wrong with a configuration
    Check(Check),
    /// Keep the accounts of a users file
    #[command(subcommand)]
    User(User),
    /// Tell how a server that runs is
    Status(Reach),
    /// Look at plugins, make them, and see to those of a server that runs
    #[command(subcommand)]
    Plugin(Plugin),
    /// Make certificates for TLS
    #[command(subcommand)]
    Cert(Cert),
    /// Tell about the configuration
    #[command(subcommand)]
    Config(Config),
    /// Write a shell's completions for waft
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How the log is written, whatever the configuration says
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogStyle>,
    /// Write a core dump of a plugin's instance that breaks, in coredumps/ of the state directory:
    /// the last eight, and none of plugins that are granted secrets or passwords
    #[arg(long, requires = "config")]
    pub(crate) coredump_on_trap: bool,
    #[command(flatten)]
    pub(crate) quick: Quick,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Without a configuration")]
pub(crate) struct Quick {
    /// The directory to serve
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) root: Option<PathBuf>,
    /// Where to listen; 127.0.0.1:2121 unless told
    #[arg(long, value_name = "ADDRESS:PORT", requires = "root")]
    pub(crate) listen: Option<SocketAddr>,
    /// An account that may do everything; can be given more than once. Others on this machine can
    /// see the command line: for more than a test, write a configuration
    #[arg(long, value_name = "NAME:PASSWORD", requires = "root")]
    pub(crate) user: Vec<String>,
    /// Let anybody log in as "anonymous", to look and to fetch; so it is anyhow where there is no
    /// account
    #[arg(long, requires = "root")]
    pub(crate) anonymous: bool,
    /// Let accounts only look and fetch, too
    #[arg(long, requires = "root")]
    pub(crate) read_only: bool,
    /// A component to load; can be given more than once
    #[arg(long, value_name = "FILE.wasm", requires = "root")]
    pub(crate) plugin: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration; ./waft.toml unless told, or else /etc/waft/waft.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write the result to stdout, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add an account
    Add(NewUser),
    /// Give an account another password
    Passwd {
        /// The account
        name: String,
        #[command(flatten)]
        file: UsersFile,
        #[command(flatten)]
        password: Password,
    },
    /// Remove an account
    Remove {
        /// The account
        name: String,
        #[command(flatten)]
        file: UsersFile,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        file: UsersFile,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the hash of a password, for `password` in a configuration
    Hash(Password),
}

#[derive(Debug, Args)]
pub(crate) struct NewUser {
    /// The account
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) file: UsersFile,
    /// The directory that is all the account sees
    #[arg(long, value_name = "DIR")]
    pub(crate) root: PathBuf,
    /// What it may do, separated by commas; everything unless told
    #[arg(long, value_name = "list,read,…", value_delimiter = ',')]
    pub(crate) permissions: Option<Vec<String>>,
    /// The directory in which its sessions begin, as clients see it
    #[arg(long, value_name = "PATH")]
    pub(crate) home: Option<String>,
    #[command(flatten)]
    pub(crate) password: Password,
}

#[derive(Debug, Args)]
pub(crate) struct UsersFile {
    /// The users file, as the configuration names it
    #[arg(long = "file", value_name = "FILE")]
    pub(crate) path: PathBuf,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Password {
    /// Read the password from stdin, one line, instead of asking for it
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Tell what a component is and wants
    Inspect(PluginInspect),
    /// Load a component as the server would, and tell why it would not be taken
    Check(PluginCheck),
    #[command(flatten)]
    Operate(Operate),
    /// Begin a plugin: a directory with sources that work, to be changed
    New(NewPlugin),
    /// Make a component of a plugin's sources, in DIR/build/
    #[command(after_help = PLUGIN_BUILD_NOTES)]
    Build(Sources),
    /// Play scenarios against a server, in memory, that has loaded a plugin
    #[command(after_help = PLUGIN_TEST_NOTES)]
    Test(TestedPlugin),
    /// Build a plugin and serve with it, and build it anew whenever its sources change
    Run {
        #[command(flatten)]
        sources: Sources,
        /// Where to listen
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2121")]
        listen: SocketAddr,
        /// Write a core dump of a plugin's instance that breaks, in DIR/build/state/coredumps
        #[arg(long)]
        coredump_on_trap: bool,
    },
    /// Measure what a component costs: to compile, to load, to have instances of, and to ask
    Bench(BenchedPlugin),
    /// Sign a component with a private key of Ed25519, into FILE.wasm.sig beside it
    #[command(after_help = PLUGIN_SIGN_NOTES)]
    Sign(SignPlugin),
    /// Tell whether a component bears the signature of a key
    Verify(VerifyPlugin),
    /// Put a component, with its signature, settings and scenario, into one archive
    #[command(after_help = PLUGIN_PACK_NOTES)]
    Pack(PackPlugin),
    /// Put the files of an archive into a directory
    #[command(after_help = PLUGIN_UNPACK_NOTES)]
    Unpack(UnpackPlugin),
    /// Compile the component on stdin for a server, which starts this itself
    #[command(hide = true)]
    CompileChild {
        /// The seconds of the processor that it may take
        seconds: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cert {
    /// Make a certificate for a first try, which clients have to be told to trust
    SelfSigned(SelfSigned),
}

#[derive(Debug, Args)]
pub(crate) struct SelfSigned {
    /// A name or an address of the server; can be given more than once
    #[arg(long = "name", value_name = "HOST", default_value = "localhost")]
    pub(crate) names: Vec<String>,
    /// For how many days it is valid
    #[arg(long, value_name = "NUMBER", default_value_t = 365,
          value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    /// Where the certificate goes
    #[arg(long, value_name = "FILE", default_value = "cert.pem")]
    pub(crate) certificate: PathBuf,
    /// Where the private key goes
    #[arg(long, value_name = "FILE", default_value = "key.pem")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Write the reference of all sections and keys, as Markdown
    Reference,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogStyle {
    /// Lines for people
    Human,
    /// One JSON object a line
    Json,
}

impl From<LogStyle> for LogFormat {
    fn from(style: LogStyle) -> Self {
        match style {
            LogStyle::Human => Self::Human,
            LogStyle::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
