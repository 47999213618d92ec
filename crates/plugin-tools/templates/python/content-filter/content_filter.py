"""The resources of the interface content-filter; the name of this file is that of the interface."""

from wit_world.exports import content_filter
from wit_world.exports.content_filter import Verdict_Accept, Verdict_Refuse
from wit_world.imports.types import Reply


class Filter(content_filter.Filter):
    def __init__(self, session, direction, path):
        self.octets = 0

    def push(self, chunk):
        self.octets += len(chunk)
        # Ignored: it is only looked at.
        return b""

    def finish(self):
        if self.octets == 0:
            return Verdict_Refuse(Reply(550, ["The file is empty."]))
        return Verdict_Accept(b"")
