//! `waft serve`: a server in the foreground, from the configuration to the last transfer.

mod changes;
mod signals;

use waft_config::{Config, LogFormat, Mistakes, QuickStart, Warnings};

use super::{runtime, serve_in, user};
use crate::args::{Quick, Serve};
use crate::assemble;
use crate::failure::Failure;
use crate::lent::Beside;
use crate::logging::{self, Logging};
use crate::process;
use crate::running::{Running, StartError};
use crate::source::Source;
use changes::Changes;
use signals::{Reload, Stop};

/// Serves until a signal ends it.
///
/// # Errors
///
/// It cannot start.
pub(crate) fn run(arguments: Serve) -> Result<(), Failure> {
    let format = arguments.log_format.map(LogFormat::from);
    let keeps_core_dumps = arguments.coredump_on_trap;
    let source = source(arguments)?;
    let (config, warnings) = source.load()?;
    if keeps_core_dumps && config.server.state.is_none() {
        let remedy = "set state in [server]: core dumps go there";
        return Err(Failure::Usage(format!("--coredump-on-trap: no place for them; {remedy}")));
    }
    let logging = logging::start(format.unwrap_or(config.log.format), config.log.level)?;
    warn(&warnings);
    process::raise_open_files(&config);
    process::schedule(config.server.scheduling);
    // Sessions have threads of their own.
    let runtime = runtime(Some(1))?;
    let beside = Beside { keeps_core_dumps, ..Beside::default() };
    serve_in(runtime, serve(&source, config, beside, &logging))
}

async fn serve(
    source: &Source,
    config: Config,
    beside: Beside,
    logging: &Logging,
) -> Result<(), Failure> {
    let (mut stop, mut hang_up) = (Stop::install()?, Reload::install()?);
    let mut changes = Changes::of(&config);
    let mut running = tokio::select! {
        running = Running::begin(config, beside) => running?,
        () = stop.next() => return Ok(()),
    };
    warn(&crowded(&running));
    loop {
        tokio::select! {
            () = stop.next() => break,
            () = hang_up.next() => {}
            () = changes.next() => {}
            () = running.certificate_renewed() => {}
        }
        tokio::select! {
            () = stop.next() => break,
            () = reload(source, &mut running, &mut changes, logging) => {}
        }
    }
    running.shut_down(stop.next()).await;
    Ok(())
}

/// Reads the configuration again. One that is wrong is told once, and changes nothing.
async fn reload(source: &Source, running: &mut Running, changes: &mut Changes, logging: &Logging) {
    // Before it is read: what changes while it is read is another change.
    changes.look();
    let result = match source.load() {
        Ok((config, warnings)) => {
            changes.watch(&config);
            running.reload(config).await.map(|()| warnings)
        }
        Err(mistakes) => Err(mistakes),
    };
    match result {
        Ok(warnings) => {
            logging.set_level(running.config().log.level);
            warn(&warnings);
            warn(&crowded(running));
            tracing::info!(source = source.name(), "configuration reloaded");
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

/// What plugins may want too much of, together.
fn crowded(running: &Running) -> Warnings {
    Warnings(assemble::crowded(running.config(), &running.host().status()))
}

fn warn(Warnings(warnings): &Warnings) {
    for warning in warnings {
        let (place, remedy) = (&warning.origin, &warning.remedy);
        tracing::warn!(%place, key = warning.key, remedy, "{}", warning.message);
    }
}

fn refuse(Mistakes { mistakes, .. }: &Mistakes) {
    for mistake in mistakes {
        let (place, remedy) = (&mistake.origin, &mistake.remedy);
        tracing::error!(%place, key = mistake.key, remedy, "{}", mistake.message);
    }
    let mistakes = mistakes.len();
    tracing::error!(mistakes, "configuration not reloaded: the one before stays in force");
}

fn source(arguments: Serve) -> Result<Source, Failure> {
    let Quick { root, listen, user, anonymous, read_only, plugin } = arguments.quick;
    let Some(root) = root else { return Ok(Source::File(arguments.config)) };
    let users = user.iter().map(|user| account(user)).collect::<Result<_, _>>()?;
    let plugins = plugin;
    Ok(Source::Quick(QuickStart { root, listen, users, anonymous, read_only, plugins }))
}

/// Takes `NAME:PASSWORD` apart. What is wrong is told without showing it.
fn account(user: &str) -> Result<(String, waft_config::PasswordHash), Failure> {
    match user.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => {
            Ok((name.to_owned(), user::hash(password)?))
        }
        _ => Err(Failure::Usage("--user: not of the form NAME:PASSWORD".to_owned())),
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Configuration(mistakes) => Self::Configuration(mistakes),
            StartError::Bind(errors) => Self::Bind(errors),
            error => Self::Runtime(error.into()),
        }
    }
}
