"""What an .xlsx says about itself: which part is which sheet, since when it counts days, what was never computed.

Rule: parts are found by their relations, as the standard has it, so a workbook is read whatever its parts are called.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat
from zipfile import ZipFile

from rayces_core.errors import SourceError

MAX_PART_BYTES: Final = 64 * 1024 * 1024
MAX_TAGS: Final = 200_000
_WORKBOOK: Final = "xl/workbook.xml"
_QUOTED: Final = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_ZEROS: Final = re.compile(r"0{2,15}")
# Formats that the standard numbers and no workbook writes out; those between 18 and 21 show an hour and no day.
_TIMED_FORMATS: Final = frozenset((18, 19, 20, 21, 22, 45, 46, 47))

_READ: Final = frozenset(
    ("sheet", "workbookPr", "calcPr", "Relationship", "numFmt", "xf", "cellXfs", "cellStyleXfs", "cellStyles", "dxfs")
)

Tags = list[tuple[str, dict[str, str]]]


@dataclass(frozen=True)
class Package:
    """Facts of an .xlsx.

    Attributes:
        parts: name of a sheet → name of its part in the archive.
        since_1904: whether day 0 is 1 January 1904, as on old Macs.
        uncomputed: whether its formulas wait for a program to compute them, with 0 where their values will be.
        timed: the styles of cells that show an hour. digits: style → how many digits it shows of a number, by 00000.
    """

    parts: dict[str, str] = field(default_factory=dict)
    since_1904: bool = False
    uncomputed: bool = False
    timed: frozenset[int] = frozenset()
    digits: dict[int, int] = field(default_factory=dict)


def package_of(archive: ZipFile, name: str) -> Package:
    """Read the parts of a workbook that say what the others are.

    Raises:
        SourceError: one of them is larger than any program writes it, or no XML.
    """
    names = {member.replace("\\", "/").lower(): member for member in archive.namelist()}
    book = _workbook_part(archive, names, name)
    if book not in names:
        return Package()
    tags = _tags(archive, names[book], name)
    links = _relations(archive, names, book, name)
    parts = {
        each["name"]: names[target]
        for tag, each in tags
        if tag == "sheet" and "name" in each and (target := links.get(each.get("r:id", ""), ("", ""))[1]) in names
    }
    properties = next((each for tag, each in tags if tag == "workbookPr"), {})
    computing = next((each for tag, each in tags if tag == "calcPr"), {})
    styles = next((target for kind, target in links.values() if kind.endswith("/styles")), "")
    formats = _formats(_tags(archive, names[styles], name)) if styles in names else []
    return Package(
        parts,
        since_1904=_is_set(properties.get("date1904")),
        uncomputed=_is_set(computing.get("fullCalcOnLoad")),
        timed=frozenset(place for place, code in enumerate(formats) if shows_hour(code)),
        digits={place: len(code) for place, code in enumerate(formats) if _ZEROS.fullmatch(code)},
    )


def _is_set(value: str | None) -> bool:
    return value in ("1", "true", "on")


def _workbook_part(archive: ZipFile, names: dict[str, str], name: str) -> str:
    links = _relations(archive, names, "", name)
    return next((target for kind, target in links.values() if kind.endswith("/officeDocument")), _WORKBOOK)


def _relations(archive: ZipFile, names: dict[str, str], part: str, name: str) -> dict[str, tuple[str, str]]:
    """Id → (kind, part in small letters) of what a part refers to."""
    folder, _, bare = part.rpartition("/")
    member = posixpath.join(folder, "_rels", f"{bare}.rels")
    if member not in names:
        return {}
    found = {}
    for tag, each in _tags(archive, names[member], name):
        if tag == "Relationship" and each.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, each.get("Target", "").replace("\\", "/")))
            found[each.get("Id", "")] = each.get("Type", ""), target.lstrip("/").lower()
    return found


def _tags(archive: ZipFile, member: str, name: str) -> Tags:
    """The tags of a part that matter here, in their order, without the prefixes of their namespaces."""
    found: Tags = []
    too_large = f"is a damaged workbook: {member} is larger than any program writes it; save it anew"

    def start(tag: str, attributes: dict[str, str]) -> None:
        if (bare := tag.rpartition(":")[2]) in _READ:
            found.append((bare, {("r:id" if key.endswith(":id") else key): text for key, text in attributes.items()}))
            if len(found) > MAX_TAGS:
                raise SourceError(name, too_large)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    with archive.open(member) as part:
        content = part.read(MAX_PART_BYTES + 1)
    if len(content) > MAX_PART_BYTES:
        raise SourceError(name, too_large)
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise SourceError(name, f"is a damaged workbook ({member}: {error}); save it anew") from None
    return found


def _formats(tags: Tags) -> list[str]:
    """The format of each style of cells."""
    codes = dict.fromkeys(map(str, _TIMED_FORMATS), "h")
    codes |= {each.get("numFmtId", ""): each.get("formatCode", "") for tag, each in tags if tag == "numFmt"}
    found: list[str] = []
    inside = False
    for tag, each in tags:
        if tag in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
            inside = tag == "cellXfs"
        elif tag == "xf" and inside:
            found.append(codes.get(each.get("numFmtId", "0"), ""))
    return found


def shows_hour(code: str) -> bool:
    """Whether a format of numbers, as spreadsheets write it, shows an hour."""
    # Elapsed hours stand in brackets, as do colours and languages.
    return "h" in _QUOTED.sub(lambda found: "h" if found[0].lower() in ("[h]", "[hh]") else "", code).lower()
