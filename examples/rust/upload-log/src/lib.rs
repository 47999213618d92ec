//! Logs every upload.

#![forbid(unsafe_code)]

use waft_plugin_sdk::{Event, EventSink, Interest, Plugin, Settings, log};

struct UploadLog;

impl Plugin for UploadLog {
    fn new(settings: &Settings) -> Result<Self, String> {
        settings.finish().map(|()| Self)
    }

    /// Of nothing else is this plugin ever told.
    fn interest(&self) -> Interest {
        Interest::nothing().in_events(["transfer.upload.done"])
    }
}

impl EventSink for UploadLog {
    fn on_events(&self, events: &[Event]) -> Result<(), String> {
        for event in events {
            log::info("uploaded", &[("file", event.text("path").unwrap_or_default())]);
        }
        Ok(())
    }
}

waft_plugin_sdk::export!(UploadLog: event_sink);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whatever_is_in_them() {
        assert_eq!(UploadLog.on_events(&[Event::new("transfer.upload.done")]), Ok(()));
    }
}
