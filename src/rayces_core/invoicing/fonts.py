"""The fonts of a paper: one that has every letter which is said on it.

Rule it guards: a letter is printed as it is, or the paper is refused with the letter's name; none is a box.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from importlib import import_module
from os import PathLike, fspath
from typing import Any, Final, NamedTuple

from rayces_core.errors import InvalidDataError, MissingExtraError, MissingFontError

File = str | PathLike[str]
Font = File | tuple[File, File]
"""A TrueType file for all text, or one for plain and one for bold; by name alone it is one of the system's."""

HELVETICA: Final = ("Helvetica", "Helvetica-Bold")
# Of Latin, Greek and Cyrillic letters; systems have it in packages such as fonts-dejavu-core.
DEJAVU: Final = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
# No font alone sets these: they go from right to left, or are joined to their neighbours.
RIGHT_TO_LEFT: Final = ("R", "AL")
JOINED: Final = "Mc"
UNSEEN: Final = ("Cc", "Cf")


class Faces(NamedTuple):
    """The names by which reportlab knows both."""

    plain: str
    bold: str


def written(text: str) -> str:
    """The text with its accents on their letters, as fonts have them, and without what is not seen."""
    return "".join(
        letter
        for letter in unicodedata.normalize("NFC", text)
        if letter.isspace() or unicodedata.category(letter) not in UNSEEN
    )


def faces_for(texts: Iterable[str], font: Font | None = None) -> Faces:
    """The first that has every letter: the font that is given, Helvetica, DejaVu Sans of the system.

    Raises:
        MissingFontError: none of them has. InvalidDataError: what is given is no font that can be read.
        MissingExtraError: reportlab is not installed.
    """
    letters = {letter for text in texts for letter in text if not letter.isspace()}
    if beyond := {letter for letter in letters if _is_set_otherwise(letter)}:
        raise MissingFontError(beyond)
    lacking = letters
    for faces, known in _known(font):
        left = {letter for letter in letters if ord(letter) not in known}
        if not left:
            return faces
        lacking = min(lacking, left, key=len)
    raise MissingFontError(lacking)


def reportlab(name: str) -> Any:
    """A module of reportlab; MissingExtraError where it is not installed."""
    try:
        return import_module(f"reportlab.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"a PDF needs reportlab: pip install 'rayces-core[pdf]' ({error})") from None


def _is_set_otherwise(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in RIGHT_TO_LEFT or unicodedata.category(letter) == JOINED


def _known(font: Font | None) -> Iterator[tuple[Faces, Any]]:
    """Faces, and the code points that both of them have, as long as they are asked for."""
    if font is not None:
        try:
            yield _read(font)
        except reportlab("pdfbase.ttfonts").TTFError as error:
            raise InvalidDataError("font", str(font), f"is no TrueType font that can be read: {error}") from None
    yield Faces(*HELVETICA), {ord(bytes([code]).decode("cp1252", "ignore") or " ") for code in range(256)}
    try:
        yield _read(DEJAVU)
    except reportlab("pdfbase.ttfonts").TTFError:
        return


def _read(font: Font) -> tuple[Faces, Any]:
    metrics, ttfonts = reportlab("pdfbase.pdfmetrics"), reportlab("pdfbase.ttfonts")
    files = font if isinstance(font, tuple) else (font, font)
    if len(files) != 2 or not all(isinstance(file, str | PathLike) for file in files):
        raise InvalidDataError("font", font, "needs the path of a TrueType font, or two: plain and bold")
    names = [fspath(file) for file in files]
    for name in names:
        if name not in metrics.getRegisteredFontNames():
            metrics.registerFont(ttfonts.TTFont(name, name))
    plain, bold = ({code for code, glyph in metrics.getFont(name).face.charToGlyph.items() if glyph} for name in names)
    return Faces(*names), plain & bold
