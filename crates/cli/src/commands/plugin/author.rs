//! What the authors of plugins do: begin one, build it, and try it by hand.

use std::fs;
use std::future::ready;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waft_config::{LogFormat, LogLevel};
use waft_plugin_host::{Called, Onlooker};
use waft_plugin_tools::{Built, Language, Tools};

use super::scenario::{PASSWORD, Stage, USER};
use super::site::{CONFIG, Ground, SETTINGS, Site, told};
use crate::args::{LanguageName, NewPlugin, Sources};
use crate::commands::{runtime, serve_in};
use crate::failure::Failure;
use crate::lent::Beside;
use crate::{Running, logging, output};

/// Where what is made goes, below the plugin's directory.
pub(super) const OUTPUT: &str = "build";

/// How often the sources are looked at while a server runs with the plugin.
const LOOK: Duration = Duration::from_millis(500);

/// Makes a directory with the sources of a new plugin.
pub(super) fn create(arguments: &NewPlugin) -> Result<(), Failure> {
    let directory = Path::new(&arguments.name);
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let language = match arguments.lang {
        LanguageName::Rust => Language::Rust,
        LanguageName::C => Language::C,
        LanguageName::Javascript => Language::JavaScript,
        LanguageName::Python => Language::Python,
    };
    let files = waft_plugin_tools::create(directory, &name, language, &arguments.hook)?;
    for file in files {
        output::print(&format!("{}\n", file.display()))?;
    }
    output::tell(&format!("to build it: waft plugin build {}", directory.display()));
    Ok(())
}

/// Makes a component of a plugin's sources.
pub(super) fn build(sources: &Sources) -> Result<(), Failure> {
    let built = built(sources)?;
    output::tell(&format!("imports: {}", built.interfaces.imports.join(", ")));
    output::tell(&format!("exports: {}", built.interfaces.exports.join(", ")));
    Ok(output::print(&format!("{}\n", built.file.display()))?)
}

/// Writes a line for every call.
struct Printer;

impl Onlooker for Printer {
    fn called(&self, call: &Called<'_>) {
        // Nobody reads it any more, and the server goes on.
        let _ = output::print(&line(call));
    }
}

/// The longest that is shown of what a call was about, and of what came of it.
const SHOWN_CHARS_MAX: usize = 160;

/// A call on one line: session, hook, what it was about, what came of it, time.
fn line(call: &Called<'_>) -> String {
    let session = call.session.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let shortened = |text: &str| match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    };
    let (about, outcome) = (shortened(call.about.trim_end()), shortened(&call.outcome));
    let (hook, us) = (call.hook, call.elapsed.as_micros());
    format!("{session:>3}  {hook:<17}  {about} -> {outcome} ({us} µs)\n")
}

/// Serves with a plugin, and builds it anew when its sources change, until it is interrupted.
pub(super) fn run(
    sources: &Sources,
    listen: SocketAddr,
    keeps_core_dumps: bool,
) -> Result<(), Failure> {
    let seen = Seen::of(sources)?;
    let built = built(sources)?;
    let (output, listen) = (sources.directory.join(OUTPUT), listen.to_string());
    let ground = Ground {
        directory: &output.join("site"),
        state: &output.join("state"),
        name: &built.name,
        component: &built.file,
        settings: &sources.directory.join(SETTINGS),
        address: &listen,
    };
    let site = Site::make(&ground, &Stage::default())?;
    let _logging = logging::start(LogFormat::Human, LogLevel::Info)?;
    output::tell(&format!(
        "user {USER}, password {PASSWORD}, files in {}; Ctrl-C ends it",
        site.directory.join("files").display()
    ));
    serve_in(runtime(None)?, async {
        let beside =
            Beside { onlooker: Some(Arc::new(Printer)), keeps_core_dumps, ..Beside::default() };
        let mut running = Running::begin(site.config.clone(), beside)
            .await
            .map_err(|error| anyhow::anyhow!("the server does not take the plugin: {error}"))?;
        follow(sources, seen, &site, &ground, &mut running).await?;
        running.shut_down(ready(())).await;
        Ok(())
    })
}

/// What was there when the directory was looked at.
struct Seen {
    /// Of all files.
    all: String,
    settings: Option<Vec<u8>>,
}

impl Seen {
    fn of(sources: &Sources) -> anyhow::Result<Self> {
        // In this order, so that what changes in between is seen the next time.
        let all = waft_plugin_tools::digest(&sources.directory, &[])?;
        Ok(Self { all, settings: fs::read(sources.directory.join(SETTINGS)).ok() })
    }
}

/// Puts a new component in place of the old one whenever the sources have changed, which the server
/// sees, and has the server go by the settings when these have.
async fn follow(
    sources: &Sources,
    mut seen: Seen,
    site: &Site,
    ground: &Ground<'_>,
    running: &mut Running,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
            () = tokio::time::sleep(LOOK) => {}
        }
        // An editor may be between two files.
        let Ok(now) = Seen::of(sources) else { continue };
        if now.all == seen.all {
            continue;
        }
        let before = std::mem::replace(&mut seen, now);
        let result = tokio::task::block_in_place(|| replace(sources, &site.component));
        if let Err(error) = result {
            output::tell(&format!("error: {error:#}"));
        }
        if seen.settings == before.settings {
            continue;
        }
        match go_by(site, ground, running).await {
            Ok(()) => output::tell(&format!("settings taken: {}", ground.settings.display())),
            Err(error) => output::tell(&format!("error: {error:#}")),
        }
    }
}

async fn go_by(site: &Site, ground: &Ground<'_>, running: &mut Running) -> anyhow::Result<()> {
    let config = site.reread(ground)?;
    running.reload(config).await.map_err(|wrong| {
        let told = told(ground, &site.directory.join(CONFIG), &wrong.mistakes);
        anyhow::anyhow!("the settings are not taken:\n{told}")
    })
}

fn replace(sources: &Sources, component: &Path) -> anyhow::Result<()> {
    let built = built(sources)?;
    let partial = component.with_extension("wasm.part");
    fs::copy(&built.file, &partial)?;
    Ok(fs::rename(&partial, component)?)
}

pub(super) fn built(sources: &Sources) -> anyhow::Result<Built> {
    let tools = match &sources.tools {
        Some(directory) => Tools::in_directory(directory),
        None => Tools::of_the_user()?,
    };
    waft_plugin_tools::build(&sources.directory, &sources.directory.join(OUTPUT), &tools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_line_of_bounded_length() {
        let call = Called {
            plugin: "no-active",
            session: Some(7),
            hook: "command-filter",
            about: "PORT 127,0,0,1,4,1".to_owned(),
            outcome: "answer 502 No.".to_owned(),
            elapsed: Duration::from_micros(84),
        };
        let told = "  7  command-filter     PORT 127,0,0,1,4,1 -> answer 502 No. (84 µs)\n";
        assert_eq!(line(&call), told);
        let long = Called { session: None, about: "ä".repeat(1000), outcome: "x ".into(), ..call };
        let about = "ä".repeat(SHOWN_CHARS_MAX);
        assert!(line(&long).starts_with(&format!("  -  command-filter     {about}... -> x ")));
    }
}
