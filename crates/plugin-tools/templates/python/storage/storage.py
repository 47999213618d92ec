"""The resources of the interface storage; the name of this file is that of the interface."""

from wit_world.exports import storage
from wit_world.exports.storage import Error, ErrorCode
from componentize_py_types import Err

NAME = "hello.txt"
TEXT = b"Hello.\n"


class Reader(storage.Reader):
    def __init__(self, offset):
        self.offset = offset

    def read(self, max):
        piece = TEXT[self.offset : self.offset + max]
        self.offset += len(piece)
        return piece


class Writer(storage.Writer):
    """There is none: writing fails where it begins."""

    def write(self, data):
        raise Err(Error(ErrorCode.DENIED, "it can only be read"))

    def finish(self):
        raise Err(Error(ErrorCode.DENIED, "it can only be read"))
