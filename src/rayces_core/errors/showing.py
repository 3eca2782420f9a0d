"""What a notebook shows of an error: the cell's line, the sentence and what to do, not forty lines of libraries."""

from __future__ import annotations

import html
import linecache
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any, Final

_LIBRARY: Final = str(Path(__file__).parent.parent)
_PATHS: Final = ("stdlib", "platstdlib", "purelib", "platlib")
_OTHERS: Final = (_LIBRARY, *(sysconfig.get_path(name) for name in _PATHS), "<frozen")
MOST_LINES: Final = 5


def rendered(error: Any) -> list[str]:
    """The lines that IPython prints for an error that leaves a cell; all of them in its mode Verbose."""
    shell = _shell()
    if shell is not None and shell.InteractiveTB.mode == "Verbose":
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
        return lines
    more = "`%xmode Verbose` and `%tb` show the whole" if shell is not None else ""
    facts = [*advice(error), *([more] if more else [])]
    return [*own_lines(error, shell), f"{type(error).__name__}: {error}", *(f"  {each}" for each in facts)]


def own_lines(error: Any, shell: Any) -> list[str]:
    """Where the error went through the user's own code, the last places of it."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(name, line) for name, line in frames if not name.startswith(_OTHERS)]
    return [text for name, line in own[-MOST_LINES:] for text in _place(name, line, shell)]


def _place(name: str, line: int, shell: Any) -> list[str]:
    known = None if shell is None else shell.compile.format_code_name(name)
    where = " ".join(known) if known else f"File {name}"
    return [f"{where}, line {line}", f"    {linecache.getline(name, line).strip()}"]


def advice(error: Any) -> list[str]:
    """What to do besides what the sentence says."""
    said = list(getattr(error, "__notes__", ()))
    if error.code == "tenant_not_set":
        said.append('in a notebook, db.use("north") binds the cells that follow')
    if error.outcome == "unknown":
        said.append("whether it was kept is unknown: look before you run it again")
    elif error.outcome == "not committed":
        said.append("nothing of it was kept" + ("; running it again may help" if error.retryable else ""))
    return said


def as_html(error: Any) -> str:
    """An error as a notebook shows it where it is displayed."""
    kind = (type(error).__doc__ or "").strip().partition("\n")[0]
    facts = "".join(f"<li>{html.escape(each)}</li>" for each in advice(error))
    return (
        f"<div><strong>{html.escape(type(error).__name__)}</strong> <code>{html.escape(error.code)}</code>"
        f'<div>{html.escape(str(error))}</div><div style="opacity: .7">{html.escape(kind)}</div>'
        + (f"<ul>{facts}</ul>" if facts else "")
        + "</div>"
    )


def _shell() -> Any:
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()
