//! What `wit-bindgen` makes of `wit/`: the only place with `unsafe` in a plugin.
//!
//! Each hook is a world of its own here, with nothing in it but that hook's export, so that
//! [`export!`](crate::export) can put together a component from exactly the hooks that a plugin
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
        path: "../../wit",
        world: "waft:plugin/base",
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "waft_plugin_sdk::private::base",
        additional_derives: [PartialEq, Eq],
        generate_unused_types: true,
    });
}

/// The hook that sees commands.
pub mod command_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package waft:sdk-command-filter;
            world command-filter-hook { export waft:plugin/command-filter@0.1.0; }
        ",
        world: "waft:sdk-command-filter/command-filter-hook",
        pub_export_macro: true,
        export_macro_name: "export_command_filter",
        default_bindings_module: "waft_plugin_sdk::private::command_filter",
        additional_derives: [PartialEq, Eq],
        with: {
            "waft:plugin/types@0.1.0": crate::bindings::base::waft::plugin::types,
            "waft:plugin/sessions@0.1.0": crate::bindings::base::waft::plugin::sessions,
        },
    });
}

/// The hook that sees replies.
pub mod reply_filter {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package waft:sdk-reply-filter;
            world reply-filter-hook { export waft:plugin/reply-filter@0.1.0; }
        ",
        world: "waft:sdk-reply-filter/reply-filter-hook",
        pub_export_macro: true,
        export_macro_name: "export_reply_filter",
        default_bindings_module: "waft_plugin_sdk::private::reply_filter",
        with: {
            "waft:plugin/types@0.1.0": crate::bindings::base::waft::plugin::types,
            "waft:plugin/sessions@0.1.0": crate::bindings::base::waft::plugin::sessions,
        },
    });
}
