"""Links of the pages to files of the repository outside docs/ (`../examples/host`) lead to where it is hosted.

On the page as it stands in the repository they work as they are written, so they stay so there.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

_OUTSIDE = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> None:
    """Register it."""
    app.add_config_value("repository", "", "env", [str])
    app.connect("source-read", _read)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    folder = Path(app.env.doc2path(name)).parent
    source[0] = _OUTSIDE.sub(lambda found: _link(app, name, folder, found), source[0])


def _link(app: Sphinx, name: str, folder: Path, found: re.Match[str]) -> str:
    docs, target = Path(app.srcdir).resolve(), (folder / found[1]).resolve()
    if target.is_relative_to(docs):
        return found[0]
    if not target.exists():
        _log.warning("%s leads nowhere", found[1], location=name, type="links", subtype="outside")
    return f"]({app.config.repository}/{target.relative_to(docs.parent).as_posix()}{found[2] or ''})"
