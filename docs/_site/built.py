"""Looks at the pages as they were built: every inner link leads to a page and an anchor, and no other host is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

SOURCES = "_modules"  # highlighted by viewcode, whose links back are its own
_LOADS = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}
_URL = re.compile(r"""(?:url\(|@import)\s*(?:url\()?["']?((?:https?:)?//[^"')]+)""")
_log = logging.getLogger(__name__)


class Page(NamedTuple):
    """What a page refers to, and the anchors that it has."""

    links: list[str]
    loads: list[str]
    anchors: set[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page([], [], set())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id":
                self.page.anchors.add(value)
            elif (tag, name) in _LOADS:
                self.page.loads.append(value)
            elif (tag, name) == ("a", "href"):
                self.page.links.append(value)


def setup(app: Sphinx) -> None:
    """Register it."""
    app.connect("build-finished", _look)


def _look(app: Sphinx, failure: Exception | None) -> None:
    if failure is None and app.builder.name == "html":
        for fault in faults(Path(app.outdir)):
            _log.warning(fault, type="built", subtype="link")


def faults(folder: Path) -> Iterator[str]:
    """What is wrong with the pages of a folder, a sentence each."""
    pages = {path.resolve(): read(path) for path in sorted(folder.rglob("*.html")) if SOURCES not in path.parts}
    for style in sorted(folder.rglob("*.css")):
        for target in _URL.findall(style.read_text("utf-8")):
            yield f"{style.relative_to(folder)} loads {target} from another host"
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for target in page.loads:
            if urlsplit(target).netloc:
                yield f"{name} loads {target} from another host"
        for target in {*page.loads, *page.links}:
            yield from (f"{name}: {fault}" for fault in _followed(path, target, pages))


def _followed(path: Path, target: str, pages: dict[Path, Page]) -> Iterator[str]:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not file.is_file():
        yield f"{target} leads to no file"
    elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
        yield f"{target} leads to no anchor"


@cache
def read(path: Path) -> Page:
    """A page's links and anchors."""
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return reader.page
