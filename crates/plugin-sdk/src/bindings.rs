//! What `wit-bindgen` makes of `wit/`: the only place with `unsafe` in a plugin.
//!
//! Each hook is a world of its own here, with nothing in it but that hook's export, so that
//! [`export!`](crate::export!) can put together a component from exactly the hooks that a plugin
//! has. The types that the hooks share are those of the first world.
//!
//! Of what is imported, only what a plugin calls ends up in its component.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::restriction,
    reason = "generated; calling across the component's boundary takes raw pointers"
)]

/// The lifecycle, and all that the host provides.
pub mod base {
    wit_bindgen::generate!({
        path: ["../../wit", "wit"],
        world: "waft:sdk/services",
        pub_export_macro: true,
        export_macro_name: "export_hook",
        default_bindings_module: "waft_plugin_sdk::private::base",
        additional_derives: [PartialEq, Eq],
        generate_unused_types: true,
        generate_all,
    });
}

/// A hook's module, its world, and where [`export!`](crate::export!) finds the module.
macro_rules! hook {
    ($module:ident, $world:tt, $place:tt) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: ["../../wit", "wit"],
                world: $world,
                pub_export_macro: true,
                export_macro_name: "export_hook",
                default_bindings_module: $place,
                additional_derives: [PartialEq, Eq],
                with: {
                    "waft:plugin/types@0.1.1": crate::bindings::base::waft::plugin::types,
                    "waft:plugin/sessions@0.1.1": crate::bindings::base::waft::plugin::sessions,
                },
            });
        }
    };
}

hook!(
    connection_filter,
    "waft:sdk/connection-filter-hook",
    "waft_plugin_sdk::private::connection_filter"
);
hook!(command_filter, "waft:sdk/command-filter-hook", "waft_plugin_sdk::private::command_filter");
hook!(reply_filter, "waft:sdk/reply-filter-hook", "waft_plugin_sdk::private::reply_filter");
hook!(authenticator, "waft:sdk/authenticator-hook", "waft_plugin_sdk::private::authenticator");
hook!(file_filter, "waft:sdk/file-filter-hook", "waft_plugin_sdk::private::file_filter");
hook!(content_filter, "waft:sdk/content-filter-hook", "waft_plugin_sdk::private::content_filter");
hook!(storage, "waft:sdk/storage-hook", "waft_plugin_sdk::private::storage");
hook!(event_sink, "waft:sdk/event-sink-hook", "waft_plugin_sdk::private::event_sink");
hook!(site_command, "waft:sdk/site-command-hook", "waft_plugin_sdk::private::site_command");
hook!(timer, "waft:sdk/timer-hook", "waft_plugin_sdk::private::timer");
