"""Keeps clients from one network out, before they are greeted."""

from wit_world import exports
from wit_world.exports.connection_filter import ConnectDecision_Pass, ConnectDecision_Reject
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports.types import Reply

# How addresses of the network begin.
NETWORK = "203.0.113."


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="not-from-there",
            version="0.1.0",
            description="Keeps clients from one network out",
            verbs=[],
            site=[],
            features=[],
            events=[],
            extra=[],
        )

    def init(self):
        pass


class ConnectionFilter(exports.ConnectionFilter):
    def on_connect(self, session):
        if session.remote_ip().startswith(NETWORK):
            return ConnectDecision_Reject(Reply(421, ["Not from there."]))
        return ConnectDecision_Pass()
