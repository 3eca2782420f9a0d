"""`external_id`: the key by which another program knows a row, such as a file number; unique within the organization.

Rule it guards: one is looked up as it is written, so it has no blanks around it, and nothing in it is put right.
"""

from __future__ import annotations

from typing import Any, Final

from peewee import Check

LONGEST_EXTERNAL_ID: Final = 200  # it is indexed


def external_id_check(table: str) -> Any:
    """The rule of the column in a table."""
    rule = f"external_id = btrim(external_id) AND external_id <> '' AND length(external_id) <= {LONGEST_EXTERNAL_ID}"
    return Check(rule, name=f"{table}_external_id_check")


def add_external_id_index(model: Any) -> None:
    """Have the organization know a row by its key alone, where it has one."""
    key = model.index(
        model.organization,
        model.external_id,
        unique=True,
        where=model.external_id.is_null(False),
        name=f"{model._meta.table_name}_organization_id_external_id_key",
    )
    model.add_index(key)
