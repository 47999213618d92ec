//! From a type that implements the hooks' traits to a component that exports them.
//!
//! `wit-bindgen` wants a type with functions, not methods: [`Holder`] is that type. It keeps one
//! plugin, made when the server first asks anything, and hands the calls on to it.

use crate::bindings::base::exports::waft::plugin::lifecycle;
use crate::bindings::base::waft::plugin::config;
use crate::{Interest, Plugin, Settings, log};

/// Makes a component of a plugin: `export!(Type: hook, hook)`.
///
/// The hooks are named as in the table at the head of this crate; the type implements [`Plugin`]
/// and the trait of every hook named. Name, version and description are those of the crate.
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

            #[cfg(target_arch = "wasm32")]
            $crate::private::base::export_hook!(Exported with_types_in $crate::private::base);
            $($crate::export!(@hook $hook);)+
        };
    };
    (@hook connection_filter) => { $crate::export!(@join connection_filter ConnectionFilter); };
    (@hook command_filter) => { $crate::export!(@join command_filter CommandFilter); };
    (@hook reply_filter) => { $crate::export!(@join reply_filter ReplyFilter); };
    (@hook authenticator) => { $crate::export!(@join authenticator Authenticator); };
    (@hook file_filter) => { $crate::export!(@join file_filter FileFilter); };
    (@hook content_filter) => { $crate::export!(@join content_filter ContentFilter); };
    (@hook storage) => { $crate::export!(@join storage Storage); };
    (@hook event_sink) => { $crate::export!(@join event_sink EventSink); };
    (@hook site_command) => { $crate::export!(@join site_command SiteCommand); };
    (@hook timer) => { $crate::export!(@join timer Timer); };
    (@hook $other:ident) => {
        compile_error!(concat!("no such hook: ", stringify!($other)));
    };
    (@join $module:ident $trait:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::private::$module::export_hook!(Exported with_types_in $crate::private::$module);
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn has_hook<H: $crate::private::Holder<Plugin: $crate::$trait>>() {}
            has_hook::<Exported>();
        };
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
    /// The hooks exported, as [`export!`](crate::export!) names them.
    pub hooks: &'static [&'static str],
}

/// What holds an instance's one plugin.
pub trait Holder: 'static {
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

impl<H: Holder> lifecycle::Guest for H {
    fn describe() -> lifecycle::Descriptor {
        let about = H::ABOUT;
        let plugin = H::plugin().as_ref();
        let interest = plugin.map_or_else(|_| Interest::nothing(), Plugin::interest);
        lifecycle::Descriptor {
            name: about.name.to_owned(),
            version: about.version.to_owned(),
            description: about.description.to_owned(),
            verbs: interest.verbs(about.hooks),
            extra: interest.extra(about.hooks),
            events: interest.events(about.hooks),
            site: interest.site,
            features: interest.features,
        }
    }

    fn init() -> Result<(), String> {
        H::plugin().as_ref().map(drop).map_err(Clone::clone)
    }
}
