"""The journal as Django sees it, for writing many rows of it at once."""

from __future__ import annotations

from django.db import models

from bench.contenders import django_orm  # noqa: F401 - sets Django up


class Transition(models.Model):
    """A row of the journal."""

    organization_id = models.BigIntegerField()
    id = models.BigAutoField(primary_key=True)
    subject_type = models.CharField()
    subject_id = models.BigIntegerField()
    event = models.CharField()
    from_state = models.CharField()
    to_state = models.CharField()
    reason = models.CharField(null=True)
    occurred_at = models.DateTimeField()

    class Meta:
        app_label = "bench"
        db_table = "state_transitions"
        managed = False
