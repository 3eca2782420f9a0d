"""The file of a COPY, whose own failures are not lost on the way through the driver."""

from __future__ import annotations

from typing import IO


class CopiedFile:
    """A file whose own failure is kept: psycopg2 turns it, and Ctrl-C as well, into an error of the server's."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        """What COPY FROM STDIN asks for."""
        try:
            return self._file.read(size)
        except BaseException as failure:
            self.failure = failure
            raise

    def write(self, piece: bytes) -> int:
        """What COPY TO STDOUT gives."""
        try:
            return self._file.write(piece)
        except BaseException as failure:
            self.failure = failure
            raise


def is_ctrl_c(error: BaseException) -> bool:
    """Whether it is Ctrl-C that came before the file's first instruction, where nobody can keep it."""
    return " call: KeyboardInterrupt" in str(error)
