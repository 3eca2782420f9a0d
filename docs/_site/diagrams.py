"""Mermaid diagrams, drawn by a script that lies beside the page: `make docs` brings it from npm, no CDN is asked.

Without it (no npm) a diagram is shown as the text that it is written in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SCRIPT = "mermaid.min.js"


class Mermaid(SphinxDirective):
    """A fence of the language `mermaid`; the page that has one loads the script."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["has_diagrams"] = "yes"
        block = nodes.literal_block("\n".join(self.content), "\n".join(self.content), classes=["mermaid-source"])
        block["language"] = "text"
        return [block]


def setup(app: Sphinx) -> None:
    """Register it."""
    app.add_directive("mermaid", Mermaid)
    app.connect("html-page-context", _load)


def _load(app: Sphinx, page: str, _template: str, _context: dict[str, Any], _doctree: object) -> None:
    if app.env.metadata.get(page, {}).get("has_diagrams") and (Path(app.srcdir) / "_static" / SCRIPT).exists():
        app.add_js_file(SCRIPT)
        app.add_js_file("diagrams.js")
