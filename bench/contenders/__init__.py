"""The contenders: each in a file of its own, found by name; those whose library is missing stay out."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from bench.contender import Contender

BASELINE = "psycopg2"
OURS = "rayces_core"
MODULES = {
    BASELINE: "by_hand",
    OURS: "rayces",
    "peewee": "bare_peewee",
    "sqlalchemy": "sqlalchemy_orm",
    "django": "django_orm",
}


def installed(names: Iterable[str]) -> list[type[Contender]]:
    """The contenders of these names that can be imported, the baseline first and always there."""
    wanted = {BASELINE, *names}
    found = []
    for name, module in MODULES.items():
        if name not in wanted:
            continue
        try:
            loaded = import_module(f"bench.contenders.{module}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != name:
                raise
            continue
        found.append(loaded.CONTENDER)
    return found
