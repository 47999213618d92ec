"""Answers SITE HELLO."""

from wit_world import exports
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports.types import Reply


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="hello-site",
            version="0.1.0",
            description="Answers SITE HELLO",
            verbs=[],
            site=[("SITE HELLO", "SITE HELLO: says hello")],
            features=[],
            events=[],
            extra=[],
        )

    def init(self):
        pass


class SiteCommand(exports.SiteCommand):
    def on_site(self, session, name, arg):
        if arg is not None:
            return Reply(501, ["SITE HELLO takes no argument."])
        return Reply(200, [f"Hello, {session.user()}."])
