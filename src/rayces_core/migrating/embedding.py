"""A migration's source as the body of a function, which means there what it means in a file of its own.

Rule it guards: what would mean something else within a function is refused, and the result is parsed and compared with
the original, so that no line of it was changed unnoticed.
"""

from __future__ import annotations

import ast
import builtins
import io
import symtable
import tokenize
from collections.abc import Iterator
from typing import Any

from rayces_core.errors import MigrationFileError
from rayces_core.migrating.files import MigrationFile

INDENT = "    "
# What these give at the top of a file they do not give within a function.
_ASK_FOR_THE_MODULE = {"globals", "locals", "exec", "eval", "__doc__", "__spec__"}


def embedded(file: MigrationFile) -> tuple[str, list[str]]:
    """The source indented, with its strings as they were, and the names that it imports from __future__.

    Raises MigrationFileError for what cannot be put into a function.
    """
    text = text_of(file)
    tree = ast.parse(text)
    _refuse(file, tree, text)
    lines = text.split("\n")
    futures = [node for node in tree.body if _is_future(node)]
    for node in futures:
        _blank(file, tree, node, lines)
    body = _indented("\n".join(lines))
    _refuse_changed(file, tree, body)
    return body, [alias.name for node in futures for alias in node.names]  # type: ignore[attr-defined]


def text_of(file: MigrationFile) -> str:
    """The text of a file, as Python reads it: decoded, each line ended by a line feed."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(file.source).readline)
    return io.TextIOWrapper(io.BytesIO(file.source), encoding).read()


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _refuse(file: MigrationFile, tree: ast.Module, text: str) -> None:
    for sentence, line in (*_unfit(tree), *_unfit_names(file, text)):
        raise MigrationFileError(
            f"{file.name}, line {line}: {sentence}, which means something else within a function; change it or squash "
            "other files"
        )


def _unfit(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"from {node.module} import *", node.lineno
        elif isinstance(node, ast.Global):
            yield f"global {', '.join(node.names)}", node.lineno
        elif isinstance(node, ast.Name) and node.id in _ASK_FOR_THE_MODULE:
            yield node.id, node.lineno


def _unfit_names(file: MigrationFile, text: str) -> Iterator[tuple[str, int]]:
    """Names that are read from a wider scope and then set in a narrower one, which a function does not allow."""
    top = symtable.symtable(text, file.filename, "exec")
    made = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_local() or symbol.is_assigned()}
    for symbol in top.get_symbols():
        if symbol.get_name() in dir(builtins) and symbol.is_assigned() and symbol.is_referenced():
            yield f"{symbol.get_name()} is set and is Python's own too", 1
    for table in _within(top):
        for symbol in table.get_symbols() if table.get_type() == "class" else ():
            if symbol.get_name() in made and symbol.is_assigned() and symbol.is_referenced():
                yield f"{symbol.get_name()} is the file's and the class {table.get_name()}'s", table.get_lineno()


def _within(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _within(child)


def _blank(file: MigrationFile, tree: ast.Module, node: ast.stmt, lines: list[str]) -> None:
    last = node.end_lineno or node.lineno
    shared = any(
        other is not node and other.lineno <= last and (other.end_lineno or other.lineno) >= node.lineno
        for other in tree.body
    )
    if shared:
        raise MigrationFileError(f"{file.name}, line {node.lineno}: write from __future__ on a line of its own")
    lines[node.lineno - 1 : last] = [""] * (last - node.lineno + 1)


def _indented(text: str) -> str:
    held = set(_within_strings(text))
    lines = text.rstrip("\n").split("\n")
    shown = [line if number in held or not line.strip() else INDENT + line for number, line in enumerate(lines, 1)]
    return "\n".join(shown)


def _within_strings(text: str) -> Iterator[int]:
    """Numbers of the lines that begin within a string."""
    begun: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "STRING":
            yield from range(token.start[0] + 1, token.end[0] + 1)
        elif kind.endswith("STRING_START"):  # since Python 3.12, f-strings
            begun.append(token.start[0])
        elif kind.endswith("STRING_END"):
            yield from range(begun.pop() + 1, token.end[0] + 1)


def _refuse_changed(file: MigrationFile, tree: ast.Module, body: str) -> None:
    function: Any = ast.parse(f"def f():\n{body}\n{INDENT}pass\n").body[0]
    before = [ast.dump(node) for node in tree.body if not _is_future(node)]
    if [ast.dump(node) for node in function.body[:-1]] != before:
        raise MigrationFileError(f"{file.name} cannot be put into a function as it is; squash other files")
