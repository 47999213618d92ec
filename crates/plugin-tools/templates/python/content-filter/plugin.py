"""Refuses uploads without contents; content_filter.py has what is known of one upload."""

from wit_world import exports
from wit_world.exports.content_filter import Interest_Inspect, Interest_Skip
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports.types import Direction


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="no-empty-files",
            version="0.1.0",
            description="Refuses uploads without contents",
            verbs=[],
            site=[],
            features=[],
            events=[],
            extra=[],
        )

    def init(self):
        pass


class ContentFilter(exports.ContentFilter):
    def wants(self, session, direction, path, size):
        return Interest_Inspect() if direction == Direction.UPLOAD else Interest_Skip()
