//! What the authors of plugins do: begin one, build it, play its scenario, and try it by hand.

use std::fs;
use std::future::ready;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use waft_config::{Config, LogFormat, LogLevel};
use waft_plugin_tools::{Built, Language, Tools};

use super::scenario::{PASSWORD, Scenario, USER};
use crate::args::{LanguageName, NewPlugin, Sources};
use crate::commands::runtime;
use crate::commands::user::hash;
use crate::failure::Failure;
use crate::{Running, logging, output};

/// Where what is made goes, below the plugin's directory.
const OUTPUT: &str = "build";

/// What a plugin's scenario is in.
const SCENARIO: &str = "scenario.txt";

/// What an operator would write into `[[plugin]]` for the scenario: settings, grants, limits.
const SETTINGS: &str = "plugin.toml";

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

/// Builds a plugin and plays its scenario against a server of its own.
pub(super) fn test(sources: &Sources) -> Result<(), Failure> {
    let file = sources.directory.join(SCENARIO);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let scenario = Scenario::parse(&text)
        .map_err(|mistake| anyhow::anyhow!("{}:{mistake}", file.display()))?;
    let built = built(sources)?;
    let site = site(sources, &built, "127.0.0.1:0")?;
    let runtime = runtime(None)?;
    let running = runtime
        .block_on(Running::start(&site.config))
        .map_err(|error| anyhow::anyhow!("the server does not take the plugin: {error}"))?;
    let address = running.addresses().first().copied();
    let result = address.context("the server listens nowhere").and_then(|a| scenario.play(a));
    runtime.block_on(running.shut_down(ready(())));
    result.map_err(|error| error.context(format!("{} fails", file.display())))?;
    output::tell(&format!("{}: as expected", file.display()));
    Ok(())
}

/// Serves with a plugin, and builds it anew when its sources change, until it is interrupted.
pub(super) fn run(sources: &Sources, listen: SocketAddr) -> Result<(), Failure> {
    let built = built(sources)?;
    let site = site(sources, &built, &listen.to_string())?;
    let _logging = logging::start(LogFormat::Human, LogLevel::Debug)?;
    output::tell(&format!(
        "user {USER}, password {PASSWORD}, files in {}; Ctrl-C ends it",
        site.directory.join("files").display()
    ));
    runtime(None)?.block_on(async {
        let running = Running::start(&site.config)
            .await
            .map_err(|error| anyhow::anyhow!("the server does not take the plugin: {error}"))?;
        rebuild(sources, &site.component).await?;
        running.shut_down(ready(())).await;
        Ok(())
    })
}

/// Puts a new component in place of the old one whenever the sources have changed; the server sees
/// to the rest.
async fn rebuild(sources: &Sources, component: &Path) -> anyhow::Result<()> {
    let mut before = waft_plugin_tools::digest(&sources.directory, &[])?;
    loop {
        tokio::select! {
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
            () = tokio::time::sleep(LOOK) => {}
        }
        // An editor may be between two files.
        let Ok(now) = waft_plugin_tools::digest(&sources.directory, &[]) else { continue };
        if now == before {
            continue;
        }
        before = now;
        let result = tokio::task::block_in_place(|| replace(sources, component));
        if let Err(error) = result {
            output::tell(&format!("error: {error:#}"));
        }
    }
}

fn replace(sources: &Sources, component: &Path) -> anyhow::Result<()> {
    let built = built(sources)?;
    let partial = component.with_extension("wasm.part");
    fs::copy(&built.file, &partial)?;
    Ok(fs::rename(&partial, component)?)
}

fn built(sources: &Sources) -> anyhow::Result<Built> {
    let tools = match &sources.tools {
        Some(directory) => Tools::in_directory(directory),
        None => Tools::of_the_user()?,
    };
    waft_plugin_tools::build(&sources.directory, &sources.directory.join(OUTPUT), &tools)
}

/// Where a server for a plugin keeps its files, and what it listens on.
struct Site {
    directory: PathBuf,
    component: PathBuf,
    config: Config,
}

/// A configuration with the plugin and an account, and an empty directory for that.
fn site(sources: &Sources, built: &Built, address: &str) -> anyhow::Result<Site> {
    let directory = absolute(&sources.directory)?.join(OUTPUT).join("site");
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
    }
    // The server refuses components that others may change.
    let mut private = fs::DirBuilder::new();
    private.mode(0o700).recursive(true);
    private.create(directory.join("plugins.d")).with_context(|| directory.display().to_string())?;
    fs::create_dir(directory.join("files"))?;
    let settings = sources.directory.join(SETTINGS);
    let settings = if settings.is_file() { fs::read_to_string(settings)? } else { String::new() };
    let (name, hash) = (&built.name, hash(PASSWORD)?);
    let component = directory.join("plugins.d").join(name).with_extension("wasm");
    fs::copy(&built.file, &component)?;
    let text = format!(
        "[[listener]]\naddress = \"{address}\"\n\
         [active]\nmode = \"lan\"\n\
         [[user]]\nname = \"{USER}\"\npassword = \"{}\"\nroot = \"files\"\n\
         [plugins]\ndirectory = \"plugins.d\"\n\
         [[plugin]]\nname = \"{name}\"\n{settings}\n",
        hash.as_str()
    );
    match Config::from_text(&directory.join("waft.toml"), &text) {
        Ok((config, _)) => Ok(Site { directory, component, config }),
        Err(mistakes) => {
            let mistakes: Vec<_> = mistakes.mistakes.iter().map(ToString::to_string).collect();
            bail!("{SETTINGS}: {}", mistakes.join("\n"))
        }
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}
