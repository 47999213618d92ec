//! Logs a line every minute.

#![forbid(unsafe_code)]

use std::time::Duration;

use waft_plugin_sdk::{Interest, Plugin, Settings, Timer, log};

struct EveryMinute;

impl Plugin for EveryMinute {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }

    fn interest(&self) -> Interest {
        Interest::nothing().with_timer("minute", Duration::from_secs(60))
    }
}

impl Timer for EveryMinute {
    fn on_timer(&self, name: &str) {
        log::info("the time has come", &[("timer", name)]);
    }
}

waft_plugin_sdk::export!(EveryMinute: timer);
