"""Keeps files that end in ".keep" from being deleted, and hides those that begin with a dot.

Nothing else that is done to files is ever shown to this plugin.
"""

from wit_world import exports
from wit_world.exports.file_filter import FileDecision_Deny, FileDecision_Pass, FileOp_Remove
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports.types import Reply


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="keep-files",
            version="0.1.0",
            description="Keeps some files from being deleted, and hides others",
            verbs=[],
            site=[],
            features=[],
            events=[],
            extra=[("file.ops", "remove")],
        )

    def init(self):
        pass


class FileFilter(exports.FileFilter):
    def on_file(self, session, op):
        if isinstance(op, FileOp_Remove) and op.value.endswith(".keep"):
            return FileDecision_Deny(Reply(550, ["This file stays."]))
        return FileDecision_Pass()

    def on_list(self, session, path, entries):
        return [number for number, (name, _) in enumerate(entries) if not name.startswith(".")]
