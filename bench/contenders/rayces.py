"""rayces_core as an application uses it: nothing here is special to the benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import peewee

from bench.contender import Contender
from bench.facts import NOW, Facts
from rayces_core import credits, scheduling
from rayces_core.database.database import Database
from rayces_core.models import Appointment


class Rayces(Contender):
    """Tenant-bound models."""

    name = "rayces_core"

    def __init__(self, url: str, facts: Facts) -> None:
        super().__init__(url, facts)
        self._db = Database.connect(url, outbox=False)  # by hand writes no messages; bench.outbox has their price

    def working(self, subdomain: str | None = None) -> AbstractContextManager[object]:
        return self._db.tenant(subdomain or self.facts.subdomain)

    def close(self) -> None:
        self._db.close()

    def plain(self, row: Any) -> dict[str, Any]:
        return peewee_row(Appointment, row)

    def point_read(self, appointment_id: int) -> Any:
        return Appointment.get_by_id(appointment_id)

    def list_50(self, professional_id: int) -> Any:
        mine = Appointment.select().where(Appointment.professional == professional_id)
        return list(mine.order_by(Appointment.scheduled_at.desc()).limit(50))

    def insert(self, values: dict[str, Any]) -> Any:
        return Appointment.create(**values).id

    def load(self, ids: Sequence[int]) -> list[Any]:
        return [Appointment.get_by_id(key) for key in ids]

    def save(self, appointment: Any, notes: str) -> None:
        appointment.notes = notes
        appointment.save()

    def update(self, appointment_id: int, notes: str) -> None:
        Appointment.update(notes=notes).where(Appointment.id == appointment_id).execute()

    def scan_models(self) -> Any:
        return list(Appointment.select())

    def scan_tuples(self) -> Any:
        return list(Appointment.select().tuples())

    def scan_dicts(self) -> Any:
        return list(Appointment.select().dicts())

    def scan_namedtuples(self) -> Any:
        return list(Appointment.select().namedtuples())

    def scan_iterator(self) -> Iterator[Any]:
        return Appointment.select().iterator()

    def confirm(self, appointment: Any) -> None:
        appointment.confirm(now=NOW)

    def book_to_confirmed(self, booking: dict[str, Any]) -> None:
        appointment = scheduling.book(**booking, draft=True, now=NOW)
        appointment.pre_confirm(now=NOW)
        appointment.confirm(now=NOW)

    def find_slots(self) -> Any:
        agenda = self.facts.agenda
        with self._db.tenant(agenda.subdomain):
            return scheduling.find_slots(agenda.start, agenda.end, now=agenda.now)

    def find_slots_sql(self, statement: str, values: Any) -> None:
        with self._db.tenant(self.facts.agenda.subdomain):
            self._db.engine.execute_sql(statement, values)

    def slots_statement(self) -> tuple[str, Any]:
        sent: list[Any] = []
        self._db.engine.query_hooks.append(sent.append)
        try:
            self.find_slots()
        finally:
            self._db.engine.query_hooks.remove(sent.append)
        (event,) = sent
        return event.sql, event.params

    def debit(self, user_id: int) -> None:
        credits.debit(user_id, 1)

    def purchase_many(self, rows: list[dict[str, int]]) -> Any:
        return credits.purchase_many(rows)

    def open_block(self) -> None:
        with self._db.tenant(self.facts.subdomain):
            pass

    def read_in_block(self, appointment_id: int) -> Any:
        with self._db.tenant(self.facts.subdomain):
            return Appointment.get_by_id(appointment_id)


def peewee_row(model: type[peewee.Model], row: Any) -> dict[str, Any]:
    """A row that Peewee made, as column name → value."""
    meta = model._meta
    if isinstance(row, tuple):
        return {field.column_name: value for field, value in zip(meta.sorted_fields, row, strict=True)}
    named = row if isinstance(row, dict) else row.__data__
    return {meta.fields[name].column_name: value for name, value in named.items()}


CONTENDER = Rayces
