"""What an archive has of each table: its columns, which of them name other rows, and in which order tables go in.

All of it is taken from the catalogue and the models, so a table that is added is archived from then on, the host's as
well, but for `LEFT_BEHIND` and what a comment leaves behind (`catalogue.NOT_ARCHIVED`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from rayces_core.archive.catalogue import NOT_ARCHIVED, Column, Found, found_tables, root_oid
from rayces_core.archive.circles import Link, in_order
from rayces_core.archive.tables import Numbered, Table, quoted
from rayces_core.errors import ArchiveError
from rayces_core.models import TENANT_MODELS, StateTransition
from rayces_core.state_machine import StateMachine
from rayces_core.tenancy.model import TenantForeignKey, TenantModel

JOURNAL: Final = StateTransition._meta.table_name
SUBJECTS: Final = {
    model.__name__: model._meta.table_name
    for model in TENANT_MODELS
    if any(isinstance(value, StateMachine) for value in vars(model).values())
} | {"User": "users"}  # merged and erased, they have no other states
# Model → table and column of its state.
STATES: Final = {
    model.__name__: (model._meta.table_name, model._meta.fields[machine.field].column_name)
    for model in TENANT_MODELS
    for machine in vars(model).values()
    if isinstance(machine, StateMachine) and machine.journal is not None
}
# What is told outside is told from one place alone: messages and the endpoints of webhooks, with their secrets, stay.
# So does what people sign in with: they ask for a new password in the other place, and for new addresses of calendars.
LEFT_BEHIND: Final = (
    *("outbox_messages", "webhook_endpoints"),
    *("credentials", "devices", "single_use_tokens", "sign_in_attempts"),
    *("calendar_feeds", "outside_calendars", "outside_busy"),
)
ARCHIVED: Final = tuple(model for model in TENANT_MODELS if model._meta.table_name not in LEFT_BEHIND)
# Secrets stay behind: tokens that were given out there are none here.
MADE_ANEW: Final[Mapping[str, Mapping[str, str]]] = {"users": {"jti": "gen_random_uuid()::text"}}
# A balance is what its last entry says, and the entry needs the balance first.
# A duplicate says when it was merged only together with into whom, which is another row of the same table.
COMPLETED_LATER: Final[Mapping[str, tuple[str, ...]]] = {
    "credit_balances": ("balance", "last_sequence", "in_lots", "reserved"),
    "users": ("merged_at",),
}
# Until then it has another address than a duplicate's, which no other row may have.
BEFORE_COMPLETED: Final[Mapping[str, Mapping[str, str]]] = {
    "users": {"email": "CASE WHEN s.merged_into_id IS NULL THEN s.email ELSE 'restored-' || s.email END"}
}

_OURS: Final = {model._meta.table_name: model for model in TENANT_MODELS}
_LEAVE_OUT: Final = f"leave it behind: COMMENT ON {{kind}} {{name}} IS '{NOT_ARCHIVED}'"


def layout() -> tuple[Table, ...]:
    """The tables of the bound database, those that others refer to first.

    Raises:
        ArchiveError: a table of the host's cannot go into an archive as it is.
    """
    return _Layout(found_tables(), root_oid()).tables()


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


def is_host(found: Found) -> bool:
    """Whether a table is the host's."""
    return not (found.is_home and found.relation in _OURS)


class _Layout:
    """The tables that were found, on their way into an archive; `problems` keep them out of one."""

    def __init__(self, found: tuple[Found, ...], root: int) -> None:
        left = {each.oid for each in found if _is_left_behind(each)}
        self._left, self._all = {*left, root}, {each.oid: each for each in found}
        self._archived = {each.oid: each for each in found if each.oid not in left}
        self._keys = {oid: _counted(each) for oid, each in self._archived.items()}
        self.problems: list[str] = []

    def tables(self) -> tuple[Table, ...]:
        """The tables in their order; raises ArchiveError."""
        made = {each.name: self._table(each) for each in self._archived.values()}
        numbered = {name: Numbered(table.sql, table.key) for name, table in made.items() if table.key}
        links = [link for each in self._archived.values() for link in self._links(each, made)]
        order = in_order(tuple(made), links, self._problem)
        if self.problems:
            raise ArchiveError("; ".join(self.problems))
        return tuple(self._completed(made[name], order.later.get(name, ()), numbered) for name in order.names)

    def _problem(self, what: str, kind: str, name: str) -> None:
        self.problems.append(f"{what}, or {_LEAVE_OUT.format(kind=kind, name=name)}".replace("%%", "%"))

    def _completed(self, table: Table, later: tuple[str, ...], numbered: Mapping[str, Numbered]) -> Table:
        names = dict.fromkeys((*table.references.values(), *table.subjects.values()))
        return replace(
            table,
            named={name: numbered[name] for name in names},
            later=tuple(dict.fromkeys((*COMPLETED_LATER.get(table.name, ()), *later))),
        )

    # -- one table --------------------------------------------------------------------------------------------

    def _table(self, found: Found) -> Table:
        host, key = is_host(found), self._keys[found.oid]
        columns = {column.name: column for column in self._columns(found)}
        references = {name: target for name in columns if (target := self._named_by(found, name)) is not None}
        journal = not host and found.relation == JOURNAL
        if host:
            self._check(found, columns)
        return Table(
            found.name,
            tuple(columns),
            references,
            sql=_sql_of(found),
            key=key,
            order=(key,) if key else found.key,
            texts={column.name: column.type for column in columns.values() if column.as_text},
            subjects=self._subjects() if journal else {},
            left_subjects=tuple(kind for kind, name in self._every_subject().items() if not name) if journal else (),
            hidden=tuple(name for name, each in found.columns.items() if each.left_behind and _is_hosts(found, each)),
            is_host=host,
            overriding=any(column.always for column in columns.values()),
        )

    def _columns(self, found: Found) -> Iterator[Column]:
        anew = () if is_host(found) else MADE_ANEW.get(found.relation, {})
        for column in found.columns.values():
            kept = column.name not in ("organization_id", self._keys[found.oid], *anew) and not column.generated
            if kept and not (_is_hosts(found, column) and column.left_behind) and self._can_be_kept(found, column):
                yield column

    def _can_be_kept(self, found: Found, column: Column) -> bool:
        """Whether it names nothing that stays behind."""
        targets = [oid for oid, pairs in found.foreign_keys for child, _ in pairs if child == column.name]
        lost = [oid for oid in targets if oid in self._left]
        if lost and column.attnotnull:
            there = self._all[lost[0]].name if lost[0] in self._all else "organizations"
            what = f"{found.name}.{column.name} names a row of {there}, which stays behind: let the column be NULL"
            self._problem(what, "TABLE", _sql_of(found))
        return not lost

    def _named_by(self, found: Found, column: str, seen: frozenset[tuple[int, str]] = frozenset()) -> str | None:
        """The table whose row's place stands for a column, through as many foreign keys as it takes."""
        if column == self._keys[found.oid]:
            return found.name
        if not is_host(found) and column in (ours := references_of(_OURS[found.relation])):
            return ours[column]
        for oid, pairs in found.foreign_keys:
            for child, parent in pairs:
                if child == column and oid in self._archived and (oid, parent) not in seen:
                    target = self._named_by(self._archived[oid], parent, seen | {(oid, parent)})
                    if target is not None:
                        return target
        return None

    def _links(self, found: Found, made: Mapping[str, Table]) -> Iterator[Link]:
        """What has to be there before the rows of a table."""
        table = made[found.name]
        for oid, pairs in found.foreign_keys:
            names = tuple(child for child, _ in pairs if child in table.columns)
            if oid in self._archived and names:
                target = self._archived[oid].name
                loose = tuple(name for name in names if _is_loose(found, found.columns[name]))
                by_place = any(table.references.get(name) == target for name in names)
                if oid != found.oid or by_place:
                    yield Link(found.name, target, loose, is_host(found))
        for target in {*table.references.values(), *table.subjects.values()} - {found.name}:
            if not any(self._archived[oid].name == target for oid, _ in found.foreign_keys if oid in self._archived):
                yield Link(found.name, target, (), is_host(found))

    def _subjects(self) -> dict[str, str]:
        """Type of a subject of the journal → its table; of the host's models those that are loaded."""
        return {kind: name for kind, name in self._every_subject().items() if name is not None}

    def _every_subject(self) -> dict[str, str | None]:
        """The same with None for those whose table stays behind."""
        places = {(each.schema, each.relation): each for each in self._all.values()}
        home = next(each.schema for each in self._all.values() if each.is_home)
        hosts: dict[str, str | None] = {}
        for model in _models(TenantModel):
            if any(isinstance(value, StateMachine) and value.journal is not None for value in vars(model).values()):
                found = places.get((model._meta.schema or home, model._meta.table_name))
                if found is not None:
                    hosts[model.__name__] = found.name if found.oid in self._archived else None
        return hosts | SUBJECTS

    def _check(self, found: Found, columns: Mapping[str, Column]) -> None:
        sql = _sql_of(found)
        if not found.usable:
            self._problem(f"the tenants' role cannot enter the schema of {sql}: grant USAGE on it", "TABLE", sql)
        elif not found.has_key:
            self._problem(f"{sql} has no primary key, so its rows have no order: make one", "TABLE", sql)
        for verb, having in (("SELECT", "readable"), ("INSERT", "insertable")):
            lacking = [name for name, column in columns.items() if not getattr(column, having)]
            if found.usable and lacking:
                what = f"the tenants' role has no right to {verb} {sql} ({', '.join(lacking)[:100]}): grant it"
                self._problem(what, "TABLE", sql)


def _is_left_behind(found: Found) -> bool:
    return found.left_behind if is_host(found) else found.relation in LEFT_BEHIND


def _is_hosts(found: Found, column: Column) -> bool:
    """Whether a column is the host's, in a table of its own or of ours."""
    return is_host(found) or column.name not in _OURS[found.relation]._meta.columns


def _counted(found: Found) -> str | None:
    """The one column of the key that a sequence counts."""
    if not is_host(found):
        return "id"
    names = [name for name in found.key if found.columns[name].counted and found.columns[name].whole]
    return names[0] if len(names) == 1 else None


def _is_loose(found: Found, column: Column) -> bool:
    """Whether a column may be written when the row is there already."""
    return not column.attnotnull and column.updatable and column.name not in found.key


def _sql_of(found: Found) -> str:
    return quoted(found.relation) if found.is_home else f"{quoted(found.schema)}.{quoted(found.relation)}"


def _models(root: Any) -> Iterator[Any]:
    for child in root.__subclasses__():
        if child._meta.complete:
            yield child
        yield from _models(child)
