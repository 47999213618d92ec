//! How a command ends: what its operator is told, once, and the exit code.

use std::process::ExitCode;

use waft_config::Mistakes;

use crate::output;
use crate::running::BindError;

/// Something failed at run time.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const WRONG: u8 = 2;
/// What was waited for has not come within its time.
const LATE: u8 = 3;

/// Why a command did not do what it was told.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The configuration, or what it names, is wrong.
    Configuration(Mistakes),
    /// The server cannot listen.
    Bind(Vec<BindError>),
    /// Something else failed at run time.
    Runtime(anyhow::Error),
    /// The command has said no in its own way.
    No(Verdict),
}

/// What a command that decides something has decided, having told why.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// The configuration is not valid.
    NotValid,
    /// The component would not be loaded.
    NotLoadable,
    /// A scenario does not go as it is written.
    Otherwise,
    /// A component costs more than it may.
    TooSlow,
    /// A component does not bear the signature that it should.
    NotSigned,
    /// Earlier versions of a plugin are still in use.
    StillInUse,
}

/// Tells what went wrong, if anything did, and says how the program ends.
pub(crate) fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            output::tell(&format!("error: {message}\n\nFor more information, try '--help'."));
            WRONG.into()
        }
        Err(Failure::Configuration(mistakes)) => {
            output::tell(&told(&mistakes));
            WRONG.into()
        }
        Err(Failure::Bind(errors)) => {
            errors.iter().for_each(|error| output::tell(&format!("error: {error}")));
            FAILED.into()
        }
        Err(Failure::Runtime(error)) => {
            output::tell(&format!("error: {error:#}"));
            FAILED.into()
        }
        Err(Failure::No(Verdict::NotValid)) => WRONG.into(),
        Err(Failure::No(Verdict::StillInUse)) => LATE.into(),
        Err(Failure::No(_)) => FAILED.into(),
    }
}

/// Writes help, version or what is wrong with the command line, each to where it belongs.
pub(crate) fn exit_code_of_clap(error: &clap::Error) -> ExitCode {
    // Nobody reads it: nobody to tell.
    let _ = error.print();
    if error.use_stderr() { WRONG.into() } else { ExitCode::SUCCESS }
}

/// Returns mistakes and warnings as the operator reads them.
pub(crate) fn told(mistakes: &Mistakes) -> String {
    let errors = mistakes.mistakes.iter().map(|mistake| format!("error: {mistake}"));
    let warnings = mistakes.warnings.0.iter().map(|warning| format!("warning: {warning}"));
    errors.chain(warnings).collect::<Vec<_>>().join("\n")
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Configuration(mistakes)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Runtime(error.into())
    }
}
