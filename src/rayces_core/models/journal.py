"""StateTransition: the journal of every change of state, which is only ever added to."""

from __future__ import annotations

from typing import Any

from peewee import SQL, Check

from rayces_core import clock
from rayces_core.fields import BigIntegerField, BooleanField, JSONField, StringField, UTCDateTimeField
from rayces_core.fields.schemas import TransitionDetails
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TenantModel


class StateTransition(TenantModel):
    """What happened to which row, when, by whom and why. `actor` is None where no user acted.

    `idempotency_key` names the request that moved an appointment, so that it is known when it comes again.
    `details` are values that the change has overwritten, as they were before it.
    `made_up` says that nobody told `occurred_at`: an import or an adoption had none and took one that is possible.
    """

    subject_type = StringField()
    subject_id = BigIntegerField()
    event = StringField()
    from_state = StringField()
    to_state = StringField()
    actor = TenantForeignKey(User, backref="state_transitions", null=True)
    actor_id: int | None
    reason = StringField(null=True)
    occurred_at = UTCDateTimeField(default=clock.now)
    idempotency_key = StringField(null=True)
    request_fingerprint = StringField(null=True)
    details: JSONField[dict[str, Any]] = JSONField(TransitionDetails, default=dict)
    made_up = BooleanField(default=False)

    class Meta:
        """The table."""

        table_name = "state_transitions"
        personal = {
            "words": "reason details",
            "kept": "idempotency_key",
            "plain": "subject_type event from_state to_state request_fingerprint",
        }
        merging = {"kept": "actor_id"}
        defaults_in_database = True
        constraints = [
            Check("jsonb_typeof(details) = 'object'", name="state_transitions_details_check"),
            Check(
                "(request_fingerprint IS NULL) = (idempotency_key IS NULL)",
                name="state_transitions_request_fingerprint_check",
            ),
        ]


StateTransition.add_index(
    StateTransition.organization,
    StateTransition.idempotency_key,
    unique=True,
    where=SQL("idempotency_key IS NOT NULL"),
    name="state_transitions_organization_id_idempotency_key_key",
)
