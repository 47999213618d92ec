"""Logs a line every minute."""

from wit_world import exports
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports import log


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="every-minute",
            version="0.1.0",
            description="Logs a line every minute",
            verbs=[],
            site=[],
            features=[],
            events=[],
            extra=[("timer.minute", "60s")],
        )

    def init(self):
        pass


class Timer(exports.Timer):
    def on_timer(self, name):
        log.emit(log.Level.INFO, "the time has come", [("timer", name)])
