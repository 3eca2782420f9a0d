"""Django's ORM without a project: one connection held, each statement committing by itself, as is its default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django
from django.conf import settings
from django.db import connections, models
from django.utils import timezone
from psycopg2.extensions import parse_dsn

from bench.contender import Contender
from bench.facts import COLUMNS, Facts

settings.configure(USE_TZ=True, TIME_ZONE="UTC")
django.setup()


class Appointment(models.Model):
    """The table as Django sees it."""

    organization_id = models.BigIntegerField()
    id = models.BigAutoField(primary_key=True)
    professional_id = models.BigIntegerField()
    student_id = models.BigIntegerField()
    client_id = models.BigIntegerField()
    scheduled_at = models.DateTimeField()
    duration_minutes = models.IntegerField(default=60)
    buffer_minutes = models.IntegerField(default=0)
    occupied_until = models.GeneratedField(
        expression=models.F("scheduled_at"), output_field=models.DateTimeField(), db_persist=True
    )
    state = models.CharField(default="draft")
    pre_confirmed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    executed_at = models.DateTimeField(null=True)
    no_show_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    cancelled_by_id = models.BigIntegerField(null=True)
    cancellation_reason = models.CharField(null=True)
    notes = models.TextField(null=True)
    professional_notes = models.TextField(null=True)
    uses_credit = models.BooleanField(default=False)
    credits_used = models.IntegerField(default=0)
    metadata = models.JSONField(default=dict)
    idempotency_key = models.CharField(null=True)
    request_fingerprint = models.CharField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "bench"
        db_table = "appointments"
        managed = False


class DjangoORM(Contender):
    """Django's ORM, with a filter by organization in each query."""

    name = "django"

    def __init__(self, url: str, facts: Facts) -> None:
        super().__init__(url, facts)
        given = parse_dsn(url)
        names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        options = {key: given.pop(name, "") for key, name in names.items()}
        default = {"ENGINE": "django.db.backends.postgresql", **options, "OPTIONS": given}
        connections.settings = connections.configure_settings({"default": default})
        self._objects = Appointment.objects.filter(organization_id=facts.organization_id)

    def close(self) -> None:
        connections["default"].close()
        del connections["default"]

    def plain(self, row: Any) -> dict[str, Any]:
        if isinstance(row, tuple):
            return dict(zip(COLUMNS, row, strict=True))
        return row if isinstance(row, dict) else {name: getattr(row, name) for name in COLUMNS}

    def point_read(self, appointment_id: int) -> Any:
        return self._objects.get(id=appointment_id)

    def list_50(self, professional_id: int) -> Any:
        return list(self._objects.filter(professional_id=professional_id).order_by("-scheduled_at")[:50])

    def insert(self, values: dict[str, Any]) -> Any:
        return Appointment.objects.create(organization_id=self.facts.organization_id, **values).id

    def load(self, ids: Sequence[int]) -> list[Any]:
        return [self.point_read(key) for key in ids]

    def save(self, appointment: Any, notes: str) -> None:
        appointment.notes, appointment.updated_at = notes, timezone.now()
        appointment.save(update_fields=["notes", "updated_at"])

    def update(self, appointment_id: int, notes: str) -> None:
        self._objects.filter(id=appointment_id).update(notes=notes, updated_at=timezone.now())

    def scan_models(self) -> Any:
        return list(self._objects.all())

    def scan_tuples(self) -> Any:
        return list(self._objects.values_list(*COLUMNS))

    def scan_dicts(self) -> Any:
        return list(self._objects.values(*COLUMNS))


CONTENDER = DjangoORM
