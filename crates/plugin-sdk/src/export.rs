//! From a type that implements the hooks' traits to a component that exports them.
//!
//! `wit-bindgen` wants a type with functions, not methods: [`Holder`] is that type. It keeps one
//! plugin, made when the server first asks anything, and hands the calls on to it.

use crate::bindings::base::exports::waft::plugin::lifecycle;
use crate::bindings::base::waft::plugin::{config, sessions};
use crate::bindings::command_filter::exports::waft::plugin::command_filter;
use crate::bindings::reply_filter::exports::waft::plugin::reply_filter;
use crate::{Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, ReplyFilter};
use crate::{Session, Settings, log};

/// Makes a component of a plugin: `export!(Type: hook, hook)`.
///
/// The hooks are `command_filter` and `reply_filter`; the type implements [`Plugin`] and the
/// trait of every hook named. Name, version and description are those of the crate.
///
/// ```
/// # use waft_plugin_sdk::{Command, Plugin, Reply, ReplyFilter, Session, Settings, export};
/// struct Shout;
///
/// impl Plugin for Shout {
///     fn new(_: &Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl ReplyFilter for Shout {
///     fn on_reply(&self, _: Session<'_>, _: &Command, reply: &Reply) -> Option<Reply> {
///         Some(Reply::new(reply.code, reply.lines.join("\n").to_uppercase()))
///     }
/// }
///
/// export!(Shout: reply_filter);
/// ```
///
/// A hook that the type does not have does not compile, on any target:
///
/// ```compile_fail
/// # use waft_plugin_sdk::{Plugin, Settings, export};
/// struct Idle;
/// # impl Plugin for Idle {
/// #     fn new(_: &Settings) -> Result<Self, String> {
/// #         Ok(Self)
/// #     }
/// # }
/// export!(Idle: command_filter);
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($hook:ident),+ $(,)?) => {
        const _: () = {
            struct Exported;

            impl $crate::private::Holder for Exported {
                type Plugin = $plugin;

                const ABOUT: $crate::private::About = $crate::private::About {
                    name: env!("CARGO_PKG_NAME"),
                    version: env!("CARGO_PKG_VERSION"),
                    description: env!("CARGO_PKG_DESCRIPTION"),
                    hooks: &[$(stringify!($hook)),+],
                };

                fn plugin() -> &'static Result<$plugin, String> {
                    thread_local! {
                        static PLUGIN: ::std::cell::OnceCell<&'static Result<$plugin, String>> =
                            const { ::std::cell::OnceCell::new() };
                    }
                    PLUGIN.with(|plugin| *plugin.get_or_init($crate::private::started))
                }
            }

            $crate::export!(@lifecycle);
            $($crate::export!(@hook $hook);)+
        };
    };
    (@lifecycle) => {
        #[cfg(target_arch = "wasm32")]
        $crate::private::base::export_lifecycle!(
            Exported with_types_in $crate::private::base
        );
    };
    (@hook command_filter) => {
        #[cfg(target_arch = "wasm32")]
        $crate::private::command_filter::export_command_filter!(
            Exported with_types_in $crate::private::command_filter
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn has_hook<H: $crate::private::Holder<Plugin: $crate::CommandFilter>>() {}
            has_hook::<Exported>();
        };
    };
    (@hook reply_filter) => {
        #[cfg(target_arch = "wasm32")]
        $crate::private::reply_filter::export_reply_filter!(
            Exported with_types_in $crate::private::reply_filter
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn has_hook<H: $crate::private::Holder<Plugin: $crate::ReplyFilter>>() {}
            has_hook::<Exported>();
        };
    };
    (@hook $other:ident) => {
        compile_error!(concat!("no such hook: ", stringify!($other)));
    };
}

/// What a plugin says of itself.
#[derive(Debug)]
pub struct About {
    /// The crate's name.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// The crate's description.
    pub description: &'static str,
    /// The hooks exported, as [`export!`](crate::export) names them.
    pub hooks: &'static [&'static str],
}

/// What holds an instance's one plugin.
pub trait Holder {
    /// The plugin's type.
    type Plugin: Plugin;
    /// What the plugin says of itself.
    const ABOUT: About;
    /// The plugin, or what is wrong with its settings.
    fn plugin() -> &'static Result<Self::Plugin, String>;
}

/// Makes the plugin of this instance, which lives as long as the instance.
pub fn started<P: Plugin>() -> &'static Result<P, String> {
    // A component has no other way to say why it broke.
    std::panic::set_hook(Box::new(|panic| log::error(&panic.to_string(), &[])));
    Box::leak(Box::new(P::new(&Settings::of(config::all()))))
}

/// The plugin, for hooks: the server calls none where `init` has failed.
fn running<H: Holder>() -> Option<&'static H::Plugin> {
    H::plugin().as_ref().ok()
}

impl<H: Holder> lifecycle::Guest for H {
    fn describe() -> lifecycle::Descriptor {
        let about = H::ABOUT;
        let interest = running::<H>().map_or_else(Interest::nothing, Plugin::interest);
        lifecycle::Descriptor {
            name: about.name.to_owned(),
            version: about.version.to_owned(),
            description: about.description.to_owned(),
            verbs: interest.verbs(about.hooks),
            site: Vec::new(),
            features: Vec::new(),
            events: Vec::new(),
            extra: interest.extra(about.hooks),
        }
    }

    fn init() -> Result<(), String> {
        H::plugin().as_ref().map(drop).map_err(Clone::clone)
    }
}

impl<H: Holder<Plugin: CommandFilter>> command_filter::Guest for H {
    fn on_command(session: &sessions::Session, command: Command) -> CommandDecision {
        match running::<H>() {
            Some(plugin) => plugin.on_command(Session::host(session), &command),
            // Not reached; a filter that cannot decide must not let things pass.
            None => CommandDecision::Answer(Reply::new(451, "the plugin is not configured")),
        }
    }
}

impl<H: Holder<Plugin: ReplyFilter>> reply_filter::Guest for H {
    fn on_reply(session: &sessions::Session, command: Command, reply: Reply) -> Option<Reply> {
        running::<H>()?.on_reply(Session::host(session), &command, &reply)
    }
}
