"""Python's source as a tree, for tests that hold sentences to the code."""

import ast
import gc
from pathlib import Path


def parsed(path: Path) -> ast.Module:
    """The tree of a file.

    Nothing is collected meanwhile: what finalizers report is shown with a traceback, for which Python 3.11 parses too,
    and parsing within parsing fails (SystemError: AST constructor recursion depth mismatch, cpython issue 106905).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        if was_enabled:
            gc.enable()
