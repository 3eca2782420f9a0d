"""Notebooks: none is executed twice in a build, and `executed.json` in the built folder says how often each was."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from myst_nb.core.execute.base import NotebookClientBase
from sphinx.application import Sphinx
from sphinx.util import logging

_log = logging.getLogger(__name__)
_counts: Counter[str] = Counter()
_execute = NotebookClientBase.__enter__


def setup(app: Sphinx) -> None:
    """Count executions, where this build executes at all."""
    app.connect("builder-inited", lambda _app: _counts.clear())
    app.connect("build-finished", _tell)
    NotebookClientBase.__enter__ = _counted  # type: ignore[method-assign]


def _counted(self: NotebookClientBase) -> NotebookClientBase:
    _counts[Path(self.path or "").name] += 1
    return _execute(self)


def notebooks_of(docs: Path) -> list[Path]:
    """The pages that are executed: those whose first lines say that they are notebooks."""
    return sorted(path for path in docs.rglob("*.md") if path.read_text("utf-8").startswith("---\nfile_format: mystnb"))


def _tell(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None or app.config.nb_execution_mode == "off":
        return
    for path in notebooks_of(Path(app.srcdir)):
        if _counts[path.name] > 1:
            _log.warning("%s was executed %d times", path.name, _counts[path.name], type="notebooks")
    (Path(app.outdir) / "executed.json").write_text(json.dumps(dict(sorted(_counts.items())), indent=1), "utf-8")
