"""A storage with one file in it, to be read; storage.py has what is known of an open file."""

from storage import NAME, TEXT, Reader
from wit_world import exports
from wit_world.exports.lifecycle import Descriptor
from wit_world.exports.storage import Abilities, Error, ErrorCode, Page
from wit_world.imports.types import FileKind, FileStat
from componentize_py_types import Err


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return Descriptor(
            name="hello-storage",
            version="0.1.0",
            description="Has one file, to be read",
            verbs=[],
            site=[],
            features=[],
            events=[],
            extra=[],
        )

    def init(self):
        pass


def stat(kind, size):
    return FileStat(kind, size, None, None, None, None, [])


def not_found():
    return Err(Error(ErrorCode.NOT_FOUND, f"there is only {NAME}"))


def read_only():
    return Err(Error(ErrorCode.DENIED, "it can only be read"))


class Storage(exports.Storage):
    def get_abilities(self):
        # What is not named here is never asked for.
        return Abilities(0)

    def stat(self, session, path):
        if path == "/":
            return stat(FileKind.DIRECTORY, 0)
        if path == "/" + NAME:
            return stat(FileKind.FILE, len(TEXT))
        raise not_found()

    def list_dir(self, session, path, cursor, max):
        if path != "/":
            raise not_found()
        return Page([(NAME, stat(FileKind.FILE, len(TEXT)))], None)

    def open_read(self, session, path, offset):
        if path != "/" + NAME:
            raise not_found()
        return Reader(offset)

    def open_write(self, session, path, mode, offset):
        raise read_only()

    def make_dir(self, session, path):
        raise read_only()

    def remove_dir(self, session, path):
        raise read_only()

    def remove_file(self, session, path):
        raise read_only()

    def rename(self, session, source, target, replace):
        raise read_only()

    def set_modified(self, session, path, modified):
        raise read_only()

    def free_space(self, session):
        raise read_only()
