"""Peewee without rayces_core: models of its own, its pool, one connection held, each statement committing by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import peewee
from playhouse.pool import PooledPostgresqlDatabase
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField
from psycopg2.extensions import parse_dsn

from bench.contender import Contender
from bench.contenders.rayces import peewee_row
from bench.facts import Facts

database = PooledPostgresqlDatabase(None, max_connections=20)


def now() -> datetime:
    return datetime.now(UTC)


class Appointment(peewee.Model):
    """The table as plain Peewee sees it."""

    organization_id = peewee.BigIntegerField()
    id = peewee.BigAutoField()
    professional_id = peewee.BigIntegerField()
    student_id = peewee.BigIntegerField()
    client_id = peewee.BigIntegerField()
    scheduled_at = DateTimeTZField()
    duration_minutes = peewee.IntegerField(default=60)
    buffer_minutes = peewee.IntegerField(default=0)
    occupied_until = DateTimeTZField(null=True)
    state = peewee.CharField(default="draft")
    pre_confirmed_at = DateTimeTZField(null=True)
    expires_at = DateTimeTZField(null=True)
    confirmed_at = DateTimeTZField(null=True)
    executed_at = DateTimeTZField(null=True)
    no_show_at = DateTimeTZField(null=True)
    cancelled_at = DateTimeTZField(null=True)
    cancelled_by_id = peewee.BigIntegerField(null=True)
    cancellation_reason = peewee.CharField(null=True)
    notes = peewee.TextField(null=True)
    professional_notes = peewee.TextField(null=True)
    uses_credit = peewee.BooleanField(default=False)
    credits_used = peewee.IntegerField(default=0)
    metadata = BinaryJSONField(default=dict)
    idempotency_key = peewee.CharField(null=True)
    request_fingerprint = peewee.CharField(null=True)
    created_at = DateTimeTZField(default=now)
    updated_at = DateTimeTZField(default=now)

    class Meta:
        database = database
        table_name = "appointments"
        only_save_dirty = True


class BarePeewee(Contender):
    """Peewee, with a filter by organization in each query."""

    name = "peewee"

    def __init__(self, url: str, facts: Facts) -> None:
        super().__init__(url, facts)
        parameters = parse_dsn(url)
        database.init(parameters.pop("dbname"), **parameters)
        database.connect()
        self._own = facts.organization_id

    def close(self) -> None:
        database.close()
        database.close_all()

    def plain(self, row: Any) -> dict[str, Any]:
        return peewee_row(Appointment, row)

    def point_read(self, appointment_id: int) -> Any:
        return Appointment.get(Appointment.organization_id == self._own, Appointment.id == appointment_id)

    def list_50(self, professional_id: int) -> Any:
        mine = self._select().where(Appointment.professional_id == professional_id)
        return list(mine.order_by(Appointment.scheduled_at.desc()).limit(50))

    def insert(self, values: dict[str, Any]) -> Any:
        return Appointment.create(organization_id=self._own, **values).id

    def load(self, ids: Sequence[int]) -> list[Any]:
        return [self.point_read(key) for key in ids]

    def save(self, appointment: Any, notes: str) -> None:
        appointment.notes, appointment.updated_at = notes, now()
        appointment.save()

    def update(self, appointment_id: int, notes: str) -> None:
        mine = (Appointment.organization_id == self._own) & (Appointment.id == appointment_id)
        Appointment.update(notes=notes, updated_at=now()).where(mine).execute()

    def scan_models(self) -> Any:
        return list(self._select())

    def scan_tuples(self) -> Any:
        return list(self._select().tuples())

    def scan_dicts(self) -> Any:
        return list(self._select().dicts())

    def _select(self) -> Any:
        return Appointment.select().where(Appointment.organization_id == self._own)


CONTENDER = BarePeewee
