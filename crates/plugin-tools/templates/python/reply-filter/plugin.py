"""Says goodbye in words of its own. No other reply is ever shown to this plugin."""

from wit_world import exports
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports.types import Reply


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="kind-words",
            version="0.1.0",
            description="Says goodbye in words of its own",
            verbs=[],
            site=[],
            features=[],
            events=[],
            extra=[("reply.verbs", "QUIT"), ("reply.codes", "221")],
        )

    def init(self):
        pass


class ReplyFilter(exports.ReplyFilter):
    def on_reply(self, session, command, reply):
        user = session.user()
        if user is None:
            return None
        return Reply(reply.code, [f"Come back soon, {user}."])
