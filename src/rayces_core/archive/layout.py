"""What an archive has of each table: its columns, which of them name other rows, and in which order tables go in.

All of it is taken from the models and the catalogue, so a model added to TENANT_MODELS is archived from then on,
but for `LEFT_BEHIND`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.models import TENANT_MODELS, StateTransition
from rayces_core.state_machine import StateMachine
from rayces_core.tenancy.model import TenantForeignKey, TenantModel

JOURNAL: Final = StateTransition._meta.table_name
SUBJECTS: Final = {
    model.__name__: model._meta.table_name
    for model in TENANT_MODELS
    if any(isinstance(value, StateMachine) for value in vars(model).values())
}
# Model → table and column of its state.
STATES: Final = {
    model.__name__: (model._meta.table_name, model._meta.fields[machine.field].column_name)
    for model in TENANT_MODELS
    for machine in vars(model).values()
    if isinstance(machine, StateMachine) and machine.journal is not None
}
# What is told outside is told from one place alone: messages and the endpoints of webhooks, with their secrets, stay.
# So does what people sign in with: they ask for a new password in the other place.
LEFT_BEHIND: Final = (
    *("outbox_messages", "webhook_endpoints"),
    *("credentials", "devices", "single_use_tokens", "sign_in_attempts"),
)
ARCHIVED: Final = tuple(model for model in TENANT_MODELS if model._meta.table_name not in LEFT_BEHIND)
# Secrets stay behind: tokens that were given out there are none here.
MADE_ANEW: Final[Mapping[str, Mapping[str, str]]] = {"users": {"jti": "gen_random_uuid()::text"}}
# A balance is what its last entry says, and the entry needs the balance first.
COMPLETED_LATER: Final[Mapping[str, tuple[str, ...]]] = {"credit_balances": ("balance", "last_sequence")}

_COLUMNS = """
SELECT name, attname::text FROM unnest(%(names)s::text[]) AS name
  JOIN pg_attribute ON attrelid = to_regclass(quote_ident(name))
 WHERE attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname NOT IN ('organization_id', 'id')
 ORDER BY name COLLATE "C", attname COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of an archive.

    Attributes:
        columns: what a row has beside its place, in the order of the archive.
        references: column → table whose row it names, by that row's place.
    """

    name: str
    columns: tuple[str, ...]
    references: Mapping[str, str]

    @property
    def is_journal(self) -> bool:
        """Whether its rows name their subject by type and id."""
        return bool(self.name == JOURNAL)

    @property
    def named(self) -> tuple[str, ...]:
        """The tables whose rows its rows name."""
        return tuple(dict.fromkeys((*self.references.values(), *(SUBJECTS.values() if self.is_journal else ()))))


def layout() -> tuple[Table, ...]:
    """The tables of the bound database, those that others refer to first."""
    models = {model._meta.table_name: model for model in ARCHIVED}
    columns: dict[str, list[str]] = {name: [] for name in models}
    for name, column in current().engine.execute_sql(_COLUMNS, {"names": list(models)}).fetchall():
        if column not in MADE_ANEW.get(name, ()):
            columns[name].append(column)
    tables = {name: Table(name, tuple(columns[name]), references_of(model)) for name, model in models.items()}
    return tuple(tables[name] for name in TopologicalSorter({t.name: t.named for t in tables.values()}).static_order())


def references_of(model: type[TenantModel]) -> dict[str, str]:
    """Column → the table whose id it holds; a professional's is the id of a user."""
    return {
        field.column_name: _table_of(field)
        for field in model._meta.sorted_fields
        if isinstance(field, TenantForeignKey)
    }


def _table_of(field: Any) -> str:
    while isinstance(field.rel_field, TenantForeignKey):
        field = field.rel_field
    name: str = field.rel_model._meta.table_name
    return name
