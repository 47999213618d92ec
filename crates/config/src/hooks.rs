//! What is said of single hooks of plugins, with the names of their keys: those of the interfaces,
//! with underscores.

use crate::sections::{HookLimits, OnErrorByHook, PluginLimits};
use crate::types::OnError;

macro_rules! hooks {
    ($($hook:ident)*) => {
        impl PluginLimits {
            /// What one call of each hook may take.
            #[must_use]
            pub fn by_hook(&self) -> [(&'static str, &HookLimits); 11] {
                [$( (stringify!($hook), &self.$hook), )*]
            }

            pub(crate) fn by_hook_mut(&mut self) -> [(&'static str, &mut HookLimits); 11] {
                [$( (stringify!($hook), &mut self.$hook), )*]
            }
        }
    };
}

hooks!(lifecycle connection_filter authenticator command_filter reply_filter file_filter
    content_filter storage event_sink site_command timer);

impl OnErrorByHook {
    /// What a failed call of each hook counts as, where that is said.
    #[must_use]
    pub fn by_hook(&self) -> [(&'static str, Option<OnError>); 5] {
        [
            ("connection_filter", self.connection_filter),
            ("authenticator", self.authenticator),
            ("command_filter", self.command_filter),
            ("file_filter", self.file_filter),
            ("content_filter", self.content_filter),
        ]
    }
}
