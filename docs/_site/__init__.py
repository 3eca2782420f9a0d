"""What this site has of its own: docstrings in the house's style, the list of public names, links, diagrams, checks."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from _site import built, diagrams, docstrings, links, notebooks, public


def setup(app: Sphinx) -> dict[str, Any]:
    """Register every part; Sphinx calls it."""
    for part in (docstrings, public, links, diagrams, notebooks, built):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
