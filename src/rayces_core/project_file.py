"""What a host application says in its pyproject.toml: `[tool.rayces]` of the nearest one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from rayces_core.errors import ConfigurationError

FILE: Final = "pyproject.toml"
_TABLES: Final = ("tool", "rayces")


def listed(word: str, example: str, start: Path | None = None) -> tuple[Path, list[Any]]:
    """The folder of the nearest pyproject.toml, from `start` upwards, and what `[tool.rayces]` lists there of a word.

    Without such a file it is `start` itself (default: the current folder), and nothing.

    Raises:
        ConfigurationError: the file cannot be read, or has no list there; `example` says what to write.
    """
    folder = (start or Path.cwd()).resolve()
    file = next((each / FILE for each in (folder, *folder.parents) if (each / FILE).is_file()), None)
    if file is None:
        return folder, []
    try:
        said: Any = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is no TOML: {error}") from error
    for name in _TABLES:
        said = said.get(name, {})
        if not isinstance(said, dict):
            raise ConfigurationError(f"{file}: {name} has to be a table: {example}")
    named = said.get(word, [])
    if not isinstance(named, list):
        raise ConfigurationError(f"{file}: {word} has to be a list: {example}")
    return file.parent, named
