"""Refuses active mode: PORT and EPRT are answered with 502 and a text."""

from wit_world import exports
from wit_world.exports.command_filter import CommandDecision_Answer
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports import config
from wit_world.imports.types import Reply

# What clients are told where the operator has written nothing else.
MESSAGE = "Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)"


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="passive-only",
            version="0.1.0",
            description="Refuses active mode, with a text that tells people what to change",
            # No other command is ever shown to this plugin.
            verbs=["PORT", "EPRT"],
            site=[],
            features=[],
            events=[],
            extra=[],
        )

    def init(self):
        pass


class CommandFilter(exports.CommandFilter):
    def on_command(self, session, command):
        message = config.get("message") or MESSAGE
        return CommandDecision_Answer(Reply(502, [message]))
