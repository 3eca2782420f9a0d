"""Which paths are served without a tenant."""

from __future__ import annotations

from collections.abc import Iterable


class Exempt:
    """Paths, and with an asterisk at the end whatever begins so: "/healthz", "/static/*"."""

    def __init__(self, paths: Iterable[str]) -> None:
        given = list(paths)
        self._whole = frozenset(path for path in given if not path.endswith("*"))
        self._beginnings = tuple(path[:-1] for path in given if path.endswith("*"))

    def __contains__(self, path: str) -> bool:
        return path in self._whole or path.startswith(self._beginnings)
