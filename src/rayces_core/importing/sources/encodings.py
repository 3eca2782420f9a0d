"""Finds out how the text of a file is encoded, and decodes it piece by piece.

Rule: what decodes without a fault as UTF-8 is UTF-8; a file that is UTF-8 up to one bad byte is damaged and not in
another encoding, or its names would turn into "JosÃ©" without a word. What is older is told by its words, and refused
where two encodings make words of them.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from rayces_core.errors import SourceError
from rayces_core.importing.sources.letters import compared, twice_encoded

CHUNK_BYTES: Final = 256 * 1024
_SAMPLE_BYTES: Final = 64 * 1024
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What spreadsheets and older programs write where the language is English, Spanish or Portuguese; Excel the first.
_OLDER: Final = ("cp1252", "cp850", "mac_roman")
_LOST: Final = "\ufffd".encode()


@dataclass(frozen=True, slots=True)
class Inspected:
    """What one pass over a file finds.

    Attributes:
        fingerprint, size: of its bytes. encoding: how its text is encoded.
        notes: what was found out and should be told. has_lost: whether another program has put � for letters it lost.
    """

    fingerprint: str
    size: int
    encoding: str
    notes: tuple[str, ...] = ()
    has_lost: bool = False


def inspect(path: Path, name: str, declared: str | None = None) -> Inspected:
    """Read a file once and say how it is encoded.

    Args:
        declared: the encoding that the user names, which is then held to.

    Raises:
        SourceError: no such encoding; the bytes contradict it as far as that can be known without decoding all; or
            none is named, and two are possible whose names of people differ.
    """
    encoding = None if declared is None else _known(declared, name)
    digest, utf8, sample, size, lost, end = hashlib.sha256(), _Utf8Check(), bytearray(), 0, False, b""
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        file.seek(0)
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            digest.update(chunk)
            utf8.feed(chunk)
            if len(sample) < _SAMPLE_BYTES and not chunk.isascii():
                sample += _around_foreign(chunk)
            size += len(chunk)
            lost, end = lost or _LOST in end + chunk, chunk[-2:]
    utf8.end()
    notes: tuple[str, ...] = ()
    found = encoding or _marked(head) or _wide(head)
    if encoding is not None:
        _refuse_contradiction(encoding, utf8, name)
    if found is None:
        found, notes = _narrow(utf8, bytes(sample), name)
    return Inspected(digest.hexdigest(), size, "utf-8-sig" if found == "utf-8" else found, notes, lost)


def fingerprint_of(path: Path) -> str:
    """Give the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decoded(file: BinaryIO, encoding: str, name: str) -> Iterator[str]:
    """Decode a file piece by piece.

    Raises:
        SourceError: a byte does not belong to the encoding; the message names its place and row.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    place, rows = 0, 1
    while True:
        chunk = file.read(CHUNK_BYTES)
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            raise _undecodable(error, encoding, name, place - pending, rows) from None
        if text:
            yield text
        if not chunk:
            return
        place += len(chunk)
        rows += text.count("\n")


def _undecodable(error: UnicodeError, encoding: str, name: str, place: int, rows: int) -> SourceError:
    advice = "name the right one with encoding=, or save the file as UTF-8"
    if not isinstance(error, UnicodeDecodeError):
        return SourceError(name, f"is not {encoding}: {error}; {advice}", rows)
    before = error.object[: error.start]
    row = rows + (before.count(b"\n") if "16" not in encoding and "32" not in encoding else 0)
    what = f"byte {place + error.start + 1:,} (0x{error.object[error.start]:02x}) is not {encoding}"
    return SourceError(name, f"{what}; {advice}", row)


def _known(declared: str, name: str) -> str:
    try:
        found = codecs.lookup(declared)
    except (LookupError, ValueError):
        raise SourceError(name, f"there is no encoding {declared!r:.60}; name one such as utf-8 or cp1252") from None
    if not getattr(found, "_is_text_encoding", True) or found.name in ("idna", "punycode", "undefined"):
        raise SourceError(name, f"{declared!r} is no encoding of text files; name one such as utf-8 or cp1252")
    return found.name


def _marked(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def _wide(head: bytes) -> str | None:
    """UTF-16 without its mark: every second byte of plain letters is zero."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    enough = len(head) * 0.3 / 2
    if odd > enough and even * 10 < odd:
        return "utf-16-le"
    return "utf-16-be" if even > enough and odd * 10 < even else None


def _narrow(utf8: _Utf8Check, sample: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    if utf8.bad_byte is None:
        if doubled := twice_encoded(sample.decode("utf-8", "replace")):
            reason = f"was encoded twice: {doubled[0]!r:.60} should be {doubled[1]!r:.60}"
            raise SourceError(name, f"{reason}; save it anew from its program, or name encoding= to take it as it is")
        return "utf-8", ()
    if utf8.foreign:
        reason = f"is UTF-8 but for byte {utf8.bad_byte:,}; it was damaged or joined from two files"
        raise SourceError(name, f"{reason}: mend it, or name its encoding with encoding=", utf8.bad_row)
    return _older(sample, name)


def _older(sample: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """One of the encodings of one byte a letter, by its words.

    Raises:
        SourceError: it is none of them, or may be two.
    """
    found = compared(sample, _OLDER)
    best = found.best
    if not best.is_possible:
        raise SourceError(name, f"is in an unusual encoding{_suggested(sample)}; name it with encoding=")
    if found.doubted is not None:
        readings = f"{best.encoding} ({found.words[0]!r:.60}) or {found.doubted.encoding} ({found.words[1]!r:.60})"
        raise SourceError(name, f"may be in {readings}; see which of the two is right, and name it with encoding=")
    if found.mixed is not None:
        one, other, encoding = found.mixed
        reason = f"was joined from files of two encodings: {one!r:.60} is {other!r:.60} in {encoding}"
        raise SourceError(name, f"{reason}, others are in {best.encoding}; save each by itself, or name encoding=")
    words = ", ".join(word[:30] for word in best.examples())
    return best.encoding, (f"is read as {best.encoding}, as its words tell: {words}",)


def _suggested(sample: bytes) -> str:
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return ""
    best = from_bytes(sample, enable_fallback=False).best()
    if best is None:
        return ""
    words = [word for word in str(best).split() if not word.isascii()][:3]
    return f", perhaps {best.encoding} ({', '.join(word[:30] for word in words)})"


def _refuse_contradiction(encoding: str, utf8: _Utf8Check, name: str) -> None:
    if utf8.bad_byte is None and utf8.foreign and encoding in {"cp1252", "iso8859-1", "iso8859-15", "latin-1"}:
        reason = f"is UTF-8 and not {encoding}: byte {utf8.foreign_byte:,} begins a letter of two or more bytes"
        raise SourceError(name, f"{reason}; leave encoding= out", utf8.foreign_row)


def _around_foreign(chunk: bytes) -> bytes:
    """The lines of a piece that have anything but ASCII; at most the size of a sample."""
    return b"\n".join(line[:2000] for line in chunk.split(b"\n") if not line.isascii())[:_SAMPLE_BYTES]


class _Utf8Check:
    """Whether bytes that come in pieces are UTF-8. Places are counted from 1, rows as well."""

    def __init__(self) -> None:
        self.bad_byte: int | None = None
        self.bad_row = self.foreign_row = self._rows = 1
        self.foreign_byte, self.foreign = 0, False
        self._place, self._decoder = 0, codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        if self.bad_byte is None:
            self._check(chunk, final=False)
            self._rows += chunk.count(b"\n")
            self._place += len(chunk)

    def end(self) -> None:
        if self.bad_byte is None:
            self._check(b"", final=True)

    def _check(self, chunk: bytes, final: bool) -> None:
        pending = self._decoder.getstate()[0]
        if chunk.isascii() and not pending:
            return
        start = self._place - len(pending)
        try:
            self._decoder.decode(chunk, final)
            good = len(chunk)
        except UnicodeDecodeError as error:
            good = error.start
            self.bad_byte = start + error.start + 1
            self.bad_row = self._rows + error.object[: error.start].count(b"\n")
        self._note_foreign((pending + chunk)[:good], start)

    def _note_foreign(self, good: bytes, start: int) -> None:
        if self.foreign or good.isascii():
            return
        before = next(place for place, byte in enumerate(good) if byte > 127)
        self.foreign, self.foreign_byte = True, start + before + 1
        self.foreign_row = self._rows + good[:before].count(b"\n")
