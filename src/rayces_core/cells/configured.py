"""Reads which cells there are from a TOML file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from rayces_core.errors import ConfigurationError


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arguments of Cells that a file names; raises ConfigurationError."""
    try:
        given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{os.fspath(path)}: the list of cells cannot be read: {error}") from error
    cells, catalogue = given.pop("cells", None), given.pop("catalogue", None)
    admin = given.pop("catalogue_admin_url", None)
    if not isinstance(cells, dict) or not cells or not isinstance(catalogue, str) or given:
        raise ConfigurationError(
            f'{os.fspath(path)}: write catalogue = "a" and below it [cells] with a line a = "postgresql://…" for each'
            + (f"; {', '.join(given)} is unknown" if given else "")
        )
    found: dict[str, Any] = {
        "databases": {name: _database(path, name, each) for name, each in cells.items()},
        "catalogue": _said(path, "catalogue", catalogue),
    }
    return found | ({"catalogue_admin_url": _said(path, "catalogue_admin_url", admin)} if admin is not None else {})


def _database(path: str | os.PathLike[str], name: str, given: object) -> str | dict[str, Any]:
    if isinstance(given, str):
        return str(_said(path, name, given))
    if isinstance(given, dict) and isinstance(given.get("url"), str):
        return {key: _said(path, name, value) for key, value in given.items()}
    raise ConfigurationError(f'{os.fspath(path)}: cell {name} needs a URL, or {{url = "…", admin_url = "…"}}')


def _said(path: str | os.PathLike[str], name: str, given: Any) -> Any:
    """The value, or that of the environment variable which it names; of a list each one."""
    if isinstance(given, list):
        return [_said(path, name, each) for each in given]
    if not isinstance(given, str) or not given.startswith("$"):
        return given
    found = os.environ.get(given[1:], "").strip()
    if not found:
        raise ConfigurationError(
            f"{os.fspath(path)}: {name} is in the environment variable {given[1:]}, which is not set"
        )
    return found
