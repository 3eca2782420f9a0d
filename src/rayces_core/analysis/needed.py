"""The libraries that frames are made of, loaded when they are first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from rayces_core.errors import MissingExtraError

_INSTALL: Final = {"pandas": "pip install pandas"}  # whoever wants its frames has it; no metric needs it


def wanted(module: str) -> Any:
    """The module of that name.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        how = _INSTALL.get(package, "pip install 'rayces-core[analysis]'")
        raise MissingExtraError(f"{package} is not installed: {how}") from None
