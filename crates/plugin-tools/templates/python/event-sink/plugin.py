"""Logs every upload."""

from wit_world import exports
from wit_world.exports.event_sink import Value_Text
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports import log


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="upload-log",
            version="0.1.0",
            description="Logs every upload",
            verbs=[],
            site=[],
            features=[],
            events=["transfer.upload.done"],
            extra=[],
        )

    def init(self):
        pass


class EventSink(exports.EventSink):
    def on_events(self, events):
        for event in events:
            for name, value in event.fields:
                if name == "path" and isinstance(value, Value_Text):
                    log.emit(log.Level.INFO, "uploaded", [("file", value.value)])
