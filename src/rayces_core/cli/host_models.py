"""`--models`: modules of the host that a command imports first, so that its record types and lifecycles are known."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

FILE: Final = "pyproject.toml"
_EXAMPLE: Final = '[tool.rayces] models = ["myapp.models"]'
Command = TypeVar("Command", bound=Callable[..., Any])


def _import(_context: click.Context, _option: click.Parameter, modules: tuple[str, ...]) -> None:
    # Folders that modules are looked for in: the current one, or that of the file that names them.
    folder, found = (Path.cwd(), modules) if modules else configured()
    if found and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    for name in found:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise click.UsageError(f"there is no module {error.name}, which --models or {FILE} asks for") from error


def models_option(command: Command) -> Command:
    """Let a command import modules of the host before it begins; those that pyproject.toml names, if none is given."""
    return click.option(
        "--models",
        metavar="MODULE",
        multiple=True,
        expose_value=False,
        callback=_import,
        help="Import a module of yours first, such as myapp.models; repeatable; default: those in pyproject.toml.",
    )(command)


def configured() -> tuple[Path, tuple[str, ...]]:
    """The folder of the nearest pyproject.toml, from the current one upwards, and the modules that it names.

    Raises:
        click.UsageError: it does not say what it should.
    """
    from rayces_core.errors import ConfigurationError
    from rayces_core.project_file import listed

    try:
        folder, named = listed("models", _EXAMPLE)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    if not all(isinstance(name, str) for name in named):
        raise click.UsageError(f"{folder / FILE}: models has to be a list of modules: {_EXAMPLE}")
    return folder, tuple(named)
