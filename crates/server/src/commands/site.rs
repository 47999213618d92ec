//! Commands that plugins bring along: how they are found, told of and run.
//!
//! The server's own commands come first: the plugin host takes no plugin that claims one of them.

use waft_core::hooks::{SiteCommand, SiteCommands};
use waft_core::storage::Abilities;
use waft_proto::arguments::split_word;
use waft_proto::command::Name;
use waft_proto::verb::SITE_COMMANDS;
use waft_proto::{Code, Command, Reply, Text, Verb};

use crate::net::Network;
use crate::session::Session;

/// A plugin's command as a client gave it.
pub(crate) struct Own<'a> {
    name: &'a str,
    argument: Option<&'a [u8]>,
}

/// The plugin's command that a client gave, if it is one.
pub(crate) fn find<'a>(site: &'a dyn SiteCommands, command: &'a Command) -> Option<Own<'a>> {
    let (prefix, word, argument) = match command.name() {
        Name::Unknown(name) => ("", name.as_bytes(), command.argument()),
        Name::Known(Verb::Site) => within("SITE ", command),
        Name::Known(Verb::Opts) => within("OPTS ", command),
        Name::Known(_) => return None,
    };
    let known = site.commands().iter().find(|known| is_named(known, prefix, word))?;
    Some(Own { name: &known.name, argument })
}

fn within<'a>(
    prefix: &'static str,
    command: &'a Command,
) -> (&'static str, &'a [u8], Option<&'a [u8]>) {
    let (word, rest) = split_word(command.argument_or_empty());
    (prefix, word, rest)
}

fn is_named(command: &SiteCommand, prefix: &str, word: &[u8]) -> bool {
    let name = command.name.strip_prefix(prefix);
    name.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(word))
}

/// The command that somebody asks about by its whole name.
pub(super) fn find_named<'a>(site: &'a dyn SiteCommands, name: &[u8]) -> Option<&'a SiteCommand> {
    site.commands().iter().find(|known| is_named(known, "", name))
}

/// The verbs that plugins bring along.
pub(super) fn own_verbs(plugins: Option<&dyn SiteCommands>) -> impl Iterator<Item = &str> {
    names(plugins).filter(|name| !name.contains(' '))
}

/// What FEAT says of SITE.
pub(super) fn site_feature(able: Abilities, plugins: Option<&dyn SiteCommands>) -> Text {
    let own = names(plugins).filter_map(|name| name.strip_prefix("SITE "));
    let can = |name: &&str| match *name {
        "CHMOD" => able.set_mode,
        "UTIME" => able.set_modified,
        _ => true,
    };
    let all: Vec<&str> =
        SITE_COMMANDS.iter().map(|(name, _)| *name).filter(can).chain(own).collect();
    Text::from(format!("SITE {}", all.join(";")))
}

/// HELP SITE.
pub(super) fn site_help(plugins: Option<&dyn SiteCommands>) -> Reply {
    let known = SITE_COMMANDS.iter().map(|(_, syntax)| Text::from(*syntax));
    let brought = plugins.map_or(&[][..], SiteCommands::commands).iter().filter_map(|command| {
        let name = command.name.strip_prefix("SITE ")?;
        Some(Text::from(format!("{name} - {}", command.help)))
    });
    let first = Text::from("SITE commands:");
    let lines = std::iter::once(first).chain(known).chain(brought).chain(["End".into()]);
    Reply::lines(Code::HELP, lines)
}

fn names(plugins: Option<&dyn SiteCommands>) -> impl Iterator<Item = &str> {
    plugins.map_or(&[][..], SiteCommands::commands).iter().map(|command| command.name.as_str())
}

impl<N: Network> Session<N> {
    /// Has a plugin's command answered.
    pub(crate) async fn site_by_plugin(
        &mut self,
        generation: u64,
        site: &dyn SiteCommands,
        own: Own<'_>,
    ) -> Reply {
        let answer = site.run(&self.facts, own.name, own.argument).await;
        let (plugin, code) = (&answer.plugin, answer.reply.code().number());
        let (command, hook) = (own.name, "site-command");
        if answer.is_decided {
            self.shared.counters.plugin_commands.add_one();
            tracing::info!(%plugin, generation, hook, command, code, "command of a plugin");
        } else {
            let message = "command of a plugin could not be answered by it";
            tracing::info!(%plugin, generation, hook, command, code, "{message}");
        }
        answer.reply
    }
}
