"""Says which extra to install where a framework is missing."""

from __future__ import annotations

from rayces_core.errors import MissingExtraError


def missing(package: str, extra: str) -> MissingExtraError:
    """The error that tells it: `package` is not installed, `extra` brings it."""
    return MissingExtraError(f"{package} is not installed: pip install 'rayces-core[{extra}]'")
